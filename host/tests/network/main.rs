//! The agent's network side as managers meet it: real sockets on the loopback, a board that is made up.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic, that is how it fails")]

mod agent;
mod hostile;
mod manager;
mod queries;
mod service;
mod unreachable;

use std::time::Duration;

/// What does not happen by then does not happen.
const PATIENCE: Duration = Duration::from_secs(20);
