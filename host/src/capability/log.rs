//! `cardcage:host/log`: lines for the operator, marked with the plugin's name. Granted to every plugin, and bounded, so
//! that none can fill a disk or drown the others.

pub mod guest;
mod real;
mod words;

pub use guest::Log;
pub use real::{Level, Lines};
pub use words::Words;
