//! What is written down of a deployment, before anything is done: one file a uuid.
//!
//! ```text
//!             .----------- start again (a new run) -----------.
//!             v                                               |
//! (start) Clearing -> Starting -> Running --ends by itself--> Ended
//!             |          |           |                          ^
//!             |          |           `--(stop)--> Stopping -> Stopped
//!             |          `--fails--> RollingBack ---------------'
//!             `--(stop)-> Stopping
//! ```
//! Whatever phase the file says, the driver goes on from there: each phase is something that can be done again.
//! `Clearing` removes what an earlier run left, so a first run begins with `Starting`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::order::{Allocation, Id, Order};

/// Ids of a deployment that are remembered.
const IDS: usize = 16;
/// Keys of a backend's notes, and all of their bytes.
const NOTES: usize = 64;
const NOTE_KEY: usize = 64;
const NOTE_BYTES: usize = 64 << 10;

/// One deployment, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub order: Order,
    pub allocation: Allocation,
    pub phase: Phase,
    /// What it is and was known by, the latest last: a manager may stop it by any of them.
    pub ids: Vec<Id>,
    /// What the backend calls it.
    pub name: String,
    /// The boot of the board in which it ran last.
    #[serde(default)]
    pub boot: String,
    /// When the phase began, in seconds since 1970.
    pub since: u64,
    /// What the backend wrote down.
    #[serde(default)]
    pub notes: std::collections::BTreeMap<String, String>,
}

/// Where a deployment stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// What an earlier run left is removed; then it is started.
    Clearing,
    /// It is fetched and started.
    Starting,
    /// It ran when it was looked at last.
    Running,
    /// It is ended, and what was made for it removed.
    Stopping,
    /// It could not be started: what was made is removed.
    RollingBack { outcome: Outcome, reason: String },
    /// It ended by itself, or could not be started.
    Ended { failed: bool, outcome: Outcome, reason: Option<String> },
    /// It was ended by an order.
    Stopped,
}

/// How a request ended: the words of the protocol's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    Invalid,
    UnknownType,
    Conflict,
    NoRoom,
    WrongInstance,
    Artifact,
    Failed,
    Unreachable,
    UnderWay,
    Denied,
    NoSpace,
    NotNow,
}

impl Phase {
    /// Whether the allocation is taken from the board.
    pub const fn holds(&self) -> bool {
        !self.over()
    }

    /// Whether nothing is to be done and nothing runs.
    pub const fn over(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Stopped)
    }

    /// A word for the log.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Clearing => "clearing",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::RollingBack { .. } => "rolling back",
            Self::Ended { .. } => "ended",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A note that is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("at most {NOTES} keys of {NOTE_KEY} bytes are kept, and {NOTE_BYTES} bytes in all")]
pub struct NoteTooLarge;

impl Record {
    /// A new run, written down for the first time.
    pub fn new(order: Order, allocation: Allocation, phase: Phase) -> Self {
        let name = order.name.clone();
        Self {
            order,
            allocation,
            phase,
            ids: Vec::new(),
            name,
            boot: String::new(),
            since: now(),
            notes: std::collections::BTreeMap::new(),
        }
    }

    /// What is over holds nothing any more, whatever becomes of it.
    pub fn enter(&mut self, phase: Phase) {
        if phase.over() {
            self.allocation = Allocation::default();
        }
        self.phase = phase;
        self.since = now();
    }

    /// Seconds since the phase began, by the board's clock.
    pub fn age(&self) -> u64 {
        now().saturating_sub(self.since)
    }

    /// Takes an id; the last one is the present one.
    pub fn known_as(&mut self, id: Id) {
        self.ids.retain(|known| *known != id);
        self.ids.push(id);
        let surplus = self.ids.len().saturating_sub(IDS);
        self.ids.drain(..surplus);
    }

    /// Whether a manager means this one. The uuid itself always does: it cannot be recycled, and it is all that a manager
    /// has of an instance that has no id yet. A number may come as a text.
    pub fn is_meant_by(&self, id: &Id) -> bool {
        let text = |id: &Id| match id {
            Id::Number(number) => number.to_string(),
            Id::Text(text) => text.clone(),
        };
        let asked = text(id);
        asked == self.order.uuid || self.ids.iter().any(|known| text(known) == asked)
    }

    /// Keeps a note of the backend.
    pub fn note(&mut self, key: &str, value: String) -> Result<(), NoteTooLarge> {
        let others = self.notes.iter().filter(|(known, _)| known.as_str() != key);
        let (keys, bytes) = others.fold((0, 0), |(keys, bytes), (_, value)| (keys + 1, bytes + value.len()));
        if keys >= NOTES || key.len() > NOTE_KEY || bytes + value.len() > NOTE_BYTES {
            return Err(NoteTooLarge);
        }
        self.notes.insert(key.to_owned(), value);
        Ok(())
    }
}

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::testing::order;

    fn record() -> Record {
        Record::new(order("u"), Allocation::default(), Phase::Starting)
    }

    #[test]
    fn it_is_meant_by_its_uuid_and_by_every_id_that_it_had() {
        let mut record = record();
        assert!(record.is_meant_by(&Id::Text("u".into())));
        assert!(!record.is_meant_by(&Id::Number(4711)));
        record.known_as(Id::Number(4711));
        record.known_as(Id::Number(815));
        assert!(record.is_meant_by(&Id::Number(4711)) && record.is_meant_by(&Id::Text("815".into())));
        assert!(!record.is_meant_by(&Id::Number(816)));
        assert_eq!(record.ids.last(), Some(&Id::Number(815)));
        (0..100).for_each(|id| record.known_as(Id::Number(id)));
        assert_eq!(record.ids.len(), IDS);
    }

    #[test]
    fn notes_have_an_end() {
        let mut record = record();
        record.note("image", "x".repeat(NOTE_BYTES)).unwrap();
        assert_eq!(record.note("more", "x".into()), Err(NoteTooLarge));
        record.note("image", "y".into()).unwrap();
        assert_eq!(record.note(&"k".repeat(65), String::new()), Err(NoteTooLarge));
        for key in 1..NOTES {
            record.note(&key.to_string(), String::new()).unwrap();
        }
        assert_eq!(record.note("more", String::new()), Err(NoteTooLarge));
    }
}
