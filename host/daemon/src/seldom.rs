//! Lines of the log that strangers cause: what they do all the time is said now and then.

use std::time::{Duration, Instant};

/// At most one line of a kind in this time.
const EVERY: Duration = Duration::from_secs(10);

/// Lets a line through, and the next one ten seconds later.
#[derive(Debug, Default)]
pub struct Seldom(Option<Instant>);

impl Seldom {
    /// Whether a line is due, which is then taken for written.
    pub fn due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= EVERY);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_line_is_not_due_at_once() {
        let mut seldom = Seldom::default();
        assert!(seldom.due() && !seldom.due());
    }
}
