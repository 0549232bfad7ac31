//! Usage of the processors: the share of time that was not idle between two readings of the kernel's counters.

use cardcage_sdk::kernel::CpuTimes;
use cardcage_sdk::units;

/// Remembers the counters of the last reading. It starts at zero, where the kernel's counters start at boot: so the
/// first usage is the average since then.
#[derive(Debug, Default)]
pub(crate) struct UsageMeter {
    idle: f64,
    busy: f64,
    usage: Option<f64>,
}

impl UsageMeter {
    /// Usage since the last call, in percent. The kernel counts in ticks: where none has passed, the last usage stands.
    /// Where a counter ran backwards (the kernel documents it for `iowait`; a core that was unplugged takes its time
    /// with it) the usage is unknown this time.
    pub(crate) fn update(&mut self, times: &CpuTimes) -> Option<f64> {
        let idle = times.idle + times.iowait;
        // `user` includes the time of guests, so they are not added again.
        let busy = times.user + times.nice + times.system + times.irq + times.softirq + times.steal;
        let (idle_for, busy_for) = (idle - self.idle, busy - self.busy);
        if idle_for == 0.0 && busy_for == 0.0 {
            return self.usage;
        }
        let forwards = idle_for >= 0.0 && busy_for >= 0.0;
        self.usage = if forwards { units::percent(busy_for, idle_for + busy_for) } else { None };
        (self.idle, self.busy) = (idle, busy);
        self.usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(user: f64, idle: f64) -> CpuTimes {
        CpuTimes { user, idle, cores: 1, ..CpuTimes::default() }
    }

    #[test]
    fn the_first_usage_is_the_average_since_boot() {
        assert_eq!(UsageMeter::default().update(&times(25.0, 75.0)), Some(25.0));
    }

    #[test]
    fn usage_is_the_busy_share_of_the_time_between_two_readings() {
        let mut meter = UsageMeter::default();
        meter.update(&times(25.0, 75.0));
        assert_eq!(meter.update(&times(28.0, 76.0)), Some(75.0));
    }

    #[test]
    fn every_kind_of_work_is_busy_and_waiting_for_a_disk_is_idle() {
        let all = CpuTimes {
            user: 1.0,
            nice: 2.0,
            system: 3.0,
            irq: 4.0,
            softirq: 5.0,
            steal: 6.0,
            ..times(1.0, 20.0)
        };
        let times = CpuTimes { iowait: 59.0, ..all };
        assert_eq!(UsageMeter::default().update(&times), Some(21.0));
    }

    #[test]
    fn the_last_usage_stands_while_no_time_passes() {
        let mut meter = UsageMeter::default();
        meter.update(&times(25.0, 75.0));
        assert_eq!(meter.update(&times(25.0, 75.0)), Some(25.0));
    }

    #[test]
    fn usage_is_unknown_when_a_counter_ran_backwards_and_known_again_after() {
        let mut meter = UsageMeter::default();
        meter.update(&times(25.0, 75.0));
        assert_eq!(meter.update(&times(30.0, 74.0)), None);
        assert_eq!(meter.update(&times(31.0, 75.0)), Some(50.0));
    }

    #[test]
    fn nothing_counted_is_no_usage() {
        assert_eq!(UsageMeter::default().update(&times(0.0, 0.0)), None);
    }

    proptest! {
        #[test]
        fn usage_is_a_percentage_whatever_the_counters_say(readings in prop::collection::vec(any::<(f64, f64)>(), 1..20)) {
            let mut meter = UsageMeter::default();
            for (user, idle) in readings {
                if let Some(usage) = meter.update(&times(user, idle)) {
                    prop_assert!((0.0..=100.0).contains(&usage), "{usage}");
                }
            }
        }
    }
}
