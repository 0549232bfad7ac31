//! The agent of one board.
//!
//! ```text
//! query in:  discovery -> (latest snapshot) -> report -> POST /heartbeat | /resource
//!                                ^
//!            sample: every probe on its own cadence, own deadline, own sandbox
//!                                v
//!            plugin instance -> capability (kernel facts, files, log)
//! ```

pub mod config;
pub mod model;
pub mod sample;
