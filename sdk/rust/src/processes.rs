//! Programs on the board itself, each under a supervisor that outlives the agent. A program belongs to the deployment in
//! whose call it was made; cores and memory are put on it by the host.
//!
//! Granted by a table (`[plugins.grants.NAME.processes]`), whose keys bound what may be asked for.

use alloc::string::String;
use alloc::vec::Vec;

pub use crate::deploy_bindings::cardcage::host::processes::{
    Health, Info, Process, Program, create, find, survey,
};

/// A program that runs as the agent's user, is asked to end by SIGTERM with ten seconds of grace, and is not started
/// again. Change what should be otherwise.
pub fn program<S: Into<String>>(name: &str, command: impl IntoIterator<Item = S>) -> Program {
    Program {
        name: name.into(),
        command: command.into_iter().map(Into::into).collect(),
        environment: Vec::new(),
        user: None,
        stop_signal: "SIGTERM".into(),
        stop_grace: 10,
        restart: "no".into(),
        health: None,
    }
}
