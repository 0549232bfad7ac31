//! End to end: what an operator and a manager see, and nothing else. One file a subject.

mod reports; // what a report says
