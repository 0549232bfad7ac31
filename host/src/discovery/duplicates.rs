//! Which queries have been seen: one that arrives over two interfaces, or is sent again, is one query.
//!
//! A query with a `query_id` is known by it, whatever its source: a manager on two networks sends one query from two
//! addresses. One without is known by its source and its bytes, and only for a short time, since the next query of a
//! plain v1.1 manager has the same bytes. The time counts from the first copy: copies do not prolong it.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Identical bytes of one source within this time are one query.
const SAME_BYTES: Duration = Duration::from_millis(500);
/// A `query_id` is remembered for this long; no copy of a query is under way for longer.
const SAME_ID: Duration = Duration::from_secs(60);
/// The most that is remembered of each. At the highest rate that `rate` lets through this is ten seconds.
const CAPACITY: usize = 2048;

/// What tells one query from another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark<'a> {
    Id(&'a str),
    Bytes(Ipv4Addr, &'a [u8]),
}

/// The queries that were seen.
#[derive(Debug)]
pub(super) struct Duplicates {
    /// Keyed anew at each start, so that nobody can choose a query that passes for another.
    hasher: RandomState,
    ids: Recent,
    bytes: Recent,
}

impl Default for Duplicates {
    fn default() -> Self {
        Self { hasher: RandomState::new(), ids: Recent::new(SAME_ID), bytes: Recent::new(SAME_BYTES) }
    }
}

impl Duplicates {
    /// Whether this is the first copy. From then on it is known.
    pub(super) fn is_first(&mut self, mark: Mark<'_>, now: Instant) -> bool {
        match mark {
            Mark::Id(id) => self.ids.insert(self.hasher.hash_one(id), now),
            Mark::Bytes(source, bytes) => self.bytes.insert(self.hasher.hash_one((source, bytes)), now),
        }
    }
}

/// A bounded set whose members expire; when it is full, the oldest goes first.
#[derive(Debug)]
struct Recent {
    lifetime: Duration,
    members: HashSet<u64>,
    order: VecDeque<(Instant, u64)>,
}

impl Recent {
    fn new(lifetime: Duration) -> Self {
        Self { lifetime, members: HashSet::new(), order: VecDeque::new() }
    }

    fn insert(&mut self, member: u64, now: Instant) -> bool {
        self.expire(now);
        if !self.members.insert(member) {
            return false;
        }
        self.order.push_back((now, member));
        true
    }

    /// Makes room for one.
    fn expire(&mut self, now: Instant) {
        while let Some(&(since, member)) = self.order.front() {
            let old = now.saturating_duration_since(since) >= self.lifetime;
            if !old && self.order.len() < CAPACITY {
                return;
            }
            self.order.pop_front();
            self.members.remove(&member);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    #[test]
    fn identical_bytes_of_one_source_are_one_query_for_half_a_second() {
        let (mut seen, start) = (Duplicates::default(), Instant::now());
        let soon = start + Duration::from_millis(499);
        assert!(seen.is_first(Mark::Bytes(A, b"query"), start));
        assert!(!seen.is_first(Mark::Bytes(A, b"query"), soon));
        assert!(seen.is_first(Mark::Bytes(B, b"query"), soon));
        assert!(seen.is_first(Mark::Bytes(A, b"query"), start + SAME_BYTES));
    }

    #[test]
    fn copies_do_not_prolong_the_time() {
        let (mut seen, start) = (Duplicates::default(), Instant::now());
        let at = |copy: u32| start + copy * Duration::from_millis(300);
        let firsts = (0..10).filter(|copy| seen.is_first(Mark::Bytes(A, b"query"), at(*copy)));
        assert_eq!(firsts.count(), 5);
    }

    #[test]
    fn a_query_id_is_known_for_longer() {
        let (mut seen, start) = (Duplicates::default(), Instant::now());
        assert!(seen.is_first(Mark::Id("7"), start));
        assert!(!seen.is_first(Mark::Id("7"), start + Duration::from_secs(30)));
        assert!(seen.is_first(Mark::Id("8"), start));
        assert!(seen.is_first(Mark::Bytes(A, b"7"), start));
        assert!(seen.is_first(Mark::Id("7"), start + SAME_ID));
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_bounded_and_consistent(steps in prop::collection::vec((0..4000_u64, 0..50_u64), 0..6000)) {
            let mut recent = Recent::new(SAME_BYTES);
            let mut now = Instant::now();
            for (member, wait) in steps {
                now += Duration::from_micros(wait);
                recent.insert(member, now);
                prop_assert!(recent.order.len() <= CAPACITY);
                prop_assert_eq!(recent.order.len(), recent.members.len());
                prop_assert!(!recent.insert(member, now));
            }
        }
    }
}
