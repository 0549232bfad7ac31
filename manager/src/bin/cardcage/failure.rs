//! Why a command did not do what it was told, and what to do about it.

use std::io;
use std::path::PathBuf;

use cardcage_manager::api::types::Problem;

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{url} is not the URL of a manager; write it as http://HOST:3926 (https is not spoken)")]
    Url { url: String },
    #[error(
        "the manager at {url} cannot be reached: {reason}; is it running, and is --manager (or CARDCAGE_MANAGER) right?"
    )]
    Unreachable { url: String, reason: String },
    #[error("what answers at {url} is no manager: {reason}; is --manager (or CARDCAGE_MANAGER) right?")]
    NotAManager { url: String, reason: String },
    #[error("{}: {}; {}", .0.title, .0.detail, .0.remedy)]
    Problem(Problem),
    #[error("no board is called {0}; `cardcage boards` lists them")]
    NoSuchBoard(String),
    #[error("no deployment has the uuid {0}; `cardcage ps --all` lists them")]
    NoSuchDeployment(String),
    #[error("{refused} of {all} were refused or failed; MESSAGE says why")]
    Refused { refused: usize, all: usize },
    #[error("{open} of {all} are not decided yet; the manager goes on, `cardcage ps` shows what comes of it")]
    Undecided { open: usize, all: usize },
    #[error(
        "{uuid} is gone: its board has no log of it any more; `cardcage ps --all` shows what became of it"
    )]
    Gone { uuid: String },
    #[error("{name} can be any of {candidates}; write more of the id")]
    Ambiguous { name: String, candidates: String },
    #[error("cannot read the token {}: {source}; give the right file with --token-file", path.display())]
    Token { path: PathBuf, source: io::Error },
    #[error("cannot read the plugin {}: {source}", path.display())]
    Plugin { path: PathBuf, source: io::Error },
    #[error("the push stopped: {why}")]
    Stopped { why: String },
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The exit status.
    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::Url { .. } | Self::Ambiguous { .. } => 2,
            Self::NoSuchBoard(_) | Self::NoSuchDeployment(_) => 3,
            Self::Undecided { .. } => 4,
            _ => 1,
        }
    }

    /// Whether it may pass by itself: the manager restarts, or has too much to do.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Problem(Problem { status: 503, .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
        let problem = |status| {
            let [kind, title, detail, remedy] = ["k", "t", "d", "r"].map(str::to_owned);
            Failure::Problem(Problem { kind, title, status, detail, remedy })
        };
        assert!(problem(503).may_pass() && !problem(400).may_pass());
        assert!(!Failure::NoSuchBoard("n".to_owned()).may_pass());
    }
}
