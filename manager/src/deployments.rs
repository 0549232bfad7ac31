//! What is to run on the boards: ordered through the API, recorded, asked of the agents, and asked again where the answer
//! was lost.
//!
//! ```text
//! api ──order, stop──▶ book ──intent──▶ store, fsync ──▶ attempt ──▶ agents ──▶ POST /deploy
//!                       ▲  ◀────────────── settle ──────────┘
//!                       └── due ── reconcile: what is open is asked again, with pauses
//! ```
//! | state | owner |
//! |---|---|
//! | the book: every deployment, and whether it is being asked about | a short lock, private to this file |
//! | a request to an agent | a task of `tasks`; the caller who hangs up does not end it |
//!
//! An intent is on the disk before an agent hears of it, so a crash leaves an open deployment, which is asked about again.
//! Agents take the same start twice as one. There is one request for a uuid at a time; a stop breaks off a start that
//! waits for its answer. The lock is never held over an await; changes reach the store in the order in which they were
//! made, since they are handed to it under the lock.

mod address;
mod ask;
mod book;
mod compare;
mod reconcile;
mod reported;
mod view;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

pub use ask::{LOG_LIMIT, Piece};
pub use compare::Step;
pub use view::{After, Entry, Wanted};

use crate::agents::Agents;
use crate::fleet::Fleet;
use crate::model::{BoardId, Deployment, Order, Outcome, Reply};
use crate::protocol::deploy;
use crate::store::orders::{Orders, OrdersError, Write, Written};
use book::Book;

/// Requests to agents at once, for everybody.
const REQUESTS: usize = 512;

/// Requests to agents at once for one order.
const REQUESTS_OF_ONE: usize = 64;

/// Deployments that are kept. A full book drops those that are over.
const LIMIT: usize = 65_536;

/// The handle. A clone is the same.
#[derive(Clone)]
pub struct Deployments(Arc<Inner>);

struct Inner {
    book: Mutex<Book>,
    orders: Orders,
    agents: Arc<Agents>,
    fleet: Fleet,
    requests: Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// One instance to start.
#[derive(Debug, Clone)]
pub struct Start {
    /// The component instance.
    pub uuid: String,
    /// Where.
    pub board: BoardId,
    /// What and with what.
    pub order: Order,
}

/// One instance to stop.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The component instance.
    pub uuid: String,
    /// Where it is, and of which type, if it was not ordered here.
    pub stranger: Option<(BoardId, Option<String>)>,
}

/// The answer to come.
pub enum Pending {
    /// It is there.
    Known(Reply),
    /// A task has it.
    Asked(JoinHandle<Reply>),
}

impl Pending {
    /// Waits for it. The request goes on if nobody waits.
    pub async fn reply(&mut self) -> Reply {
        match self {
            Self::Known(reply) => reply.clone(),
            Self::Asked(task) => {
                let reply = task.await;
                reply.unwrap_or_else(|_| Reply::own(Outcome::NoAnswer, "the manager is stopping"))
            }
        }
    }
}

impl Deployments {
    /// With what is on the disk.
    pub fn new(orders: Orders, restored: Vec<Deployment>, agents: Arc<Agents>, fleet: Fleet) -> Self {
        Self(Arc::new(Inner {
            book: Mutex::new(Book::new(restored, LIMIT, Instant::now())),
            orders,
            agents,
            fleet,
            requests: Semaphore::new(REQUESTS),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing under the lock panics; if it did, one deployment is as it was before or after.
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One deployment, as it is wanted.
    pub fn get(&self, uuid: &str) -> Option<Deployment> {
        self.book().get(uuid).cloned()
    }

    /// How many there are, and how many of them are open.
    pub fn count(&self) -> (usize, usize) {
        self.book().count()
    }

    /// The boards that have something of ours: it was started there, and nobody has stopped it since.
    pub fn holders(&self) -> HashSet<BoardId> {
        self.book().all().filter(|known| known.is_held()).map(|known| known.board.clone()).collect()
    }

    /// Starts instances. Every one is recorded before the first is asked for; the answers come in the same order.
    pub async fn start(&self, starts: Vec<Start>) -> Vec<Pending> {
        let now = millis();
        let uuids: Vec<String> = starts.iter().map(|start| start.uuid.clone()).collect();
        let mut intents = Vec::new();
        let mut seen = HashSet::new();
        let agents = self.addresses(starts.iter().map(|start| &start.board));
        for Start { uuid, board, order } in starts {
            intents.push(if !seen.insert(uuid.clone()) {
                Err(Reply::own(Outcome::Conflict, format!("uuid {uuid} is named twice")))
            } else if let Err(error) = deploy::start(&uuid, &order) {
                Err(Reply::own(Outcome::Invalid, error.to_string()))
            } else {
                Ok((uuid, board, order))
            });
        }
        let make = |book: &mut Book| {
            let intend = |intent: Result<(String, BoardId, Order), Reply>| {
                let (uuid, board, order) = intent?;
                let known = book.get(&uuid);
                let next = Deployment::start(known, &uuid, &board, order, now);
                let next = next.map_err(|taken| Reply::own(Outcome::Conflict, taken.to_string()))?;
                Ok(next.at(agents.get(&board).copied()))
            };
            intents.into_iter().map(intend).collect::<Vec<_>>()
        };
        self.intend(uuids, make).await
    }

    /// Stops instances, as [`Deployments::resolve`] found them.
    pub async fn stop(&self, stops: Vec<Stop>) -> Vec<Pending> {
        let now = millis();
        let uuids: Vec<String> = stops.iter().map(|stop| stop.uuid.clone()).collect();
        let agents = self.addresses(stops.iter().filter_map(|stop| Some(&stop.stranger.as_ref()?.0)));
        let make = |book: &mut Book| {
            let intend = |Stop { uuid, stranger }: Stop| match (book.get(&uuid), stranger) {
                (Some(known), None) => Ok(known.stop(now)),
                // What was ordered here meanwhile is not what was found.
                (Some(known), Some(_)) if !known.is_over() => Ok(known.stop(now)),
                (_, Some((board, kind))) => {
                    Ok(Deployment::stop_stranger(&uuid, &board, kind, now).at(agents.get(&board).copied()))
                }
                (None, None) => Err(unknown(&uuid)),
            };
            stops.into_iter().map(intend).collect::<Vec<_>>()
        };
        self.intend(uuids, make).await
    }

    /// Forgets a deployment without asking its board. False if there is none.
    pub async fn forget(&self, uuid: &str) -> Result<bool, String> {
        let written = {
            let mut book = self.book();
            let Some(leaving) = book.leave(uuid) else { return Ok(false) };
            let dropped = Write { dropped: vec![uuid.to_owned()], ..Write::default() };
            (leaving, self.0.orders.write(dropped))
        };
        let (leaving, written) = written;
        let forgotten = recorded(written).await;
        self.book().left(&leaving, forgotten.is_ok(), Instant::now());
        forgotten?;
        info!(uuid, "deployment forgotten");
        Ok(true)
    }

    /// Records what is wanted, and asks for it once that is on the disk.
    async fn intend(
        &self,
        uuids: Vec<String>,
        make: impl FnOnce(&mut Book) -> Vec<Result<Deployment, Reply>>,
    ) -> Vec<Pending> {
        let (intents, marks, dropped, written) = {
            let mut book = self.book();
            let mut intents = make(&mut book);
            let dropped = book.make_room(intents.iter().flatten());
            if let Err(full) = &dropped {
                for intent in intents.iter_mut().filter(|intent| intent.is_ok()) {
                    *intent = Err(Reply::own(Outcome::NotRecorded, full.to_string()));
                }
            }
            let dropped = dropped.unwrap_or_default();
            let put: Vec<_> = intents.iter().flatten().cloned().collect();
            let marks: Vec<_> = put.iter().map(|next| book.intend(next.clone())).collect();
            let uuids = dropped.iter().map(|dropped| dropped.uuid().to_owned()).collect();
            let written = self.0.orders.write(Write { put, dropped: uuids });
            (intents, marks, dropped, written)
        };
        let recorded = recorded(written).await;
        if let Err(reason) = &recorded {
            warn!(reason, "an order could not be recorded and was not carried out");
            let mut book = self.book();
            marks.into_iter().for_each(|mark| book.revert(mark, Instant::now()));
            book.put_back(dropped);
        }
        let places = Arc::new(Semaphore::new(REQUESTS_OF_ONE));
        let asked = intents.into_iter().zip(uuids).map(|(intent, uuid)| match (intent, &recorded) {
            (Err(reply), _) => Pending::Known(reply),
            (Ok(_), Err(reason)) => Pending::Known(Reply::own(Outcome::NotRecorded, reason.clone())),
            (Ok(_), Ok(())) => {
                let (this, places) = (self.clone(), Arc::clone(&places));
                Pending::Asked(self.0.tasks.spawn(async move {
                    let _place = places.acquire().await;
                    this.attempt(&uuid).await
                }))
            }
        });
        asked.collect()
    }

    /// Asks the board once about what is wanted now, and notes the answer.
    async fn attempt(&self, uuid: &str) -> Reply {
        let Some(turn) = self.book().turn(uuid) else { return unknown(uuid) };
        let _turn = turn.lock().await;
        let begun = self.book().begin(uuid);
        let (deployment, mark) = match begun {
            book::Begun::Open(deployment, mark) => (deployment, mark),
            book::Begun::Settled(reply) => return reply,
            book::Begun::Gone => return unknown(uuid),
        };
        let ask = async {
            let _permit = self.0.requests.acquire().await;
            self.ask(&deployment).await
        };
        let (reply, agent) = tokio::select! {
            // It stays open, and is asked about again by the next manager.
            () = self.0.stop.cancelled() => return Reply::own(Outcome::NoAnswer, "the manager is stopping; it asks again when it runs again"),
            () = mark.interrupt.cancelled() => return Reply::own(Outcome::NoAnswer, "taken back by a later request for the same uuid"),
            answer = ask => answer,
        };
        log(&deployment, &reply);
        let written = {
            let mut book = self.book();
            let settled = book.settle(uuid, mark.revision, (&reply, agent), Instant::now());
            settled.map(|put| self.0.orders.write(Write { put: vec![put], ..Write::default() }))
        };
        let saved = match written {
            Some(written) => recorded(written).await,
            None => Ok(()),
        };
        if let Err(reason) = saved {
            warn!(uuid, reason, "an answer could not be saved; after a restart the board is asked again");
        }
        reply
    }
}

/// Waits for the disk, if it takes the write at all.
async fn recorded(written: Result<Written, OrdersError>) -> Result<(), String> {
    written.map_err(|error| error.to_string())?.done().await
}

/// A line for each answer that is another than the one before: a board that is away is asked every minute.
fn log(deployment: &Deployment, reply: &Reply) {
    let Deployment { uuid, board, desired, outcome, .. } = deployment;
    let (wanted, said, reason) = (desired.name(), reply.outcome.name(), &reply.message);
    if *outcome == Some(reply.outcome) {
        debug!(uuid, %board, wanted, outcome = said, reason, "asked again");
    } else {
        info!(uuid, %board, wanted, outcome = said, reason, "asked");
    }
}

fn unknown(uuid: &str) -> Reply {
    let message = format!("no deployment has the uuid {uuid}; `cardcage ps --all` lists them");
    Reply::own(Outcome::UnknownDeployment, message)
}

/// Now, as it is kept.
fn millis() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use cardcage_daemon::state_dir::StateDir;

    use super::*;
    use crate::{config, testing};

    #[tokio::test]
    async fn what_made_room_or_was_to_be_forgotten_is_there_when_nothing_can_be_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let (orders, _) = Orders::open(&StateDir::take(&dir.path().join("state")).unwrap()).unwrap();
        orders.close().await;
        let board = BoardId::from("b");
        let mut over = Deployment::stop_stranger("over", &board, None, 1);
        over.settle(&Reply::own(Outcome::Done, ""));
        let deployments = Deployments(Arc::new(Inner {
            book: Mutex::new(Book::new(vec![over.clone()], 1, Instant::now())),
            orders,
            agents: Arc::new(Agents::new(&config::Agents::default()).unwrap()),
            fleet: testing::fleet(),
            requests: Semaphore::new(1),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }));
        let stop = Stop { uuid: "new".into(), stranger: Some((board, None)) };
        let mut pending = deployments.stop(vec![stop]).await;
        assert_eq!(pending[0].reply().await.outcome, Outcome::NotRecorded);
        assert_eq!((deployments.get("over"), deployments.get("new")), (Some(over.clone()), None));
        assert!(deployments.forget("over").await.is_err());
        assert_eq!(deployments.get("over"), Some(over));
    }
}
