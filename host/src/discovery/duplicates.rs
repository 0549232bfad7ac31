//! Which queries have been seen: one that arrives over two interfaces, or is sent again, is one query.
//!
//! A query with a `query_id` is known by it and its subject. A UUID is one query's in all the world, so it counts
//! whatever its source: a manager on two networks sends one query from two addresses. Any other id is its manager's own
//! way of counting: from another source it is a copy only for a short time, so that two managers that number their
//! queries do not silence each other.
//!
//! A query without an id is known by its source and its bytes, and only for a short time, since the next query of a plain
//! v1.1 manager has the same bytes. The time counts from the first copy: copies do not prolong it.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::query::{Query, Subject};

/// Identical bytes of one source within this time are one query, and so is one id that is no UUID, whatever its source.
const SHORT: Duration = Duration::from_millis(500);
/// A `query_id` is remembered for this long; no copy of a query is under way for longer.
const LONG: Duration = Duration::from_secs(60);
/// The most that is remembered of each. At the highest rate that `rate` lets through this is ten seconds.
const CAPACITY: usize = 2048;

/// What tells one query from another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark<'a> {
    /// A `query_id` that is a UUID.
    Unique(Subject, Uuid),
    /// Any other `query_id`.
    Number(Ipv4Addr, Subject, &'a str),
    /// No `query_id`.
    Bytes(Ipv4Addr, &'a [u8]),
}

impl<'a> Mark<'a> {
    pub(super) fn new(source: Ipv4Addr, query: &'a Query, datagram: &'a [u8]) -> Self {
        match query.query_id.as_deref() {
            None => Self::Bytes(source, datagram),
            Some(id) => match Uuid::try_parse(id) {
                Ok(id) => Self::Unique(query.subject, id),
                Err(_) => Self::Number(source, query.subject, id),
            },
        }
    }
}

/// The queries that were seen.
#[derive(Debug)]
pub(super) struct Duplicates {
    /// Keyed anew at each start, so that nobody can choose a query that passes for another.
    hasher: RandomState,
    long: Recent,
    short: Recent,
}

impl Default for Duplicates {
    fn default() -> Self {
        Self { hasher: RandomState::new(), long: Recent::new(LONG), short: Recent::new(SHORT) }
    }
}

impl Duplicates {
    /// Whether this is the first copy. From then on it is known.
    pub(super) fn is_first(&mut self, mark: Mark<'_>, now: Instant) -> bool {
        match mark {
            Mark::Unique(subject, id) => self.long.insert(self.hasher.hash_one((subject, id)), now),
            Mark::Number(source, subject, id) => {
                let of_source = self.long.insert(self.hasher.hash_one((source, subject, id)), now);
                let of_all = self.short.insert(self.hasher.hash_one((subject, id)), now);
                of_source && of_all
            }
            Mark::Bytes(source, bytes) => self.short.insert(self.hasher.hash_one((source, bytes)), now),
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
        assert!(seen.is_first(Mark::Bytes(A, b"query"), start + SHORT));
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
        let number = |id| Mark::Number(A, Subject::Resource, id);
        assert!(seen.is_first(number("7"), start));
        assert!(!seen.is_first(number("7"), start + Duration::from_secs(30)));
        assert!(seen.is_first(number("8"), start));
        assert!(seen.is_first(Mark::Bytes(A, b"7"), start));
        assert!(seen.is_first(number("7"), start + LONG));
    }

    #[test]
    fn a_uuid_is_one_query_from_everywhere_and_a_number_is_its_managers_own() {
        let (mut seen, now) = (Duplicates::default(), Instant::now());
        let query = |query_id: &str, subject| Query {
            manager: "10.0.0.1:3926".parse().unwrap(),
            subject,
            extended: true,
            query_id: Some(query_id.into()),
            spread: Duration::ZERO,
        };
        let mut first_at = |source: Ipv4Addr, id: &str, subject: Subject, now: Instant| {
            let query = query(id, subject);
            seen.is_first(Mark::new(source, &query, b""), now)
        };
        let mut first = |source: Ipv4Addr, id: &str, subject: Subject| first_at(source, id, subject, now);
        let uuid = "3fc0d3b4-3bf3-4c4c-8f1d-3a1e4d0b6a55";
        assert!(first(A, uuid, Subject::Resource));
        assert!(!first(B, &uuid.to_uppercase(), Subject::Resource));
        assert!(first(A, uuid, Subject::Heartbeat));
        assert!(first(A, "1", Subject::Resource));
        assert!(!first(B, "1", Subject::Resource));
        assert!(first_at(B, "2", Subject::Resource, now));
        assert!(first_at(A, "2", Subject::Resource, now + SHORT));
        assert!(!first_at(B, "2", Subject::Resource, now + SHORT));
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_bounded_and_consistent(steps in prop::collection::vec((0..4000_u64, 0..50_u64), 0..6000)) {
            let mut recent = Recent::new(SHORT);
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
