//! One file over several looks: when it is whole, when it is gone. Time is handed in.

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use super::Seen;

/// How long a file stays as it is before it is taken, where nobody said that it is whole.
pub(super) const QUIET: Duration = Duration::from_secs(1);
/// The same for a file that somebody was seen to write to, and not to close.
const ABANDONED: Duration = Duration::from_secs(30);
/// A file that changes again this soon is made to wait: twice as long each time, at first and at most this long.
const CALM: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long a file that was there is missed: `install` and `cp --remove-destination` remove it and make it anew.
pub(super) const MISSED: Duration = Duration::from_millis(250);

/// What tells one content of a file from the next, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file, over several looks.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What was taken, and how the file was then.
    taken: Option<(Stamp, Seen)>,
    /// How it has been since when, if that is something else.
    waiting: Option<(Stamp, Instant)>,
    /// How it was when its writer closed it.
    whole: Option<Stamp>,
    missed: Option<Instant>,
    restless: Restless,
}

/// How soon a file may be taken again. One that somebody writes to all the time would keep the agent busy.
#[derive(Debug, Default)]
struct Restless {
    /// When it was taken last.
    taken: Option<Instant>,
    wait: Duration,
}

impl Restless {
    fn take(&mut self, now: Instant) {
        let soon = self.taken.is_some_and(|taken| now.saturating_duration_since(taken) < CALM);
        self.wait = if soon { (self.wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT) } else { Duration::ZERO };
        self.taken = Some(now);
    }

    fn left(&self, now: Instant) -> Duration {
        let since = self.taken.map_or(Duration::MAX, |taken| now.saturating_duration_since(taken));
        self.wait.saturating_sub(since)
    }
}

/// What is to be done about a file that is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    Take,
    /// Look again in this time.
    Wait(Duration),
}

impl Stamp {
    /// Of no file: whatever is there is looked at again.
    pub(super) const fn of_no_file(self) -> Self {
        Self { inode: 0, ..self }
    }

    pub(super) fn of(about: &std::fs::Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }
}

impl Known {
    /// What was taken last.
    pub(super) fn taken(&self) -> Option<&Seen> {
        self.taken.as_ref().map(|(_, seen)| seen)
    }

    /// It was there, and is not now.
    pub(super) const fn is_missed(&self) -> bool {
        self.missed.is_some()
    }

    /// It was read, and was like this meanwhile.
    pub(super) fn take(&mut self, stamp: Stamp, seen: Seen, now: Instant) {
        (self.taken, self.waiting, self.whole) = (Some((stamp, seen)), None, None);
        self.restless.take(now);
    }

    /// Pure, apart from what it remembers: time is handed in.
    pub(super) fn step(&mut self, stamp: Stamp, whole: bool, written: bool, now: Instant) -> Step {
        self.missed = None;
        if self.taken.as_ref().is_some_and(|(taken, _)| *taken == stamp) {
            self.waiting = None;
            return Step::Nothing;
        }
        // What its writer closed stays whole until it is written to again.
        let whole = whole && stamp.size > 0 || self.whole == Some(stamp);
        self.whole = whole.then_some(stamp);
        if whole {
            return match self.restless.left(now) {
                Duration::ZERO => Step::Take,
                left => Step::Wait(left),
            };
        }
        let since = match self.waiting {
            Some((waiting, since)) if waiting == stamp => since,
            _ => now,
        };
        self.waiting = Some((stamp, since));
        // A file without a length is about to be written, or stays so, as on a full disk.
        let patience = if written || stamp.size == 0 { ABANDONED } else { QUIET };
        match patience.saturating_sub(now.saturating_duration_since(since)) {
            Duration::ZERO => Step::Take,
            left => Step::Wait(left),
        }
    }

    /// Whether it is missing for long enough to be gone.
    pub(super) fn is_gone(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(*self.missed.get_or_insert(now)) >= MISSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(size: u64, modified: i64) -> Stamp {
        Stamp { device: 1, inode: 1, size, modified: (modified, 0), changed: (modified, 0) }
    }

    #[test]
    fn a_file_is_taken_once_it_is_whole() {
        let (mut known, now) = (Known::default(), Instant::now());
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        assert_eq!(known.step(stamp(1, 0), false, false, now), Step::Wait(QUIET));
        // It grows: the wait begins anew.
        assert_eq!(known.step(stamp(2, 1), false, false, at(1)), Step::Wait(QUIET));
        assert_eq!(known.step(stamp(2, 1), false, false, at(2)), Step::Take);
        assert_eq!(known.step(stamp(2, 1), true, false, at(2)), Step::Take);
        // Somebody has it open.
        assert_eq!(known.step(stamp(3, 2), false, true, at(3)), Step::Wait(ABANDONED));
        assert_eq!(known.step(stamp(3, 2), false, true, at(33)), Step::Take);
        // `cp` over a file empties it first.
        assert_eq!(known.step(stamp(0, 4), true, false, at(40)), Step::Wait(ABANDONED));
        assert_eq!(known.step(stamp(5, 5), true, false, at(41)), Step::Take);
        // It stays empty.
        assert_eq!(known.step(stamp(0, 6), true, false, at(50)), Step::Wait(ABANDONED));
        assert_eq!(known.step(stamp(0, 6), false, false, at(80)), Step::Take);
    }

    #[test]
    fn a_file_that_keeps_changing_is_taken_less_and_less_often() {
        let (mut known, mut now, mut taken) = (Known::default(), Instant::now(), 0);
        for round in 0..1000 {
            if known.step(stamp(1, round), true, false, now) == Step::Take {
                known.restless.take(now);
                taken += 1;
            }
            now += Duration::from_millis(10);
        }
        assert!((6..=10).contains(&taken), "{taken}");
        // Some time later it is as good as new.
        assert_eq!(known.step(stamp(1, -1), true, false, now + CALM), Step::Take);
        known.restless.take(now + CALM);
        assert_eq!(known.restless.left(now + CALM), Duration::ZERO);
    }

    #[test]
    fn a_file_that_is_made_anew_is_not_gone() {
        let (mut known, now) = (Known::default(), Instant::now());
        assert!(!known.is_gone(now));
        assert!(!known.is_gone(now + MISSED / 2));
        known.step(stamp(1, 1), true, false, now + MISSED / 2);
        assert!(!known.is_gone(now + MISSED * 2));
        assert!(known.is_gone(now + MISSED * 3));
    }
}
