//! The helper, its client, and a library that does everything wrong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic, that is how it fails")]

mod calls;
mod ends;
mod frames;
mod refusals;
mod stub;
