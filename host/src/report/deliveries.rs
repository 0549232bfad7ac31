//! How reports to each manager fare, logged by change of state: the first failure, then a line a minute, then that it
//! works again. A manager that is switched off for a week does not fill the log; and a manager is an address, since its
//! port is whatever the query says.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Report;

/// While reports fail, at most one line a manager in this time.
const EVERY: Duration = Duration::from_secs(60);
/// The most managers that are remembered as failing.
const MANAGERS: usize = 256;

/// The managers that reports do not reach.
#[derive(Debug, Default)]
pub(super) struct Deliveries(HashMap<Ipv4Addr, Failing>);

#[derive(Debug)]
struct Failing {
    since: Instant,
    logged: Instant,
    /// In all, since the last delivered report.
    failed: u64,
}

/// What there is to log.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Failed { failed: u64 },
    Again { failed: u64, after: Duration },
}

impl Deliveries {
    pub(super) fn note(&mut self, report: &Report, now: Instant) {
        let (manager, url) = (report.manager, report.subject.path());
        match (self.line(*manager.ip(), report.result.is_ok(), now), &report.result) {
            (Some(Line::Failed { failed }), Err(error)) => {
                warn!(%manager, url, outcome = error.outcome.as_str(), %error, failed, "reports are not delivered");
            }
            (Some(Line::Again { failed, after }), _) => {
                info!(%manager, url, failed, after_s = after.as_secs(), "reports are delivered again");
            }
            _ => {}
        }
    }

    fn line(&mut self, manager: Ipv4Addr, delivered: bool, now: Instant) -> Option<Line> {
        if delivered {
            let failing = self.0.remove(&manager)?;
            return Some(Line::Again {
                failed: failing.failed,
                after: now.saturating_duration_since(failing.since),
            });
        }
        if let Some(failing) = self.0.get_mut(&manager) {
            failing.failed += 1;
            let due = now.saturating_duration_since(failing.logged) >= EVERY;
            return due.then(|| {
                failing.logged = now;
                Line::Failed { failed: failing.failed }
            });
        }
        self.make_room();
        self.0.insert(manager, Failing { since: now, logged: now, failed: 1 });
        Some(Line::Failed { failed: 1 })
    }

    /// Forgets the manager that was logged longest ago, where there is no room.
    fn make_room(&mut self) {
        if self.0.len() < MANAGERS {
            return;
        }
        let oldest = self.0.iter().min_by_key(|(_, failing)| failing.logged);
        if let Some(manager) = oldest.map(|(manager, _)| *manager) {
            self.0.remove(&manager);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(0x0a00_0000 + number)
    }

    #[test]
    fn a_failing_manager_is_logged_at_once_then_once_a_minute_then_when_it_is_back() {
        let (mut deliveries, start) = (Deliveries::default(), Instant::now());
        let lines: Vec<_> = (0..25_u32)
            .filter_map(|n| deliveries.line(manager(1), false, start + n * Duration::from_secs(5)))
            .collect();
        let failed = |failed| Line::Failed { failed };
        assert_eq!(lines, [failed(1), failed(13), failed(25)]);
        let back = deliveries.line(manager(1), true, start + Duration::from_secs(125));
        assert_eq!(back, Some(Line::Again { failed: 25, after: Duration::from_secs(125) }));
        assert_eq!(deliveries.line(manager(1), true, start + Duration::from_secs(130)), None);
    }

    #[test]
    fn managers_are_told_apart() {
        let (mut deliveries, now) = (Deliveries::default(), Instant::now());
        assert!(deliveries.line(manager(1), false, now).is_some());
        assert_eq!(deliveries.line(manager(2), true, now), None);
        assert!(deliveries.line(manager(2), false, now).is_some());
    }

    #[test]
    fn the_number_of_failing_managers_is_bounded() {
        let (mut deliveries, start) = (Deliveries::default(), Instant::now());
        for number in 0..1000 {
            deliveries.line(manager(number), false, start + Duration::from_secs(number.into()));
        }
        assert_eq!(deliveries.0.len(), MANAGERS);
        assert!(deliveries.0.contains_key(&manager(999)));
    }
}
