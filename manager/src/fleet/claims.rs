//! Which boards claim a thing that only one can have: a slot, an address.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use crate::model::BoardId;

/// The claims on things of one kind.
#[derive(Debug)]
pub(super) struct Claims<K> {
    /// Sets, because thousands of inventions may claim one thing, and leave together.
    holders: HashMap<K, BTreeSet<BoardId>>,
    /// Those that more than one live board claimed at the last review.
    contested: HashSet<K>,
}

/// A change that a review found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<K> {
    /// More than one live board claims it now. How many.
    Contested(K, usize),
    /// At most one does, after more did.
    Settled(K),
}

impl<K: Copy + Eq + Hash> Claims<K> {
    pub(super) fn new() -> Self {
        Self { holders: HashMap::new(), contested: HashSet::new() }
    }

    /// A board begins to claim a thing that it did not claim before.
    pub(super) fn add(&mut self, key: K, id: BoardId) {
        self.holders.entry(key).or_default().insert(id);
    }

    /// A board no longer claims it.
    pub(super) fn remove(&mut self, key: K, id: &BoardId) {
        if let Some(holders) = self.holders.get_mut(&key) {
            holders.remove(id);
            if holders.is_empty() {
                self.holders.remove(&key);
            }
        }
    }

    /// Every board that claims it, dead or alive.
    pub(super) fn holders(&self, key: K) -> &BTreeSet<BoardId> {
        static NOBODY: BTreeSet<BoardId> = BTreeSet::new();
        self.holders.get(&key).unwrap_or(&NOBODY)
    }

    /// How many claims there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.holders.values().map(BTreeSet::len).sum()
    }

    /// Says which things came to be contested, and which no longer are, since the last review.
    pub(super) fn review(&mut self, live: impl Fn(&BoardId) -> bool) -> Vec<Verdict<K>> {
        let mut verdicts = Vec::new();
        for (key, holders) in self.holders.iter().filter(|(_, holders)| holders.len() > 1) {
            let claimants = holders.iter().filter(|id| live(id)).count();
            if claimants > 1 && !self.contested.contains(key) {
                verdicts.push(Verdict::Contested(*key, claimants));
            }
        }
        for key in &self.contested {
            if self.holders(*key).iter().filter(|id| live(id)).take(2).count() < 2 {
                verdicts.push(Verdict::Settled(*key));
            }
        }
        for verdict in &verdicts {
            match verdict {
                Verdict::Contested(key, _) => self.contested.insert(*key),
                Verdict::Settled(key) => self.contested.remove(key),
            };
        }
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contest_is_told_once_and_so_is_its_end() {
        let mut claims = Claims::new();
        let (one, two) = (BoardId::from("one"), BoardId::from("two"));
        claims.add(7, one.clone());
        assert!(claims.review(|_| true).is_empty());
        claims.add(7, two.clone());
        assert_eq!(claims.review(|_| true), [Verdict::Contested(7, 2)]);
        assert!(claims.review(|_| true).is_empty());
        assert_eq!(claims.review(|id| *id != two), [Verdict::Settled(7)]);
        assert_eq!(claims.review(|_| true), [Verdict::Contested(7, 2)]);
        claims.remove(7, &one);
        assert_eq!(claims.review(|_| true), [Verdict::Settled(7)]);
        claims.remove(7, &two);
        assert!(claims.holders(7).is_empty());
    }
}
