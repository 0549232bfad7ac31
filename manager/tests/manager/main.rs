//! The real manager, as a process on the loopback, and the real command line. Each file is a promise that is kept.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod agent;
mod api;
mod cli;
mod deploy;
mod deploy_cli;
mod deploy_forged;
mod deploy_hostile;
mod deploy_lost;
mod deploy_tls;
mod greedy;
mod hostile;
mod metrics;
mod queries;
mod reports;
mod restart;
mod stopping;
mod support;
