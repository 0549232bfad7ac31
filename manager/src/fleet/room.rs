//! How much the inventory keeps, and what makes room when that is too much.
//!
//! Whoever can reach the port can invent boards, so there must be an end, and inventions that have come to it must not keep
//! real boards out for ever. So lost boards make room, those that were known for the shortest time first: what is invented
//! is heard for moments, a board for months. A board that answers never makes room for another.

use std::time::Duration;

use super::inventory::{Inventory, Refused};
use crate::model::{BoardId, State, Subject};

/// Boards that are kept.
const BOARD_LIMIT: usize = 20_000;

/// Memory for what they said, in bytes.
const WEIGHT_LIMIT: usize = 2 << 30;

/// Room is made for this part of a limit at once: a flood of inventions must not make the manager look through all boards
/// for each of them.
const BATCH: usize = 64;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) boards: usize,
    /// In bytes.
    pub(super) weight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { boards: BOARD_LIMIT, weight: WEIGHT_LIMIT }
    }
}

impl Inventory {
    /// Finds or makes room for one more board.
    pub(super) fn room_for_board(&mut self, id: &BoardId) -> Result<(), Refused> {
        let Limits { boards: limit, .. } = self.limits;
        let over = (self.boards.len() + 1).saturating_sub(limit);
        if over > 0 {
            self.evict(over.max(limit / BATCH), 0, id);
        }
        if self.boards.len() < limit { Ok(()) } else { Err(Refused::Boards(limit)) }
    }

    /// Finds or makes room for so many bytes more of one board.
    pub(super) fn room_for_bytes(&mut self, more: usize, id: &BoardId) -> Result<(), Refused> {
        let Limits { weight: limit, .. } = self.limits;
        let over = self.weight.saturating_add(more).saturating_sub(limit);
        if over > 0 {
            self.evict(0, over.max(limit / BATCH), id);
        }
        if self.weight.saturating_add(more) <= limit { Ok(()) } else { Err(Refused::Weight(limit)) }
    }

    /// Gives what a board said on a subject another weight, if there is room for it.
    pub(super) fn reweigh(&mut self, id: &BoardId, subject: Subject, weight: usize) -> Result<(), Refused> {
        let Some(entry) = self.boards.get_mut(id) else { return Ok(()) };
        let before = *entry.weight.of(subject);
        // A lighter report is always welcome.
        if weight > before {
            self.room_for_bytes(weight - before, id)?;
        }
        if let Some(entry) = self.boards.get_mut(id) {
            *entry.weight.of(subject) = weight;
            self.weight = self.weight - before + weight;
        }
        Ok(())
    }

    /// Forgets lost boards until so many boards and bytes are gone, or nobody is lost any more but the one that it is for.
    fn evict(&mut self, boards: usize, bytes: usize, spared: &BoardId) {
        if self.nobody_lost {
            return;
        }
        let lost = self.boards.values().map(|entry| &entry.board);
        let lost = lost.filter(|board| board.state == State::Lost && board.id != *spared);
        // Where it is unknown it began in an earlier run.
        let known_for = |board: &super::Board| {
            let seen = board.last_seen.zip(board.first_seen);
            seen.map_or(Duration::MAX, |(last, first)| last.since(first))
        };
        let mut lost: Vec<_> =
            lost.map(|board| (known_for(board), board.last_seen, board.id.clone())).collect();
        lost.sort_unstable();
        let weight = self.weight;
        for (place, (.., id)) in lost.iter().enumerate() {
            if place >= boards && weight - self.weight >= bytes {
                return;
            }
            self.forget(id.as_str());
            self.evicted += 1;
        }
        // Boards become lost at the end of a round; until then another look is in vain.
        self.nobody_lost = true;
    }
}
