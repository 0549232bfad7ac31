//! One push: the canary first, and once it runs there the others, more at once the more it runs on, until too many have failed.
//!
//! ```text
//! Canary ──runs there──▶ Rolling ──all have it, but for those that may fail──▶ Done
//!    └──anything else──────┴── too many failed, or somebody stopped it ─────▶ Stopped
//! ```
//! Whatever happens to a push, what was begun on a board comes to its end there.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::Plugins;
use super::attempt::{Attempted, Plugin};
use super::book::{Book, NotNow};
use crate::model::BoardId;
use crate::model::plugin::{Fate, Push, Pushed, Stage};

/// Pushes at once. Each holds its plugin in memory.
pub(super) const AT_ONCE: usize = 2;

/// What is wanted of a push.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The name of its file on the boards.
    pub file: String,
    /// The selector of its boards, if there was one.
    pub group: Option<String>,
    /// The first board.
    pub canary: BoardId,
    /// The others.
    pub others: Vec<BoardId>,
    /// Boards that may fail before it stops.
    pub max_failures: usize,
    /// Longest time until it runs on a board.
    pub timeout: Duration,
    /// Boards at once.
    pub at_once: usize,
}

/// The right to push. Given back when the push is over.
pub struct Place {
    _held: OwnedSemaphorePermit,
}

impl Plugins {
    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing under the lock panics.
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more push. To be asked for before its plugin is held in memory.
    pub fn place(&self) -> Result<Place, NotNow> {
        let place = Arc::clone(&self.0.places).try_acquire_owned();
        place.map(|held| Place { _held: held }).map_err(|_| NotNow::TooMany(AT_ONCE))
    }

    /// Begins a push. It goes on by itself.
    pub fn push(&self, place: Place, wanted: Wanted, bytes: Bytes) -> Result<Push, NotNow> {
        let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let boards = std::iter::once(&wanted.canary).chain(&wanted.others);
        let waits =
            |board: &BoardId| Pushed { board: board.clone(), fate: Fate::Waiting, message: String::new() };
        let push = Push {
            id: Uuid::new_v4(),
            file: wanted.file.clone(),
            digest: digest.clone(),
            bytes: bytes.len(),
            group: wanted.group.clone(),
            max_failures: wanted.max_failures,
            begun: now(),
            stage: Stage::Canary,
            why: None,
            boards: boards.map(waits).collect(),
        };
        let stop = self.0.stop.child_token();
        self.book().begin(push.clone(), stop.clone())?;
        let boards = push.boards.len();
        info!(id = %push.id, file = push.file, digest, canary = %wanted.canary, boards, "plugin push begins");
        let plugin = Arc::new(Plugin { file: wanted.file.clone(), digest, bytes, timeout: wanted.timeout });
        let (this, id) = (self.clone(), push.id);
        self.0.tasks.spawn(async move {
            let stopped = this.carry_out(id, &wanted, plugin, &stop).await;
            this.end(id, stopped);
            drop(place);
        });
        Ok(push)
    }

    /// How a push stands.
    pub fn pushed(&self, id: Uuid) -> Option<Push> {
        self.book().get(id).cloned()
    }

    /// All that are kept, the latest first.
    pub fn pushes(&self) -> Vec<Push> {
        self.book().all().cloned().collect()
    }

    /// Has a push stopped: no further board is begun. False if there is none.
    pub fn stop_push(&self, id: Uuid) -> bool {
        self.book().stop(id)
    }

    /// Why it stopped, if there is a reason that the boards do not show.
    async fn carry_out(
        &self,
        id: Uuid,
        wanted: &Wanted,
        plugin: Arc<Plugin>,
        stop: &CancellationToken,
    ) -> Option<String> {
        let canary = &wanted.canary;
        self.note(id, canary, Fate::UnderWay, "the canary".to_owned());
        let mut tried = tokio::select! {
            () = self.0.stop.cancelled() => return Some("the manager was stopped".to_owned()),
            tried = self.attempt(canary, &plugin) => tried,
        };
        if tried.fate == Fate::Idle && tried.changed {
            let message = self.taken_back(canary, &plugin).await;
            tried.message = format!("{}; {message}", tried.message);
        }
        let Attempted { fate, message, .. } = tried;
        self.note(id, canary, fate, message.clone());
        match fate {
            Fate::Running => {}
            Fate::Idle => {
                let why = format!(
                    "the canary {canary} has no use for it; name a board that has, as canary: {message}"
                );
                return Some(why);
            }
            _ => return Some(format!("the canary {canary} did not take it: {message}")),
        }
        self.book().change(id, |push| push.stage = Stage::Rolling);
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < wanted.at_once
                && !stop.is_cancelled()
                && let Some(board) = self.begin_next(id)
            {
                let (this, plugin) = (self.clone(), Arc::clone(&plugin));
                under_way.spawn(async move {
                    let tried = this.attempt(&board, &plugin).await;
                    (board, tried)
                });
            }
            let ended = tokio::select! {
                // What is under way is broken off, and shown so.
                () = self.0.stop.cancelled() => return Some("the manager was stopped".to_owned()),
                ended = under_way.join_next() => ended,
            };
            match ended {
                Some(Ok((board, Attempted { fate, message, .. }))) => self.note(id, &board, fate, message),
                // It cannot panic; if it did, its board is shown as one that did not answer.
                Some(Err(error)) => warn!(%id, %error, "a push ended badly on a board"),
                None => break,
            }
        }
        let waits = self.book().get(id).is_some_and(|push| push.next().is_some());
        (waits && stop.is_cancelled()).then(|| "somebody stopped it".to_owned())
    }

    fn begin_next(&self, id: Uuid) -> Option<BoardId> {
        let mut book = self.book();
        let board = book.get(id)?.next()?.clone();
        book.change(id, |push| push.note(&board, Fate::UnderWay, String::new()));
        Some(board)
    }

    fn note(&self, id: Uuid, board: &BoardId, fate: Fate, message: String) {
        if !matches!(fate, Fate::UnderWay) {
            info!(%id, %board, ?fate, message, "plugin pushed to a board");
        }
        self.book().change(id, |push| push.note(board, fate, message));
    }

    fn end(&self, id: Uuid, stopped: Option<String>) {
        let mut book = self.book();
        book.change(id, |push| push.end(stopped));
        if let Some(push) = book.get(id) {
            let (why, failures) = (push.why.as_deref(), push.failures());
            info!(%id, file = push.file, stage = ?push.stage, why, failures, "plugin push ends");
        }
    }
}

/// Now, as it is kept.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
