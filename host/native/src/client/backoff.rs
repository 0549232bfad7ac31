//! How soon a helper that failed is followed by another.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::error::Error;

/// The pause after a failure: it doubles with each in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first.
    pub first: Duration,
    /// At most.
    pub most: Duration,
    /// A helper that lived so long is not one of the failures before it.
    pub well_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            most: Duration::from_secs(30),
            well_after: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    fn pause(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }
}

/// The failures in a row.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u32,
    last: Option<(Error, Instant)>,
}

impl Failures {
    /// Counts one, of a helper that lived so long, or never.
    pub(super) fn record(&mut self, backoff: &Backoff, lived: Option<Duration>, error: &Error) {
        let well = lived.is_some_and(|lived| lived >= backoff.well_after);
        self.count = if well { 1 } else { self.count.saturating_add(1) };
        self.last = Some((error.clone(), Instant::now() + backoff.pause(self.count)));
    }

    /// Waits until another start is due, unless that is after the deadline: then it fails as the last helper did.
    pub(super) async fn wait(&self, deadline: Instant) -> Result<(), Error> {
        let Some((last, due)) = &self.last else { return Ok(()) };
        if *due <= deadline {
            sleep_until(*due).await;
            return Ok(());
        }
        let (failures, left) = (self.count, due.saturating_duration_since(Instant::now()));
        let detail = format!("failure {failures} in a row, no start for {left:.1?}: {last}");
        Err(Error::new(last.code, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_double_the_pause_up_to_the_most() {
        let (backoff, error) = (Backoff::default(), Error::new(Code::Crashed, "SIGSEGV"));
        let mut failures = Failures::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            failures.record(&backoff, Some(Duration::from_secs(1)), &error);
            let before = Instant::now();
            failures.wait(before + Duration::from_secs(60)).await.unwrap();
            pauses.push(before.elapsed().as_millis());
        }
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[9..], [30_000, 30_000, 30_000]);
        failures.record(&backoff, Some(backoff.well_after), &error);
        let before = Instant::now();
        failures.wait(before + Duration::from_secs(60)).await.unwrap();
        assert_eq!(before.elapsed().as_millis(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_wait_is_told_the_last_failure() {
        let mut failures = Failures::default();
        failures.record(&Backoff::default(), None, &Error::new(Code::Io, "no such file"));
        let error = failures.wait(Instant::now() + Duration::from_millis(99)).await.unwrap_err();
        assert_eq!(error.detail, "failure 1 in a row, no start for 100.0ms: no such file");
        assert_eq!(error.code, Code::Io);
    }
}
