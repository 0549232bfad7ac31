//! Queries that were accepted and are not due yet: each waits for its agent's share of the spread, and all of them for
//! the first sample. Waiting costs a place in a list, not one of the few reports under way, so that a manager that
//! wants its answers spread over a minute takes nothing from the others. When the list is full, the manager with the most
//! in it makes room.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::FIRST_SAMPLE;
use crate::discovery::Accepted;

/// The most that wait.
const WAITING: usize = 1024;
/// Of those, for one manager: two subjects, asked often and spread long.
const WAITING_FOR_ONE: usize = 64;

/// Queries in the order in which they are due. Pure: time is handed in.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The number tells apart those that are due at the same moment.
    queries: BTreeMap<(Instant, u64), Accepted>,
    next: u64,
    /// There is a sample.
    ready: bool,
}

/// A query whose time has come.
#[derive(Debug)]
pub(super) enum Due {
    Answer(Accepted),
    /// There is still no sample.
    Unready(Accepted),
}

impl Waiting {
    /// Puts a query off for its share of the spread. Where there is no room, one is given back: this one, or the last one
    /// of the manager that has the most.
    pub(super) fn put(&mut self, query: Accepted, share: Duration) -> Result<(), Accepted> {
        let own = self.of(*query.query.manager.ip());
        if own >= WAITING_FOR_ONE {
            return Err(query);
        }
        if self.queries.len() >= WAITING {
            let Some(gives_way) = self.last_of_greediest(own + 1) else { return Err(query) };
            self.insert(query, share);
            return Err(gives_way);
        }
        self.insert(query, share);
        Ok(())
    }

    fn insert(&mut self, query: Accepted, share: Duration) {
        self.queries.insert((query.received + share, self.next), query);
        self.next += 1;
    }

    /// Takes out the last query of the manager that has the most, and more than this.
    fn last_of_greediest(&mut self, most: usize) -> Option<Accepted> {
        let mut held: HashMap<Ipv4Addr, usize> = HashMap::new();
        for query in self.queries.values() {
            *held.entry(*query.query.manager.ip()).or_default() += 1;
        }
        let (greediest, _) =
            held.into_iter().filter(|(_, held)| *held > most).max_by_key(|(_, held)| *held)?;
        let mut last_first = self.queries.iter().rev();
        let last =
            last_first.find(|(_, query)| *query.query.manager.ip() == greediest).map(|(key, _)| *key)?;
        self.queries.remove(&last)
    }

    /// From now on there is a sample.
    pub(super) fn ready(&mut self) {
        self.ready = true;
    }

    pub(super) const fn is_ready(&self) -> bool {
        self.ready
    }

    /// When to ask again what is due.
    pub(super) fn wake(&self) -> Option<Instant> {
        let ((due, _), query) = self.queries.first_key_value()?;
        Some(if self.ready { *due } else { (*due).max(query.received + FIRST_SAMPLE) })
    }

    /// The next query whose time has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Due> {
        self.wake().filter(|wake| *wake <= now)?;
        let (_, query) = self.queries.pop_first()?;
        Some(if self.ready { Due::Answer(query) } else { Due::Unready(query) })
    }

    fn of(&self, manager: Ipv4Addr) -> usize {
        self.queries.values().filter(|query| *query.query.manager.ip() == manager).count()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;

    use proptest::prelude::*;

    use super::*;
    use crate::discovery::{Query, Subject};

    fn query(manager: u8, received: Instant) -> Accepted {
        Accepted {
            query: Query {
                manager: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, manager), 3926),
                subject: Subject::Resource,
                extended: false,
                query_id: None,
                spread: Duration::ZERO,
            },
            host_ip: Ipv4Addr::LOCALHOST,
            received,
        }
    }

    fn answered(waiting: &mut Waiting, now: Instant) -> Option<u8> {
        match waiting.pop(now)? {
            Due::Answer(query) => Some(query.query.manager.ip().octets()[3]),
            Due::Unready(query) => panic!("{query:?}"),
        }
    }

    #[test]
    fn each_is_due_after_its_share() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.ready();
        for (manager, share) in [(1, 300), (2, 0), (3, 100)] {
            waiting.put(query(manager, now), Duration::from_millis(share)).unwrap();
        }
        assert_eq!(answered(&mut waiting, now), Some(2));
        assert_eq!(answered(&mut waiting, now), None);
        let later = now + Duration::from_millis(300);
        assert_eq!([(); 3].map(|()| answered(&mut waiting, later)), [Some(3), Some(1), None]);
        assert_eq!(waiting.wake(), None);
    }

    #[test]
    fn without_a_sample_nothing_is_answered_and_nothing_waits_for_ever() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.put(query(1, now), Duration::ZERO).unwrap();
        assert!(waiting.pop(now + FIRST_SAMPLE / 2).is_none());
        assert!(matches!(waiting.pop(now + FIRST_SAMPLE), Some(Due::Unready(_))));
        waiting.put(query(1, now), Duration::ZERO).unwrap();
        waiting.ready();
        assert_eq!(answered(&mut waiting, now), Some(1));
    }

    #[test]
    fn one_manager_cannot_take_the_places_of_the_others() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.ready();
        let minute = Duration::from_secs(60);
        let taken = (0..10_000).filter(|_| waiting.put(query(1, now), minute).is_ok()).count();
        assert_eq!(taken, WAITING_FOR_ONE);
        waiting.put(query(2, now), Duration::ZERO).unwrap();
        assert_eq!(answered(&mut waiting, now), Some(2));
    }

    #[test]
    fn many_managers_cannot_take_the_places_of_one_more() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.ready();
        let minute = Duration::from_secs(60);
        for number in 0..WAITING {
            waiting.put(query(u8::try_from(number % 16).unwrap(), now), minute).unwrap();
        }
        let gives_way = waiting.put(query(200, now), Duration::ZERO).unwrap_err();
        assert!(gives_way.query.manager.ip().octets()[3] < 16);
        assert_eq!(waiting.queries.len(), WAITING);
        assert_eq!(answered(&mut waiting, now), Some(200));
    }

    proptest! {
        #[test]
        fn every_query_comes_out_once_in_order_and_not_early(
            shares in prop::collection::vec((0..40_u8, 0..5000_u64), 0..200),
        ) {
            let (mut waiting, start) = (Waiting::default(), Instant::now());
            waiting.ready();
            let put = shares.iter().filter(|(manager, share)| {
                waiting.put(query(*manager, start), Duration::from_millis(*share)).is_ok()
            });
            let (put, mut out) = (put.count(), 0);
            while let Some(wake) = waiting.wake() {
                prop_assert!(wake == start || waiting.pop(wake - Duration::from_nanos(1)).is_none());
                prop_assert!(waiting.pop(wake).is_some());
                out += 1;
            }
            prop_assert_eq!(put, out);
        }
    }
}
