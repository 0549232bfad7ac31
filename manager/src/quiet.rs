//! A log line that others can cause, at most once in a while.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Moment};

/// Time between two lines of one sort.
const PAUSE: Duration = Duration::from_secs(30);

/// Lets one line through, counts those that follow, and lets the next one through after the pause.
#[derive(Debug)]
pub struct Quiet {
    clock: Clock,
    last: AtomicI64,
    kept_back: AtomicU64,
}

impl Quiet {
    /// The first line passes.
    pub fn new() -> Self {
        Self { clock: Clock::start(), last: AtomicI64::new(i64::MIN), kept_back: AtomicU64::new(0) }
    }

    /// Whether a line is due, and then how many were kept back since the last one.
    pub fn due(&self) -> Option<u64> {
        self.due_at(self.clock.now())
    }

    fn due_at(&self, now: Moment) -> Option<u64> {
        let last = self.last.load(Ordering::Relaxed);
        let waiting = now.since(Moment::from_millis(last)) < PAUSE;
        // Of several that come together only one may pass.
        let passes =
            || self.last.compare_exchange(last, now.millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !waiting && passes() {
            return Some(self.kept_back.swap(0, Ordering::Relaxed));
        }
        self.kept_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_and_the_others_are_counted() {
        let quiet = Quiet::new();
        assert_eq!(quiet.due_at(Moment::from_millis(0)), Some(0));
        assert_eq!(quiet.due_at(Moment::from_millis(10)), None);
        assert_eq!(quiet.due_at(Moment::from_millis(20)), None);
        assert_eq!(quiet.due_at(Moment::from_millis(30_000)), Some(2));
    }
}
