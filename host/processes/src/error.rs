//! What can go wrong, in the words of the contract (`code`).

use std::io;
use std::path::Path;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} of the program cannot be used: {why}")]
    Invalid { what: &'static str, why: String },
    #[error("deployment {uuid} has no program here")]
    NoProgram { uuid: String },
    #[error("the board has no user {user}: create it, or name another")]
    NoUser { user: String },
    #[error("program {name} did not start: {why}")]
    Missing { name: String, why: String },
    #[error("deployment {uuid} has a program already: remove it first")]
    Exists { uuid: String },
    #[error("the program of deployment {uuid} has not ended: stop it first")]
    Alive { uuid: String },
    #[error("limits cannot be put on programs here: {why}")]
    Unavailable { why: String },
    #[error("{what}: no space is left")]
    NoSpace { what: String },
    #[error("program {name} did not start: {why}")]
    NotStarted { name: String, why: String },
    #[error("{what} cannot be ended, not even by SIGKILL: see what the kernel waits for in it")]
    Unkillable { what: String },
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The word of the contract for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid",
            Self::NoProgram { .. } | Self::NoUser { .. } | Self::Missing { .. } => "absent",
            Self::Exists { .. } | Self::Alive { .. } => "conflict",
            Self::Unavailable { .. } => "unavailable",
            Self::NoSpace { .. } => "no-space",
            Self::NotStarted { .. } | Self::Unkillable { .. } => "failed",
            Self::Io { .. } => "io",
        }
    }

    pub(crate) fn io(verb: &str, path: &Path, source: impl Into<io::Error>) -> Self {
        let what = format!("{verb} {}", path.display());
        let source = source.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { what },
            _ => Self::Io { what, source },
        }
    }

    /// The whole chain, for the one line in which it reaches a person.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Io { what, source } => format!("{what}: {source}"),
            other => other.to_string(),
        }
    }
}
