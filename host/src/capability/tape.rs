//! What an instance is told by its host, kept as a [`Recording`], or played back from one.
//!
//! ```text
//! guest -> State::kernel() … -> Taped<Kernel> -- off:       the capability
//!                                             -- recording: the capability, and its answer is kept
//!                                             -- playing:   the answer that was kept
//! ```
//!
//! An answer is found again by what was asked and by the stage (the third sample, say), so that a plugin that was changed
//! since can be played the same board. Whatever is not in the recording is `absent`, and noted. Time and randomness are
//! recorded too: with the same answers, the same plugin says the same, bit for bit, on every architecture.

mod deck;
mod exchange;
mod fault;
mod guest;
mod player;
mod recording;
#[cfg(test)]
mod tests;
mod time;

pub use deck::Tape;
pub use exchange::{Exchange, REDACTED, is_secret, shown};
pub use fault::{Fault, Thing};
pub use guest::Taped;
pub use player::Index;
pub use recording::{Header, Outcome, Recording, RecordingError, Stage};
