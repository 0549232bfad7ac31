//! One board, and whether it answers.
//!
//! ```text
//!              misses a query                 misses the third in a row
//!      Up ───────────────────────▶ Late ──────────────────────────────▶ Lost
//!       ▲                           │  ▲ silent for two periods,          │
//!       └──────── answers ──────────┘  │ whoever is to blame              │
//!       └───────────────────────────── answers ───────────────────────────┘
//! ```
//! Only heartbeats decide: they are the identity, and a board whose readings fail is not gone. A query that this manager
//! could not send is missed by nobody. A board that is not asked is not lost either, but cannot be called up for ever:
//! it is late. After a restart there are no queries to go by, so the silence alone decides until the board answers.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::identity::Identity;
use super::record::Unsaved;
use crate::clock::Moment;
use crate::model::{BoardId, Heartbeat, State, Subject, Summary};

/// Queries missed in a row that make a board lost.
const LOST_AFTER_MISSED: u32 = 3;

/// Periods of silence after which a board is late.
const LATE_AFTER_PERIODS: u32 = 2;

/// Periods of silence after which a restored board is lost, an address is no longer a board's own, and an identity is no
/// longer taken for copied.
pub(super) const LOST_AFTER_PERIODS: u32 = LOST_AFTER_MISSED + 1;

/// Addresses that are remembered of one board.
pub(super) const ADDRESS_LIMIT: usize = 8;

/// What the manager knows of one board.
#[derive(Debug, Clone)]
pub struct Board {
    /// Its key.
    pub id: BoardId,
    /// What it last said about itself.
    pub heartbeat: Arc<Heartbeat>,
    /// Its last readings.
    pub resource: Option<Received>,
    /// Its first report. None if that is a time in the future, since the clock was set back.
    pub first_seen: Option<Moment>,
    /// Its last report; the same.
    pub last_seen: Option<Moment>,
    /// How it stands.
    pub state: State,
    /// How well it answers.
    pub answers: PerSubject<Answers>,
    /// Where it was heard lately, the latest first.
    pub addresses: Vec<Seen>,
}

impl Board {
    /// Its readings, if they say something about now: what a board measured that is lost, or that no longer tells, does
    /// not.
    pub(super) fn current(&self, now: Moment, resource_every: Duration) -> Option<&Received> {
        let missed = self.answers.resource.missed_in_a_row >= LOST_AFTER_MISSED;
        let bound = resource_every.saturating_mul(LOST_AFTER_PERIODS);
        let is_old = |received: &Received| now.since(received.at) > bound;
        let gone = missed || self.state == State::Lost;
        self.resource.as_ref().filter(|received| !gone && !is_old(received))
    }
}

/// Readings, and when they came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The report as it came. It was checked.
    pub body: Arc<[u8]>,
    /// When it came.
    pub at: Moment,
    /// What fits into a line.
    pub summary: Summary,
}

/// An address that a board reported from.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The address.
    pub address: Ipv4Addr,
    /// When it was last reported from.
    pub at: Moment,
}

/// Something for each subject.
#[derive(Debug, Clone, Copy, Default)]
pub struct PerSubject<T> {
    /// For heartbeats.
    pub heartbeat: T,
    /// For resource reports.
    pub resource: T,
}

impl<T> PerSubject<T> {
    /// That of one subject.
    pub fn of(&mut self, subject: Subject) -> &mut T {
        match subject {
            Subject::Heartbeat => &mut self.heartbeat,
            Subject::Resource => &mut self.resource,
        }
    }
}

/// How a board answers queries on one subject.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answers {
    /// Its last answer in this run of the manager.
    pub last: Option<Moment>,
    /// Queries it has missed since then.
    pub missed_in_a_row: u32,
    /// Queries it has missed in all.
    pub missed_total: u64,
}

/// A query that went out.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) sent_at: Moment,
    /// The addresses of ours that it could be sent from.
    pub(super) from: Vec<Ipv4Addr>,
}

/// A board with what only the inventory needs.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) board: Board,
    /// No query from before this moment can have been missed.
    pub(super) known_since: Moment,
    /// The address of ours that its reports come in on, and so the one that its queries come from.
    pub(super) via: Option<Ipv4Addr>,
    /// Restored after a silence that was long, or of unknown length, and not heard since.
    pub(super) presumed_lost: bool,
    pub(super) identity: Identity,
    pub(super) weight: PerSubject<usize>,
    pub(super) unsaved: Unsaved,
    /// It is in the store, or on its way there.
    pub(super) stored: bool,
}

impl Entry {
    /// A board that is new.
    pub(super) fn new(id: BoardId, heartbeat: Arc<Heartbeat>, at: Moment) -> Self {
        let board = Board {
            id,
            heartbeat,
            resource: None,
            first_seen: Some(at),
            last_seen: Some(at),
            state: State::Up,
            answers: PerSubject::default(),
            addresses: Vec::new(),
        };
        Self {
            board,
            known_since: at,
            via: None,
            presumed_lost: false,
            identity: Identity::default(),
            weight: PerSubject::default(),
            unsaved: Unsaved::default(),
            stored: false,
        }
    }

    /// Notes that the board answered. Returns the state that it was in.
    pub(super) fn answered(&mut self, subject: Subject, at: Moment, via: Option<Ipv4Addr>) -> State {
        let before = self.board.state;
        let answers = self.board.answers.of(subject);
        answers.last = Some(at);
        answers.missed_in_a_row = 0;
        // Readings that waited for their board are older than the heartbeat that they waited for.
        self.board.last_seen = self.board.last_seen.max(Some(at));
        self.via = via;
        self.unsaved.counts = true;
        if subject == Subject::Heartbeat {
            self.presumed_lost = false;
            self.board.state = State::Up;
        }
        before
    }

    /// Notes the end of a round that the board may have missed.
    pub(super) fn round_over(&mut self, subject: Subject, round: &Round) {
        let asked = self.known_since <= round.sent_at && self.via.is_none_or(|via| round.from.contains(&via));
        let answers = self.board.answers.of(subject);
        if asked && answers.last.is_none_or(|last| last < round.sent_at) {
            answers.missed_in_a_row = answers.missed_in_a_row.saturating_add(1);
            answers.missed_total = answers.missed_total.saturating_add(1);
            self.unsaved.counts = true;
        }
    }

    /// Finds the board's state anew. Returns the one before, if it is another.
    pub(super) fn judge(&mut self, now: Moment, period: Duration) -> Option<State> {
        let missed = self.board.answers.heartbeat.missed_in_a_row;
        let heard = self.board.answers.heartbeat.last.or(self.board.last_seen);
        let silent = silent_for(heard, now, period.saturating_mul(LATE_AFTER_PERIODS));
        let state = if missed >= LOST_AFTER_MISSED || self.presumed_lost {
            State::Lost
        } else if missed > 0 || silent {
            State::Late
        } else {
            State::Up
        };
        let before = std::mem::replace(&mut self.board.state, state);
        (before != state).then_some(before)
    }

    /// Whether a restored board was silent for so long that it is taken for lost until it answers.
    pub(super) fn presume(&mut self, now: Moment, period: Duration) {
        self.presumed_lost = silent_for(self.board.last_seen, now, period.saturating_mul(LOST_AFTER_PERIODS));
        self.judge(now, period);
    }

    /// Notes an address. One too many pushes out the one that the board was not heard at for longest.
    pub(super) fn heard_at(&mut self, address: Ipv4Addr, at: Moment) {
        let addresses = &mut self.board.addresses;
        addresses.retain(|seen| seen.address != address);
        addresses.truncate(ADDRESS_LIMIT - 1);
        addresses.insert(0, Seen { address, at });
    }

    /// Gives up the addresses that the board was not heard at for long. The latest always stays.
    pub(super) fn give_up_addresses(&mut self, now: Moment, period: Duration) {
        let lately = period.saturating_mul(LOST_AFTER_PERIODS);
        let kept =
            1 + self.board.addresses.iter().skip(1).filter(|seen| now.since(seen.at) <= lately).count();
        // They are in the order of their moments, so the old ones are at the end.
        self.board.addresses.truncate(kept);
    }
}

/// Whether nothing was heard for longer than that. If nobody knows when it was, it was long ago.
fn silent_for(heard: Option<Moment>, now: Moment, span: Duration) -> bool {
    heard.is_none_or(|heard| now.since(heard) > span)
}
