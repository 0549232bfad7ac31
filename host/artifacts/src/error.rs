//! Every failure. The words of `code` are those of the contract with plugins (`wit/host/artifacts.wit`).
//!
//! Errors are cloned, since one transfer may fail for many who wait for it; so what the system said is kept as text.
//! Addresses are shown without credentials and without their query, which may be one.

use std::io;

use rustix::io::Errno;

/// Why there is no artifact, or no tree. Every variant names the thing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Not an address, not an archive, an entry that would lead out.
    #[error("{what}: {reason}")]
    Invalid {
        /// The address, the archive or the entry.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Whoever asks may not reach that host.
    #[error("{what}: {host} is not granted; add it to the plugin's `artifacts` grant")]
    Denied {
        /// The address that was asked for.
        what: String,
        /// The host and port of the hop that is not allowed.
        host: String,
    },
    /// The repository refuses.
    #[error("{what}: the repository answers {status}; {}", advice(*.status))]
    Status {
        /// The address.
        what: String,
        /// Its status.
        status: u16,
    },
    /// The repository, or the archive, does not have it.
    #[error("{what}: not there ({reason})")]
    Absent {
        /// What was looked for.
        what: String,
        /// Who says so.
        reason: String,
    },
    /// No connection, no answer in time, broken off again and again.
    #[error("{what}: unreachable: {reason}")]
    Unreachable {
        /// The address.
        what: String,
        /// The last thing that went wrong.
        reason: String,
    },
    /// Over a limit.
    #[error("{what}: more than {limit} {unit}, the limit {name}; make it smaller, or raise the limit")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Which limit.
        name: &'static str,
        /// The limit.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// Other content than expected.
    #[error(
        "{what}: SHA-256 is {found}, expected {expected}; correct the digest, or the file in the repository"
    )]
    Mismatch {
        /// The address.
        what: String,
        /// What the caller said.
        expected: String,
        /// What came.
        found: String,
    },
    /// The disk is full, or the quota of the file system is.
    #[error("{what}: no space left; free some, or lower the cache's quota")]
    NoSpace {
        /// What was being written.
        what: String,
    },
    /// The caller gave up.
    #[error("{what}: given up by the caller")]
    Cancelled {
        /// What was under way.
        what: String,
    },
    /// The file system fails.
    #[error("{what}: {reason}")]
    Io {
        /// What was tried, on what.
        what: String,
        /// What the system says.
        reason: String,
    },
}

impl Error {
    /// The word of the contract. `cancelled` is not in it: who gave up knows.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid",
            Self::Denied { .. } | Self::Status { status: 401 | 403 | 407, .. } => "denied",
            Self::Status { .. } | Self::Unreachable { .. } => "unreachable",
            Self::Absent { .. } => "absent",
            Self::TooLarge { .. } => "too-large",
            Self::Mismatch { .. } => "mismatch",
            Self::NoSpace { .. } => "no-space",
            Self::Cancelled { .. } => "cancelled",
            Self::Io { .. } => "io",
        }
    }

    pub(crate) fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }

    /// Of the file system: full, or failing.
    pub(crate) fn io(what: impl Into<String>, error: &io::Error) -> Self {
        let what = what.into();
        match Errno::from_io_error(error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoSpace { what },
            _ => Self::Io { what, reason: error.to_string() },
        }
    }

    pub(crate) fn errno(what: impl Into<String>, error: Errno) -> Self {
        Self::io(what, &error.into())
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 | 407 => {
            "put credentials into the address (https://user:password@host/…), or open the file to the board"
        }
        _ => "look at the repository's log",
    }
}
