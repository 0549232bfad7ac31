//! Why a query is not answered, and how that is said without a flood of log lines.
//!
//! The first drop for a reason is logged at once, later ones in one line every ten seconds.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

/// At most one line a reason in this time.
const EVERY: Duration = Duration::from_secs(10);

/// Why a query is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// It came in on an interface that is not listened on any more.
    Interface,
    /// Its source is not in `managers.allow`.
    NotAllowed,
    /// More bytes than a query has.
    Oversized,
    /// Its source sends more than a manager does.
    SourceFlood,
    /// All sources together send more than managers do.
    Flood,
    /// Not JSON, or not of the protocol's shape.
    Malformed,
    /// Another `api_version`.
    ApiVersion,
    /// A `url` other than the two.
    Url,
    /// `manager_port` 0.
    Port,
    /// A `manager_ip` that no machine has.
    Address,
    /// A field of the extension is out of bounds.
    Extension,
    /// `manager_ip` is not the source of the datagram: somebody else would get the reports.
    Spoofed,
    /// Another copy of a query that is answered already.
    Duplicate,
    /// Too many reports are under way.
    Busy,
}

impl DropReason {
    pub const ALL: [Self; 14] = [
        Self::Interface,
        Self::NotAllowed,
        Self::Oversized,
        Self::SourceFlood,
        Self::Flood,
        Self::Malformed,
        Self::ApiVersion,
        Self::Url,
        Self::Port,
        Self::Address,
        Self::Extension,
        Self::Spoofed,
        Self::Duplicate,
        Self::Busy,
    ];

    /// For logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interface => "interface",
            Self::NotAllowed => "not_allowed",
            Self::Oversized => "oversized",
            Self::SourceFlood => "source_flood",
            Self::Flood => "flood",
            Self::Malformed => "malformed",
            Self::ApiVersion => "api_version",
            Self::Url => "url",
            Self::Port => "port",
            Self::Address => "address",
            Self::Extension => "extension",
            Self::Spoofed => "spoofed",
            Self::Duplicate => "duplicate",
            Self::Busy => "busy",
        }
    }
}

/// One line to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Notice {
    reason: DropReason,
    count: u64,
    last_source: Ipv4Addr,
}

impl Notice {
    fn log(self) {
        let Self { reason, count, last_source } = self;
        let reason = reason.as_str();
        // A copy of a query on a second interface is how the protocol works, not a fault.
        if self.reason == DropReason::Duplicate {
            debug!(reason, count, %last_source, "dropped queries");
        } else {
            warn!(reason, count, %last_source, "dropped queries");
        }
    }
}

/// What was dropped and not logged yet, by reason.
#[derive(Debug, Default)]
pub(super) struct Drops(Vec<Tally>);

#[derive(Debug)]
struct Tally {
    reason: DropReason,
    /// Since the last line.
    count: u64,
    last_source: Ipv4Addr,
    logged: Instant,
}

impl Drops {
    /// Takes note of a drop; logs it if it is the first in a while.
    pub(super) fn note(&mut self, reason: DropReason, source: Ipv4Addr, now: Instant) {
        if let Some(notice) = self.first(reason, source, now) {
            notice.log();
        }
    }

    /// Logs what has come together.
    pub(super) fn summarise(&mut self, now: Instant) {
        self.due(now).for_each(Notice::log);
    }

    fn first(&mut self, reason: DropReason, source: Ipv4Addr, now: Instant) -> Option<Notice> {
        let notice = Notice { reason, count: 1, last_source: source };
        let Some(tally) = self.0.iter_mut().find(|tally| tally.reason == reason) else {
            self.0.push(Tally { reason, count: 0, last_source: source, logged: now });
            return Some(notice);
        };
        if tally.count == 0 && now.saturating_duration_since(tally.logged) >= EVERY {
            tally.logged = now;
            return Some(notice);
        }
        tally.count += 1;
        tally.last_source = source;
        None
    }

    fn due(&mut self, now: Instant) -> impl Iterator<Item = Notice> {
        self.0.iter_mut().filter_map(move |tally| {
            let due = tally.count > 0 && now.saturating_duration_since(tally.logged) >= EVERY;
            due.then(|| {
                tally.logged = now;
                Notice {
                    reason: tally.reason,
                    count: std::mem::take(&mut tally.count),
                    last_source: tally.last_source,
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    #[test]
    fn the_first_drop_is_logged_at_once_and_the_rest_in_one_line() {
        let (mut drops, start) = (Drops::default(), Instant::now());
        assert!(drops.first(DropReason::Url, A, start).is_some());
        for _ in 0..1000 {
            assert_eq!(drops.first(DropReason::Url, B, start), None);
        }
        assert_eq!(drops.due(start + Duration::from_secs(9)).count(), 0);
        let lines: Vec<_> = drops.due(start + EVERY).collect();
        assert_eq!(lines, [Notice { reason: DropReason::Url, count: 1000, last_source: B }]);
        assert_eq!(drops.due(start + 2 * EVERY).count(), 0);
    }

    #[test]
    fn reasons_are_counted_apart() {
        let (mut drops, now) = (Drops::default(), Instant::now());
        for reason in DropReason::ALL {
            assert!(drops.first(reason, A, now).is_some());
        }
    }

    #[test]
    fn a_drop_after_a_quiet_time_is_logged_at_once_again() {
        let (mut drops, start) = (Drops::default(), Instant::now());
        drops.first(DropReason::Spoofed, A, start);
        assert!(drops.first(DropReason::Spoofed, B, start + EVERY).is_some());
        assert!(drops.first(DropReason::Spoofed, B, start + EVERY).is_none());
    }

    #[test]
    fn every_reason_has_its_own_word() {
        let words: std::collections::HashSet<_> = DropReason::ALL.map(DropReason::as_str).into();
        assert_eq!(words.len(), DropReason::ALL.len());
    }
}
