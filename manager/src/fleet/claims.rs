//! Which boards claim a thing that only one can have: a slot, an address.
//!
//! ```text
//! thing ─▶ plain boards that live │ boards of ours that live │ lost boards
//!          └─ those who look read from here, and stop after a few
//! ```
//! Thousands of inventions may claim one thing, live ones and lost ones. So its holders stand in the order in which they
//! count, and no look-up goes through them all: what it costs does not grow with their number.
//!
//! What a board claims follows from the board alone ([`Claim::of`]). Who changes a board does it through
//! [`Claims::follow`], so that the claims cannot say anything else.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;

use super::board::{ADDRESS_LIMIT, Board, Entry};
use crate::model::{BoardId, Slot, State};

/// What only one board can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Thing {
    Slot(Slot),
    Address(Ipv4Addr),
}

/// How much the claims of a board count, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It lives, and speaks v1.1 alone.
    Plain,
    /// It lives, and is of an agent of ours.
    Ours,
    /// It is lost.
    Lost,
}

/// What one board claims.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    standing: Standing,
    things: [Option<Thing>; 1 + ADDRESS_LIMIT],
}

/// The claims of all boards.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Sets, because inventions leave together.
    holders: HashMap<Thing, BTreeSet<(Standing, BoardId)>>,
    /// Things that more than one live board claimed at the last review.
    contested: HashSet<Thing>,
    /// Holders that somebody looked at.
    #[cfg(test)]
    pub(super) looks: std::cell::Cell<usize>,
}

/// A change that a review found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// More than one live board claims it now. How many.
    Contested(Thing, usize),
    /// At most one does, after more did.
    Settled(Thing),
}

impl Claim {
    /// That of a board as it stands.
    pub(super) fn of(board: &Board) -> Self {
        let standing = match (board.state, &board.heartbeat.agent) {
            (State::Lost, _) => Standing::Lost,
            (_, None) => Standing::Plain,
            (_, Some(_)) => Standing::Ours,
        };
        let slot = board.heartbeat.position.slot().map(Thing::Slot);
        let addresses = board.addresses.iter().map(|seen| Thing::Address(seen.address));
        let mut things = slot.into_iter().chain(addresses);
        Self { standing, things: std::array::from_fn(|_| things.next()) }
    }

    /// The things.
    pub(super) fn things(&self) -> impl Iterator<Item = Thing> {
        self.things.iter().copied().flatten()
    }

    fn has(&self, standing: Standing, thing: Thing) -> bool {
        self.standing == standing && self.things.contains(&Some(thing))
    }
}

impl Claims {
    /// Lets a board change, and its claims with it.
    pub(super) fn follow<T>(&mut self, entry: &mut Entry, change: impl FnOnce(&mut Entry) -> T) -> T {
        let before = Claim::of(&entry.board);
        let outcome = change(entry);
        let now = Claim::of(&entry.board);
        if before != now {
            self.remove(&entry.board.id, &before, |thing| !now.has(before.standing, thing));
            self.add(&entry.board.id, &now, |thing| !before.has(now.standing, thing));
        }
        outcome
    }

    /// A board begins to be known.
    pub(super) fn enter(&mut self, board: &Board) {
        self.add(&board.id, &Claim::of(board), |_| true);
    }

    /// A board is forgotten.
    pub(super) fn leave(&mut self, board: &Board) {
        self.remove(&board.id, &Claim::of(board), |_| true);
    }

    fn add(&mut self, id: &BoardId, claim: &Claim, which: impl Fn(Thing) -> bool) {
        for thing in claim.things().filter(|thing| which(*thing)) {
            self.holders.entry(thing).or_default().insert((claim.standing, id.clone()));
        }
    }

    fn remove(&mut self, id: &BoardId, claim: &Claim, which: impl Fn(Thing) -> bool) {
        let holder = (claim.standing, id.clone());
        for thing in claim.things().filter(|thing| which(*thing)) {
            if let Some(holders) = self.holders.get_mut(&thing) {
                holders.remove(&holder);
                if holders.is_empty() {
                    self.holders.remove(&thing);
                }
            }
        }
    }

    /// Who claims a thing, in the order in which they count. There may be very many, so nobody may need them all.
    pub(super) fn holders(&self, thing: Thing) -> impl Iterator<Item = (Standing, &BoardId)> {
        let holders = self.holders.get(&thing).into_iter().flatten();
        #[cfg(test)]
        let holders = holders.inspect(|_| self.looks.set(self.looks.get() + 1));
        holders.map(|(standing, id)| (*standing, id))
    }

    /// Those of them who live.
    pub(super) fn live(&self, thing: Thing) -> impl Iterator<Item = &BoardId> {
        self.holders(thing).take_while(|(standing, _)| *standing != Standing::Lost).map(|(_, id)| id)
    }

    /// Says which things came to be contested, and which no longer are, since the last review. Only of the former are the
    /// holders counted.
    pub(super) fn review(&mut self) -> Vec<Verdict> {
        let is_contested = |thing: &Thing| self.live(*thing).nth(1).is_some();
        let claimed_by_many = self.holders.iter().filter(|(_, holders)| holders.len() > 1);
        let new = claimed_by_many
            .map(|(thing, _)| thing)
            .filter(|thing| !self.contested.contains(thing) && is_contested(thing))
            .map(|thing| Verdict::Contested(*thing, self.live(*thing).count()));
        let old = self.contested.iter().filter(|thing| !is_contested(thing));
        let verdicts: Vec<_> = new.chain(old.map(|thing| Verdict::Settled(*thing))).collect();
        for verdict in &verdicts {
            match verdict {
                Verdict::Contested(thing, _) => self.contested.insert(*thing),
                Verdict::Settled(thing) => self.contested.remove(thing),
            };
        }
        verdicts
    }

    /// All of them.
    #[cfg(test)]
    pub(super) fn all(&self) -> BTreeSet<(Thing, Standing, BoardId)> {
        let all = self.holders.iter().flat_map(|(thing, holders)| {
            holders.iter().map(|(standing, id)| (*thing, *standing, id.clone()))
        });
        all.collect()
    }
}
