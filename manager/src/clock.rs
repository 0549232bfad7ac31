//! Time in the manager: one monotonic count of milliseconds, turned into the time of day only for people and the disk.
//!
//! A board's silence must not change when somebody sets the clock, and chassis often start in 1970 and are corrected
//! later. So the interior keeps [`Moment`]s, and a moment becomes a time of day when it is shown, by the clock of then.

use std::time::{Duration, Instant, SystemTime};

/// What a clock that is kept right may be put back by. So little is no doubt about an age.
const SLACK: Duration = Duration::from_secs(1);

/// Milliseconds since this manager started; before its start for what was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(i64);

impl Moment {
    /// A moment by its count.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Its count.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Time since `earlier`; nothing if it is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The moment `span` before this one.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Where moments come from.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Now.
    pub fn now(self) -> Moment {
        Moment(i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// The time of day of a moment, by the clock of now.
    pub fn time_of_day(self, moment: Moment) -> SystemTime {
        let start = SystemTime::now().checked_sub(self.start.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH);
        let distance = Duration::from_millis(moment.0.unsigned_abs());
        let then = if moment.0 < 0 { start.checked_sub(distance) } else { start.checked_add(distance) };
        then.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The moment of a time of day. None for one in the future: the clock was set back since it was written, or has not
    /// been set yet, and nobody knows how long ago it was.
    pub fn moment(self, time_of_day: SystemTime) -> Option<Moment> {
        match SystemTime::now().duration_since(time_of_day) {
            Ok(ago) => Some(self.now().before(ago)),
            Err(ahead) => (ahead.duration() <= SLACK).then(|| self.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_the_way_to_the_disk_and_back() {
        let clock = Clock::start();
        let moment = clock.now().before(Duration::from_secs(3600));
        let back = clock.moment(clock.time_of_day(moment)).unwrap();
        assert!(back.0.abs_diff(moment.0) <= 100, "{back:?} is not {moment:?}");
    }

    #[test]
    fn a_time_in_the_future_is_at_no_known_moment() {
        let clock = Clock::start();
        let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
        assert_eq!(clock.moment(tomorrow), None);
        assert!(clock.moment(SystemTime::now() + SLACK / 2).is_some_and(|moment| moment <= clock.now()));
    }

    #[test]
    fn silence_is_never_negative() {
        assert_eq!(Moment(5).since(Moment(9)), Duration::ZERO);
        assert_eq!(Moment(9).since(Moment(5)), Duration::from_millis(4));
    }
}
