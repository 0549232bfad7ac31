//! Which datagram is a query that is answered. Pure: the time is passed in.
//!
//! The cheap questions come first, and nothing is parsed for a stranger: the source must be allowed before its bytes
//! are looked at, so that only the addresses of managers are worth forging.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use super::duplicates::{Duplicates, Mark};
use super::rate::Limiter;
use super::{DropReason, Query};
use crate::config::Managers;
use crate::protocol;

/// Decides.
#[derive(Debug)]
pub(super) struct Gate {
    managers: Managers,
    limiter: Limiter,
    duplicates: Duplicates,
}

impl Gate {
    pub(super) fn new(managers: Managers, now: Instant) -> Self {
        Self { managers, limiter: Limiter::new(now), duplicates: Duplicates::default() }
    }

    /// The query in a datagram, or why it is not answered.
    pub(super) fn admit(
        &mut self,
        datagram: &[u8],
        source: Ipv4Addr,
        now: Instant,
    ) -> Result<Query, DropReason> {
        check(self.managers.allows(IpAddr::V4(source)), DropReason::NotAllowed)?;
        self.limiter.admit(source, now)?;
        check(datagram.len() <= protocol::query::LIMIT, DropReason::Oversized)?;
        let query = protocol::query::read(datagram)?;
        // Otherwise one forged datagram would make a whole fleet report to a victim.
        check(*query.manager.ip() == source, DropReason::Spoofed)?;
        check(self.duplicates.is_first(Mark::new(source, &query, datagram), now), DropReason::Duplicate)?;
        Ok(query)
    }
}

fn check(holds: bool, otherwise: DropReason) -> Result<(), DropReason> {
    holds.then_some(()).ok_or(otherwise)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::discovery::Subject;

    const MANAGER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn gate(now: Instant) -> Gate {
        let managers = Managers { allow: vec!["10.0.0.0/24".parse().unwrap()] };
        Gate::new(managers, now)
    }

    fn query(manager: &str, rest: &str) -> Vec<u8> {
        format!(r#"{{"api_version":1,"data":{{"manager_ip":"{manager}","manager_port":"3926","url":"/heartbeat"{rest}}}}}"#)
            .into_bytes()
    }

    fn check_drop(datagram: &[u8], source: Ipv4Addr, reason: DropReason) {
        let now = Instant::now();
        assert_eq!(gate(now).admit(datagram, source, now), Err(reason));
    }

    #[test]
    fn a_good_query_passes_and_its_copy_does_not() {
        let now = Instant::now();
        let mut gate = gate(now);
        let datagram = query("10.0.0.1", "");
        let admitted = gate.admit(&datagram, MANAGER, now).unwrap();
        assert_eq!(admitted.manager, "10.0.0.1:3926".parse().unwrap());
        assert_eq!(admitted.subject, Subject::Heartbeat);
        assert!(!admitted.extended);
        assert_eq!(gate.admit(&datagram, MANAGER, now), Err(DropReason::Duplicate));
        let later = now + Duration::from_millis(500);
        assert!(gate.admit(&datagram, MANAGER, later).is_ok());
    }

    #[test]
    fn a_query_id_tells_copies_from_new_queries() {
        let now = Instant::now();
        let mut gate = gate(now);
        let extended = r#","extensions":["cardcage/1"],"spread_ms":1000,"query_id":"#;
        let first = gate.admit(&query("10.0.0.1", &format!("{extended}\"a\"")), MANAGER, now).unwrap();
        assert_eq!((first.extended, first.spread), (true, Duration::from_secs(1)));
        let copy = query("10.0.0.1", &format!("{extended}  \"a\""));
        assert_eq!(gate.admit(&copy, MANAGER, now), Err(DropReason::Duplicate));
        assert!(gate.admit(&query("10.0.0.1", &format!("{extended}\"b\"")), MANAGER, now).is_ok());
    }

    #[test]
    fn one_query_from_both_addresses_of_a_manager_is_one_query() {
        let now = Instant::now();
        let mut gate = gate(now);
        let other = Ipv4Addr::new(10, 0, 0, 2);
        let id = r#","query_id":"3fc0d3b4-3bf3-4c4c-8f1d-3a1e4d0b6a55""#;
        assert!(gate.admit(&query("10.0.0.1", id), MANAGER, now).is_ok());
        assert_eq!(gate.admit(&query("10.0.0.2", id), other, now), Err(DropReason::Duplicate));
    }

    #[test]
    fn each_hostile_query_is_dropped_for_its_own_reason() {
        let stranger = Ipv4Addr::new(10, 0, 1, 1);
        let other = Ipv4Addr::new(10, 0, 0, 2);
        let good = String::from_utf8(query("10.0.0.1", "")).unwrap();
        check_drop(good.as_bytes(), other, DropReason::Spoofed);
        check_drop(&query("10.0.1.1", ""), stranger, DropReason::NotAllowed);
        check_drop(&query("10.0.1.1", ""), MANAGER, DropReason::Spoofed);
        check_drop(&vec![b' '; protocol::query::LIMIT + 1], MANAGER, DropReason::Oversized);
        check_drop(b"{\"api_version\":1", MANAGER, DropReason::Malformed);
        check_drop(good.replace(":1,", ":2,").as_bytes(), MANAGER, DropReason::ApiVersion);
        check_drop(good.replace("/heartbeat", "/deploy").as_bytes(), MANAGER, DropReason::Url);
        check_drop(good.replace("3926", "0").as_bytes(), MANAGER, DropReason::Port);
        check_drop(good.replace("10.0.0.1", "239.1.1.1").as_bytes(), MANAGER, DropReason::Address);
        check_drop(&query("10.0.0.1", r#","spread_ms":60001"#), MANAGER, DropReason::Extension);
    }

    #[test]
    fn a_flood_is_cut_off_and_the_manager_next_to_it_still_heard() {
        let now = Instant::now();
        let mut gate = gate(now);
        let flood = Ipv4Addr::new(10, 0, 0, 66);
        let last = (0..10_000).map(|_| gate.admit(b"{}", flood, now)).last();
        assert_eq!(last, Some(Err(DropReason::SourceFlood)));
        assert!(gate.admit(&query("10.0.0.1", ""), MANAGER, now).is_ok());
    }

    #[test]
    fn strangers_cannot_use_up_the_limits() {
        let now = Instant::now();
        let mut gate = gate(now);
        for number in 0..10_000_u32 {
            let stranger = Ipv4Addr::from_bits(0x0b00_0000 + number);
            assert_eq!(gate.admit(b"{}", stranger, now), Err(DropReason::NotAllowed));
        }
        assert!(gate.admit(&query("10.0.0.1", ""), MANAGER, now).is_ok());
    }

    /// Addresses in and next to the allowed network, few enough to meet.
    fn near() -> impl Strategy<Value = Ipv4Addr> {
        (0..2_u8, 0..3_u8).prop_map(|(network, host)| Ipv4Addr::new(10, 0, network, host))
    }

    proptest! {
        #[test]
        fn no_datagram_panics_or_passes_for_another_manager(
            bytes in prop::collection::vec(any::<u8>(), 0..1600),
            source in any::<[u8; 4]>(),
        ) {
            let now = Instant::now();
            let source = Ipv4Addr::from(source);
            if let Ok(query) = gate(now).admit(&bytes, source, now) {
                prop_assert_eq!(*query.manager.ip(), source);
            }
        }

        #[test]
        fn what_passes_is_allowed_and_reports_to_its_source(claimed in near(), source in near()) {
            let now = Instant::now();
            let admitted = gate(now).admit(&query(&claimed.to_string(), ""), source, now);
            let allowed = source.octets().starts_with(&[10, 0, 0]);
            prop_assert_eq!(admitted.is_ok(), allowed && claimed == source);
        }
    }
}
