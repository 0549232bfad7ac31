//! When an instance that ended starts again, and when no more. Pure: time is handed in.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);
/// An instance that lived this long was healthy: its end starts a new count.
const HEALTHY: Duration = Duration::from_secs(60);
/// Failures in a row after which it is not started any more.
const QUARANTINE: u32 = 8;
/// Where the machine is at fault, it is not hurried: somebody has to mend it.
const LONGEST_FOR_MACHINE: Duration = Duration::from_secs(60);

/// Failures in a row of one plugin.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

/// What to do after a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    After(Duration),
    Quarantine,
}

impl Backoff {
    /// An instance that was started at `started` ended at `now`.
    pub(super) fn failed(&mut self, started: Instant, now: Instant) -> Next {
        if now.saturating_duration_since(started) >= HEALTHY {
            self.failures = 0;
        }
        self.failures += 1;
        if self.failures >= QUARANTINE {
            return Next::Quarantine;
        }
        Next::After(self.pause(LONGEST))
    }

    /// It could not be started, through no fault of its own. It is tried for as long as it takes; where each try is dear,
    /// the machine gets time to recover from what it may be short of.
    pub(super) fn put_off(&mut self, dear: bool) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if dear { LONGEST_FOR_MACHINE } else { self.pause(LONGEST_FOR_MACHINE) }
    }

    fn pause(&self, longest: Duration) -> Duration {
        FIRST.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_double_until_quarantine() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let pauses: Vec<_> = (0..8).map(|_| backoff.failed(now, now)).collect();
        assert_eq!(pauses[0], Next::After(Duration::from_millis(200)));
        assert_eq!(pauses[1], Next::After(Duration::from_millis(400)));
        assert_eq!(pauses[6], Next::After(Duration::from_millis(12_800)));
        assert_eq!(pauses[7], Next::Quarantine);
    }

    #[test]
    fn a_healthy_life_is_forgiven() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(backoff.failed(now, now + HEALTHY), Next::After(FIRST));
        }
    }

    #[test]
    fn the_machines_faults_are_waited_for() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..1000).map(|_| backoff.put_off(false)).collect();
        assert_eq!((pauses[0], pauses[1]), (FIRST, 2 * FIRST));
        assert_eq!(pauses[999], LONGEST_FOR_MACHINE);
        assert_eq!(Backoff::default().put_off(true), LONGEST_FOR_MACHINE);
    }

    proptest! {
        #[test]
        fn no_life_makes_a_pause_too_long(lives in proptest::collection::vec(0_u64..100, 0..40)) {
            let (mut backoff, now) = (Backoff::default(), Instant::now());
            for life in lives {
                match backoff.failed(now, now + Duration::from_secs(life)) {
                    Next::After(pause) => prop_assert!(pause >= FIRST && pause <= LONGEST),
                    Next::Quarantine => return Ok(()),
                }
            }
        }
    }
}
