//! The inventory of the fleet: who was heard, what was said, who is missing.
//!
//! ```text
//! receive ──heartbeat, resource──▶ ┌───────────┐ ──boards, board──▶ api, metrics
//! query ────close, asked─────────▶ │ Inventory │
//! api ──────forget───────────────▶ └───────────┘ ◀─unsaved, put_back─▶ store
//! ```
//! `Inventory` is plain state: no I/O, no clock, every moment is handed in. [`Fleet`] is the handle that the other
//! subsystems hold. Behind it stands a lock and not a task: what happens under it is a look-up and a swap of pointers,
//! less than the hand-over of one message to an actor and back would cost each of the thousands of reports a second.
//! The lock is private to this file, and is never held over an await or a log line.

mod board;
mod claims;
mod event;
mod identity;
mod inventory;
mod record;
mod room;
#[cfg(test)]
mod tests;
mod view;
mod waiting;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

pub use board::{Answers, Board, PerSubject, Received};
pub use identity::Claimant;
pub use inventory::{Refused, Taken};
pub use record::{Changes, Record, Restored};
pub use view::{Conflicts, Filter, Page, View};

use crate::clock::{Clock, Moment};
use crate::model::{BoardId, Heartbeat, QueryId, ResourceHead, State, Subject};
use crate::quiet::Quiet;
use identity::Answer;
use inventory::{Inventory, Receipt};
use room::Limits;

/// Boards that are looked at under one lock by who needs them all.
const AT_ONCE: usize = 256;

/// The handle. A clone is the same fleet.
#[derive(Clone)]
pub struct Fleet {
    inventory: Arc<Mutex<Inventory>>,
    clock: Clock,
    every: PerSubject<Duration>,
    evictions: Arc<Quiet>,
}

impl Fleet {
    /// An empty fleet whose boards are asked this often.
    pub fn new(clock: Clock, every: PerSubject<Duration>) -> Self {
        let inventory = Arc::new(Mutex::new(Inventory::new(every.heartbeat, Limits::default())));
        Self { inventory, clock, every, evictions: Arc::new(Quiet::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, Inventory> {
        // Nothing under the lock panics; if it did, the state is that of before or after one report.
        self.inventory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the fleet's moments come from.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Takes a heartbeat. `query` is what it answers, `via` the address of ours that it came in on.
    pub fn heartbeat(
        &self,
        report: Heartbeat,
        query: Option<QueryId>,
        via: Option<Ipv4Addr>,
        body: &[u8],
    ) -> Result<Taken, Refused> {
        // All are made before the lock is taken, and what is not kept of them is freed after it is given back.
        let answer = query.map(|query| Answer { query, by: Claimant::of(&report) });
        let (report, body) = (Arc::new(report), Arc::from(body));
        let receipt = Receipt { at: self.clock.now(), via, body: &body };
        let (events, taken) = self.make_room(|inventory| inventory.heartbeat(&report, answer, receipt));
        event::log(&events);
        taken.map(|()| Taken::Kept)
    }

    /// Takes a resource report.
    pub fn resource(&self, head: ResourceHead, via: Option<Ipv4Addr>, body: &[u8]) -> Result<Taken, Refused> {
        let body = Arc::from(body);
        let receipt = Receipt { at: self.clock.now(), via, body: &body };
        self.make_room(|inventory| inventory.resource(head, receipt))
    }

    /// Takes what may need room, and tells if other boards made it.
    fn make_room<T>(&self, take: impl FnOnce(&mut Inventory) -> T) -> T {
        let (taken, evicted) = {
            let mut inventory = self.lock();
            (take(&mut inventory), std::mem::take(&mut inventory.evicted))
        };
        if evicted > 0
            && let Some(kept_back) = self.evictions.due()
        {
            warn!(boards = evicted, kept_back, "the inventory is full, lost boards were forgotten");
        }
        taken
    }

    /// Ends the latest round of queries on a subject: who did not answer has missed it.
    pub fn close(&self, subject: Subject) {
        let now = self.clock.now();
        let events = self.lock().close(subject, now);
        event::log(&events);
    }

    /// Begins a round: a query on this subject went out from these addresses, the first of them at `sent_at`.
    pub fn asked(&self, subject: Subject, sent_at: Moment, from: Vec<Ipv4Addr>) {
        self.lock().asked(subject, sent_at, from);
    }

    /// Boards in the order of their ids.
    pub fn boards(&self, filter: &Filter, after: Option<&str>, limit: usize) -> Page {
        self.lock().page(filter, after, limit)
    }

    /// Every board, in the order of their ids. They are taken out a few at a time, and reports come in between.
    pub fn walk(&self) -> impl Iterator<Item = View> {
        let mut after = Some(None::<BoardId>);
        let pages = std::iter::from_fn(move || {
            let start = after.take()?;
            let start = start.as_ref().map(BoardId::as_str);
            let (boards, more) = self.lock().some(&Filter::default(), start, AT_ONCE);
            after = boards.last().filter(|_| more).map(|view| Some(view.board.id.clone()));
            Some(boards)
        });
        pages.flatten()
    }

    /// A board's readings, if they say something about now.
    pub fn current<'a>(&self, board: &'a Board) -> Option<&'a Received> {
        board.current(self.clock.now(), self.every.resource)
    }

    /// Why a board is not to be chosen without being named, if there is a reason. Anybody can invent one: whoever does has
    /// to keep it up for a while, and in contradiction to nobody. `is_trusted` spares it the while.
    pub fn doubt(&self, view: &View, is_trusted: bool) -> Option<String> {
        view.doubt(self.clock.now(), self.every.heartbeat, is_trusted)
    }

    /// One board.
    pub fn board(&self, id: &str) -> Option<View> {
        self.lock().view(id)
    }

    /// Drops a board. It comes back, as a new one, when it is heard again.
    pub fn forget(&self, id: &str) -> bool {
        let forgotten = self.lock().forget(id);
        if forgotten {
            info!(board = id, "board forgotten");
        }
        forgotten
    }

    /// How many boards there are in each state, in the order of [`State::ALL`].
    pub fn count(&self) -> [usize; State::ALL.len()] {
        self.lock().count()
    }

    /// What the store has not yet seen. It is taken for saved from here on.
    pub fn unsaved(&self) -> Changes {
        self.lock().take_unsaved()
    }

    /// Gives back what could not be saved.
    pub fn put_back(&self, changes: Changes) {
        self.lock().put_back(changes);
    }

    /// Puts back a board of an earlier run.
    pub fn restore(&self, restored: Restored) {
        let now = self.clock.now();
        self.lock().restore(restored, now);
    }
}
