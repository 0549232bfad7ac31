//! What goes to the disk and comes back: the latest reports as they were received, and the counts beside them.
//!
//! The reports' own bytes are the format: the protocol is frozen, so what was saved by one version is read by the next.
//!
//! While the store fails, what waits for it does not grow: of a board that is there the latest is kept with it, and one
//! that is gone is remembered only if the store has it.

use std::sync::Arc;

use super::board::{Answers, Board, Entry, PerSubject, Received};
use super::inventory::Inventory;
use crate::clock::Moment;
use crate::model::{BoardId, Heartbeat};

/// What changed since the last save.
#[derive(Debug, Default)]
pub struct Changes {
    /// Boards that are gone. To be applied first: one of them may be back already.
    pub forgotten: Vec<BoardId>,
    /// Boards that are new or have changed.
    pub boards: Vec<Record>,
}

impl Changes {
    /// Nothing to save.
    pub fn is_empty(&self) -> bool {
        self.forgotten.is_empty() && self.boards.is_empty()
    }
}

/// One board to save.
#[derive(Debug)]
pub struct Record {
    /// The board, for its counts.
    pub board: Board,
    /// Its heartbeat, if that is another than the saved one.
    pub heartbeat: Option<Arc<[u8]>>,
    /// Its readings are newer than the saved ones.
    pub resource: bool,
    /// The store has nothing of it yet.
    pub new: bool,
}

/// One board of an earlier run.
#[derive(Debug)]
pub struct Restored {
    /// Its heartbeat, and how many bytes that had.
    pub heartbeat: (Heartbeat, usize),
    /// Its readings.
    pub resource: Option<Received>,
    /// Its first report, if it is known when that was.
    pub first_seen: Option<Moment>,
    /// Its last report; the same.
    pub last_seen: Option<Moment>,
    /// Queries that it had missed: heartbeats in a row and in all, resources in a row and in all.
    pub missed: [(u32, u64); 2],
}

/// What the store has not seen of one board.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    pub(super) counts: bool,
    pub(super) heartbeat: Option<Arc<[u8]>>,
    pub(super) resource: bool,
}

impl Unsaved {
    fn any(&self) -> bool {
        self.counts || self.heartbeat.is_some() || self.resource
    }
}

impl Inventory {
    pub(super) fn take_unsaved(&mut self) -> Changes {
        let boards = self.boards.values_mut().filter(|entry| entry.unsaved.any()).map(|entry| {
            let Unsaved { heartbeat, resource, .. } = std::mem::take(&mut entry.unsaved);
            let new = !std::mem::replace(&mut entry.stored, true);
            Record { board: entry.board.clone(), heartbeat, resource, new }
        });
        Changes { boards: boards.collect(), forgotten: self.forgotten.drain().collect() }
    }

    /// Takes back what was not saved, where there is nothing newer.
    pub(super) fn put_back(&mut self, changes: Changes) {
        for record in changes.boards {
            if record.new {
                // If it went away meanwhile: it did not come into the store.
                self.forgotten.remove(&record.board.id);
            }
            let Some(entry) = self.boards.get_mut(&record.board.id) else {
                continue;
            };
            entry.unsaved.counts = true;
            entry.unsaved.heartbeat = entry.unsaved.heartbeat.take().or(record.heartbeat);
            entry.unsaved.resource |= record.resource;
            entry.stored &= !record.new;
        }
        // After the boards: a new one may have the id of one that the store still has.
        self.forgotten.extend(changes.forgotten);
    }

    /// Puts back a board of an earlier run. The limits do not apply: they did when it was saved.
    pub(super) fn restore(&mut self, restored: Restored, now: Moment) {
        let (heartbeat, length) = restored.heartbeat;
        let id = BoardId::of(&heartbeat);
        let mut entry = Entry::new(id.clone(), Arc::new(heartbeat), now);
        entry.weight.heartbeat = entry.board.heartbeat.weight(length);
        entry.weight.resource = restored.resource.as_ref().map_or(0, |received| received.body.len());
        entry.board.resource = restored.resource;
        self.weight += entry.weight.heartbeat + entry.weight.resource;
        entry.board.first_seen = restored.first_seen;
        // The clock may have been wrong when one of them was saved. A first report that is too early would stay so for good.
        entry.board.last_seen =
            restored.last_seen.map(|last| restored.first_seen.map_or(last, |first| first.max(last)));
        let answers = |(missed_in_a_row, missed_total)| Answers { last: None, missed_in_a_row, missed_total };
        let [heartbeat, resource] = restored.missed.map(answers);
        entry.board.answers = PerSubject { heartbeat, resource };
        entry.presume(now, self.heartbeat_every);
        entry.stored = true;
        self.nobody_lost = false;
        self.insert(id, entry, restored.last_seen.unwrap_or(now));
    }
}
