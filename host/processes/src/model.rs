//! What to run, and how it is: the contract's records as types.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whose a program is. All but the uuid and the backend is the caller's and only kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub uuid: String,
    pub instance_id: String,
    /// Name of the plugin that made it.
    pub backend: String,
    /// Digest of the order.
    pub order: String,
    /// Whatever the caller wants back.
    pub record: String,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub name: String,
    pub command: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub user: Option<String>,
    pub stop_signal: String,
    /// Seconds.
    pub stop_grace: u32,
    pub restart: Restart,
    pub health: Option<Health>,
}

/// A check of whether the program is well. Times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub command: Vec<String>,
    pub every: u32,
    pub timeout: u32,
    pub retries: u32,
}

/// What happens when a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    No,
    OnFailure,
    Always,
}

impl FromStr for Restart {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "no" => Ok(Self::No),
            "on-failure" => Ok(Self::OnFailure),
            "always" => Ok(Self::Always),
            _ => Err(crate::Error::Invalid {
                what: "restart",
                why: format!("{text:?} is none of no, on-failure, always"),
            }),
        }
    }
}

/// What the deployment was admitted with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The logical cores that it may run on; not empty.
    pub cores: Vec<u32>,
    /// Where it shares those cores with others: how many cores' worth of their time is meant for it.
    pub shares: Option<u32>,
    /// Bytes.
    pub memory: u64,
    /// Accelerators: index and address of the device.
    pub gpus: Vec<(u32, String)>,
}

/// How a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Created,
    Running,
    Waiting,
    Frozen,
    Exited,
    Stopped,
    Lost,
}

impl State {
    /// The word of the contract for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Frozen => "frozen",
            Self::Exited => "exited",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }

    pub(crate) fn ended(self) -> bool {
        matches!(self, Self::Exited | Self::Stopped | Self::Lost)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A program as its supervisor sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    pub uuid: String,
    pub order: String,
    /// Of the supervisor.
    pub pid: u32,
    pub name: String,
    pub state: State,
    pub exit_code: Option<i32>,
    pub signal: Option<String>,
    pub error: Option<String>,
    pub restarts: u32,
    pub usage: Usage,
}

/// What a program uses. The network is the board's, so there is nothing to say of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Percent of one core since the measurement before.
    pub cpu_load: Option<f64>,
    /// Bytes.
    pub memory_used: Option<u64>,
    pub memory_limit: Option<u64>,
}

/// A piece of what a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub bytes: Vec<u8>,
    /// Where the next piece begins.
    pub next: String,
    /// Bytes between the cursor and this piece that are gone.
    pub lost: u64,
}

/// What is written down of a program when it is made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// Nanoseconds since 1970; tells its output from that of an earlier program of the same deployment.
    pub created: u64,
    pub owner: Owner,
    pub program: Program,
    pub limits: Limits,
}
