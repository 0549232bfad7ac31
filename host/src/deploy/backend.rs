//! What the deploys need of the backends. The real ones are plugins (`plugin/backends.rs`); the tests of this folder have
//! one in memory that forgets, fails and breaks off.

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::cell::Cell;
use super::order::{Id, Order};
use super::record::Outcome;
use crate::model::{InstanceState, Progress, Usage};

/// Why a backend could not do it, in WIT's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Fault {
    pub code: String,
    pub detail: String,
}

impl Fault {
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }

    /// Who would know does not answer, so nothing is known, and nothing may be concluded.
    pub fn unreachable(&self) -> bool {
        self.code == "unreachable"
    }

    /// The protocol's word for it.
    pub fn outcome(&self) -> Outcome {
        match self.code.as_str() {
            "invalid" => Outcome::Invalid,
            "unknown-type" => Outcome::UnknownType,
            "denied" => Outcome::Denied,
            "no-space" => Outcome::NoSpace,
            "unreachable" => Outcome::Unreachable,
            "absent" | "artifact" | "mismatch" | "no-answer" | "too-large" => Outcome::Artifact,
            _ => Outcome::Failed,
        }
    }
}

/// What a backend works on.
#[derive(Debug, Clone)]
pub struct Work {
    pub cell: Arc<Cell>,
    pub progress: Progress,
    /// Somebody no longer wants it: what waits long should give up.
    pub cancelled: CancellationToken,
}

/// An instance as its backend sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub uuid: String,
    pub id: Id,
    pub name: String,
    pub state: InstanceState,
    pub reason: Option<String>,
    pub usage: Usage,
    /// The record that was attached when it was made, where the mechanism still has it.
    pub record: Option<String>,
}

/// All backends of the agent, by the `type` that they serve.
pub trait Backends: Clone + Send + Sync + 'static {
    /// The types that are served, once that is settled.
    fn kinds(&self) -> impl Future<Output = Vec<String>> + Send;
    /// Whether an order makes sense to its backend.
    fn check(&self, order: &Order) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Brings it to run, from whatever is there.
    fn start(&self, work: Work) -> impl Future<Output = Result<Found, Fault>> + Send;
    /// Ends it and removes what was made, from whatever is there.
    fn stop(&self, work: Work) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Everything that is there, wanted or not.
    fn survey(&self, kind: &str) -> impl Future<Output = Result<Vec<Found>, Fault>> + Send;
}
