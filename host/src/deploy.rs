//! Deploys: from an order to something that runs, and back, whatever breaks in between.
//!
//! ```text
//! POST /deploy -> Deployments -> keeper -> admission -> driver, one a uuid -> record -> backend (a plugin) -> record -> reply
//!                                  ^                                                        v
//!                                  '------------- survey: what is really there -------------'
//! ```
//!
//! | channel | kind      | from              | to                              |
//! |---------|-----------|-------------------|---------------------------------|
//! | jobs    | mpsc(256) | `serve`           | the keeper                      |
//! | reply   | oneshot   | the keeper        | `serve`                         |
//! | news    | mpsc      | drivers, surveys  | the keeper                      |
//! | views   | watch     | the keeper        | `report`, `serve`, `telemetry`  |
//!
//! The keeper is the one task that owns the state. Everything that takes long is done by drivers, on the thread of the
//! deploys: neither a report nor a sample ever waits for one.

mod admission;
mod backend;
mod board;
mod cell;
mod compare;
mod driver;
mod keeper;
mod ledger;
mod log;
mod order;
mod record;
pub mod steps;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

pub use admission::{Capacity, LEAST_MEMORY};
pub use backend::{Backends, Fault, Found, Work};
pub use board::{boot, capacity};
pub use cell::Cell;
pub use keeper::{Attached, Keeper};
pub use ledger::Ledger;
pub use log::{Logs, PIECE, Piece, Wanted};
pub use order::{Allocation, Gpu, Id, Order, Requirements};
pub use record::{NoteTooLarge, Outcome, Record};

use crate::model::Deployment;

/// Requests that wait for the keeper.
const JOBS: usize = 256;
/// Longest time until a reply; what is under way goes on.
pub const REPLY: Duration = Duration::from_secs(300);

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub outcome: Outcome,
    pub message: String,
    pub id: Option<Id>,
}

impl Reply {
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into(), id: None }
    }
}

/// What is asked of the keeper.
#[derive(Debug)]
pub(crate) enum Job {
    Start { order: Order, reply: oneshot::Sender<Reply> },
    Stop { kind: String, uuid: String, id: Id, reply: oneshot::Sender<Reply> },
}

/// What everybody may know of the deployments.
#[derive(Debug, Clone, Default)]
pub struct Views {
    pub deployments: Vec<Deployment>,
    /// Cores that are taken by deployments.
    pub cores: u32,
    /// Records that were damaged and set aside at the start.
    pub damaged: usize,
}

/// The way to the deployments. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Deployments {
    jobs: mpsc::Sender<Job>,
    views: watch::Receiver<Arc<Views>>,
}

/// The keeper's ends of the channels.
#[derive(Debug)]
pub struct Ends {
    pub(crate) jobs: mpsc::Receiver<Job>,
    pub(crate) views: watch::Sender<Arc<Views>>,
}

impl Deployments {
    pub fn new() -> (Self, Ends) {
        let (jobs, asked) = mpsc::channel(JOBS);
        let (sender, views) = watch::channel(Arc::default());
        (Self { jobs, views }, Ends { jobs: asked, views: sender })
    }

    /// How they are now.
    pub fn views(&self) -> Arc<Views> {
        Arc::clone(&self.views.borrow())
    }

    /// Starts what is ordered, or joins the start that is under way.
    pub async fn start(&self, order: Order) -> Reply {
        self.ask(|reply| Job::Start { order, reply }).await
    }

    /// Stops one.
    pub async fn stop(&self, kind: String, uuid: String, id: Id) -> Reply {
        self.ask(|reply| Job::Stop { kind, uuid, id, reply }).await
    }

    async fn ask(&self, job: impl FnOnce(oneshot::Sender<Reply>) -> Job) -> Reply {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.jobs.send(job(reply)).await.ok()?;
            answer.await.ok()
        };
        match timeout(REPLY, asked).await {
            Ok(Some(reply)) => reply,
            Ok(None) => Reply::new(Outcome::NotNow, "the agent is stopping; ask again when it runs"),
            Err(_) => Reply::new(Outcome::UnderWay, "still under way; the same request again joins it"),
        }
    }
}
