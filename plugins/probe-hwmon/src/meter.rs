//! Power from a counter of energy.

use core::time::Duration;

/// Readings closer together than this say more about the clock than about the power; the last power stands.
const SHORTEST: Duration = Duration::from_millis(100);

/// The mean power between two readings of a counter of microjoules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    /// Where the counter starts again from 0, if it says.
    range: Option<i64>,
    last: Option<(i64, Duration)>,
    watts: Option<f64>,
}

impl Meter {
    pub(crate) fn new(range: Option<i64>) -> Self {
        Self { range: range.filter(|range| *range > 0), ..Self::default() }
    }

    /// Watts since the last reading, at a time that only needs to run evenly. Unknown at the first reading, and when
    /// the counter ran backwards further than its range explains.
    pub(crate) fn update(&mut self, microjoules: i64, at: Duration) -> Option<f64> {
        let (before, then) = self.last.replace((microjoules, at))?;
        let elapsed = at.saturating_sub(then);
        if elapsed < SHORTEST {
            self.last = Some((before, then));
            return self.watts;
        }
        let spent = self.spent(before, microjoules);
        self.watts = spent.map(|spent| spent as f64 / 1e6 / elapsed.as_secs_f64());
        self.watts
    }

    fn spent(&self, before: i64, now: i64) -> Option<i64> {
        let spent = now.checked_sub(before)?;
        if spent >= 0 {
            return Some(spent);
        }
        self.range.and_then(|range| range.checked_add(spent)).filter(|spent| *spent >= 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn power_is_energy_over_time() {
        let mut meter = Meter::new(None);
        assert_eq!(meter.update(1_000_000, SECOND), None);
        assert_eq!(meter.update(21_000_000, SECOND * 3), Some(10.0));
    }

    #[test]
    fn a_counter_that_starts_again_is_followed_by_its_range() {
        let mut meter = Meter::new(Some(100_000_000));
        meter.update(95_000_000, SECOND);
        assert_eq!(meter.update(5_000_000, SECOND * 2), Some(10.0));
    }

    #[test]
    fn a_counter_that_runs_backwards_without_a_range_is_unknown_once() {
        let mut meter = Meter::new(None);
        meter.update(95_000_000, SECOND);
        assert_eq!(meter.update(5_000_000, SECOND * 2), None);
        assert_eq!(meter.update(6_000_000, SECOND * 3), Some(1.0));
    }

    #[test]
    fn readings_in_quick_succession_keep_the_power() {
        let mut meter = Meter::new(None);
        meter.update(0, SECOND);
        assert_eq!(meter.update(10_000_000, SECOND * 2), Some(10.0));
        assert_eq!(meter.update(10_000_001, SECOND * 2), Some(10.0));
        assert_eq!(meter.update(20_000_000, SECOND * 3), Some(10.0));
    }

    proptest! {
        #[test]
        fn power_is_never_negative_or_infinite(range in any::<Option<i64>>(), readings in prop::collection::vec(any::<(i64, u32)>(), 0..20)) {
            let mut meter = Meter::new(range);
            for (microjoules, milliseconds) in readings {
                if let Some(watts) = meter.update(microjoules, Duration::from_millis(milliseconds.into())) {
                    prop_assert!(watts >= 0.0 && watts.is_finite(), "{watts}");
                }
            }
        }
    }
}
