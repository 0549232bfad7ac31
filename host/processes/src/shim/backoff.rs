//! How long to wait before a program is started again: 1 s, then twice as long each time, at most a minute; after a run of
//! ten minutes from the beginning.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
const LONG_RUN: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    /// The wait after a run that long.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran >= LONG_RUN {
            self.0 = FIRST;
        }
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_a_minute_and_begins_anew_after_a_long_run() {
        let mut backoff = Backoff::default();
        let mut wait = |ran: u64| backoff.after(Duration::from_secs(ran)).as_secs();
        let short: Vec<u64> = (0..8).map(|_| wait(599)).collect();
        assert_eq!(short, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!((wait(600), wait(0)), (1, 2));
    }
}
