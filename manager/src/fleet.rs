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
mod inventory;
mod record;
#[cfg(test)]
mod tests;
mod view;
mod waiting;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use board::{Answers, Board, PerSubject, Received};
pub use inventory::{Refused, Taken};
pub use record::{Changes, Record, Restored};
pub use view::{Conflicts, Filter, Page, View};

use crate::clock::{Clock, Moment};
use crate::model::{Heartbeat, ResourceHead, State, Subject};
use inventory::{Inventory, Receipt};

/// The handle. A clone is the same fleet.
#[derive(Clone)]
pub struct Fleet {
    inventory: Arc<Mutex<Inventory>>,
    clock: Clock,
}

impl Fleet {
    /// An empty fleet whose boards are asked for a heartbeat this often.
    pub fn new(clock: Clock, heartbeat_every: Duration) -> Self {
        Self { inventory: Arc::new(Mutex::new(Inventory::new(heartbeat_every))), clock }
    }

    fn lock(&self) -> MutexGuard<'_, Inventory> {
        // Nothing under the lock panics; if it did, the state is that of before or after one report.
        self.inventory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the fleet's moments come from.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Takes a heartbeat. `via` is the address of ours that it came in on.
    pub fn heartbeat(&self, report: Heartbeat, via: Option<Ipv4Addr>, body: &[u8]) -> Result<Taken, Refused> {
        // Both are made before the lock is taken, and what is not kept of them is freed after it is given back.
        let (report, body) = (Arc::new(report), Arc::from(body));
        let receipt = Receipt { at: self.clock.now(), via, body: &body };
        let events = self.lock().heartbeat(&report, receipt)?;
        event::log(&events);
        Ok(Taken::Kept)
    }

    /// Takes a resource report.
    pub fn resource(&self, head: ResourceHead, via: Option<Ipv4Addr>, body: &[u8]) -> Result<Taken, Refused> {
        let body = Arc::from(body);
        let receipt = Receipt { at: self.clock.now(), via, body: &body };
        self.lock().resource(head, receipt)
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

    /// One board.
    pub fn board(&self, id: &str) -> Option<View> {
        self.lock().view(id)
    }

    /// Drops a board. It comes back, as a new one, when it is heard again.
    pub fn forget(&self, id: &str) -> bool {
        let forgotten = self.lock().forget(id);
        if forgotten {
            tracing::info!(board = id, "board forgotten");
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
