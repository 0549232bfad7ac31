//! What others see of the inventory.

use std::ops::Bound;
use std::time::Duration;

use super::board::{Board, Entry};
use super::claims::{Claim, Thing};
use super::identity::Claimant;
use super::inventory::Inventory;
use crate::clock::Moment;
use crate::model::{BoardId, State};

/// Which boards are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this chassis.
    pub box_id: Option<i32>,
}

impl Filter {
    fn admits(&self, board: &Board) -> bool {
        self.state.is_none_or(|state| state == board.state)
            && self.box_id.is_none_or(|box_id| box_id == board.heartbeat.position.box_id)
    }
}

/// Some of the boards that were asked for.
#[derive(Debug)]
pub struct Page {
    /// In the order of their ids.
    pub boards: Vec<View>,
    /// How many there are in all.
    pub total: usize,
    /// There are more after the last one.
    pub more: bool,
}

/// A board as it stands.
#[derive(Debug, Clone)]
pub struct View {
    /// The board.
    pub board: Board,
    /// With whom it is at odds.
    pub conflicts: Conflicts,
    /// Since when it is known, also from an earlier run.
    pub(super) known_since: Moment,
}

/// Periods that a board must have been known for before it is chosen without being named.
const PROBATION_PERIODS: u32 = 2;

impl View {
    /// See [`super::Fleet::doubt`].
    pub(super) fn doubt(&self, now: Moment, period: Duration, is_trusted: bool) -> Option<String> {
        let Conflicts { slot, address, identity } = &self.conflicts;
        let ids = |boards: &[BoardId]| boards.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let probation = period.saturating_mul(PROBATION_PERIODS);
        if self.board.state != State::Up {
            Some(format!("it is {}, not up", self.board.state.name()))
        } else if !identity.is_empty() {
            Some("several agents say that they are this board".to_owned())
        } else if !slot.is_empty() {
            Some(format!("its slot is also that of {}", ids(slot)))
        } else if !address.is_empty() {
            Some(format!("its address is also that of {}", ids(address)))
        } else if !is_trusted && now.since(self.known_since) <= probation {
            Some(format!(
                "it is known for no longer than {}, two queries",
                humantime::format_duration(probation)
            ))
        } else {
            None
        }
    }
}

/// Who claims what this board claims: live boards, at most `LIMIT` of each sort, and agents.
#[derive(Debug, Clone, Default)]
pub struct Conflicts {
    /// Its slot.
    pub slot: Vec<BoardId>,
    /// One of its addresses.
    pub address: Vec<BoardId>,
    /// Its identity: every agent that has it, if there is more than one.
    pub identity: Vec<Claimant>,
}

impl Conflicts {
    pub(super) const LIMIT: usize = 8;
}

impl Inventory {
    /// Boards in the order of their ids.
    pub(super) fn page(&self, filter: &Filter, after: Option<&str>, limit: usize) -> Page {
        let total = self.boards.values().filter(|entry| filter.admits(&entry.board)).count();
        let (boards, more) = self.some(filter, after, limit);
        Page { boards, total, more }
    }

    /// The same without their number, and whether there are more.
    pub(super) fn some(&self, filter: &Filter, after: Option<&str>, limit: usize) -> (Vec<View>, bool) {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.order.range::<str, _>((start, Bound::Unbounded));
        let mut rest = rest.filter_map(|id| self.boards.get(id)).filter(|entry| filter.admits(&entry.board));
        let boards = rest.by_ref().take(limit).map(|entry| self.look(entry)).collect();
        (boards, rest.next().is_some())
    }

    /// One board.
    pub(super) fn view(&self, id: &str) -> Option<View> {
        self.boards.get(id).map(|entry| self.look(entry))
    }

    fn look(&self, entry: &Entry) -> View {
        let board = &entry.board;
        let mut conflicts = Conflicts::default();
        if board.state != State::Lost {
            for thing in Claim::of(board).things() {
                let rivals = match thing {
                    Thing::Slot(_) => &mut conflicts.slot,
                    Thing::Address(_) => &mut conflicts.address,
                };
                self.find_rivals(board, thing, rivals);
            }
            conflicts.identity = entry.identity.claimants().cloned().collect();
        }
        let known_since = board.first_seen.map_or(entry.known_since, |first| first.min(entry.known_since));
        View { board: board.clone(), conflicts, known_since }
    }

    fn find_rivals(&self, board: &Board, thing: Thing, rivals: &mut Vec<BoardId>) {
        // No more are needed: of so many, all but one are rivals, and they fill the list.
        for id in self.claims.live(thing).take(Conflicts::LIMIT + 1).filter(|id| **id != board.id) {
            if rivals.len() < Conflicts::LIMIT && !rivals.contains(id) {
                rivals.push(id.clone());
            }
        }
    }

    pub(super) fn count(&self) -> [usize; State::ALL.len()] {
        State::ALL.map(|state| self.boards.values().filter(|entry| entry.board.state == state).count())
    }
}
