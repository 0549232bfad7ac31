//! Deployed instances as reports show them.

use std::sync::{Arc, Mutex, PoisonError};

/// What an instance is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceId {
    Text(String),
    Number(u64),
}

impl std::fmt::Display for InstanceId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => text.fmt(formatter),
            Self::Number(number) => number.fmt(formatter),
        }
    }
}

/// The five states of v1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Being fetched or started.
    Pending,
    Running,
    /// Ended by itself, or could not be started.
    Failed,
    /// Ended well, or was stopped.
    Stopped,
    /// Paused.
    Sleeping,
}

impl InstanceState {
    /// For the metrics.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Failed, Self::Stopped, Self::Sleeping];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Failed => "FAILED",
            Self::Stopped => "STOPPED",
            Self::Sleeping => "SLEEPING",
        }
    }

    /// From the word of a backend; any other word is a failure.
    pub fn from_word(word: &str) -> Self {
        match word {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "stopped" => Self::Stopped,
            "sleeping" => Self::Sleeping,
            _ => Self::Failed,
        }
    }
}

/// What an instance uses. Percent of one core, and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    pub cpu_load: Option<f64>,
    pub memory_used: Option<u64>,
    pub memory_limit: Option<u64>,
    pub network_rx: Option<u64>,
    pub network_tx: Option<u64>,
}

/// How far a start is, in words. Written by whoever fetches, read by reports.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Option<String>>>);

impl Progress {
    pub fn set(&self, text: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An accelerator of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accelerator {
    /// Its number in reports.
    pub index: u32,
    /// Its stable name on the bus.
    pub device: String,
    pub vendor: Option<String>,
}

/// One deployment, as it is now.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub uuid: String,
    /// The `type` of the request.
    pub kind: String,
    pub instance_id: String,
    pub index: i32,
    pub name: String,
    pub url: String,
    pub file: String,
    /// The latest, and the earlier ones that still mean it.
    pub ids: Vec<InstanceId>,
    pub order: String,
    pub state: InstanceState,
    pub reason: Option<String>,
    pub progress: Progress,
    /// Who runs it does not answer, so the state is the last one that was known.
    pub unknown: bool,
    /// What it was ordered with: cores, bytes, accelerators.
    pub required: (u32, u64, u32),
    /// What it holds; nothing once it has ended.
    pub cores: Vec<u32>,
    pub shared: bool,
    pub memory: Option<u64>,
    pub gpus: Vec<Accelerator>,
    pub usage: Usage,
}

impl Deployment {
    pub fn id(&self) -> Option<&InstanceId> {
        self.ids.last()
    }

    /// Why, or how far.
    pub fn why(&self) -> Option<String> {
        self.progress.get().filter(|_| self.state == InstanceState::Pending).or_else(|| self.reason.clone())
    }
}
