//! The process that may crash: confine, then serve until the agent is gone.

use std::convert::Infallible;
use std::io;

use cardcage_native::protocol::Malformed;

mod confine;
mod foreign;
mod handles;
mod serve;
mod tables;

/// Why the helper gives up.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("{0}: {1}")]
    Confine(&'static str, #[source] io::Error),
    #[error("the agent's socket (standard input): {0}")]
    Socket(#[source] io::Error),
    #[error("memory for arguments: {0}")]
    Memory(#[source] io::Error),
    #[error("the agent begins with a greeting, and says it once")]
    Order,
    #[error("what the agent asks: {0}")]
    Malformed(#[source] Malformed),
}

/// Serves. A proper end is that the agent closes its end, and is no return: whatever a library has left for the end of a
/// process is not run.
pub fn run() -> Result<Infallible, Failed> {
    let socket = confine::confine()?;
    serve::serve(socket)
}
