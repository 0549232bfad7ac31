//! What an instance said last: a trap has no text of its own, and what a panic says is why it came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::real::one_line;

/// A panic says where in one line, and why in the next.
const LAST: usize = 2;
/// How a panic goes on after that.
const REMARK: &str = "note: ";

/// The last lines of an instance in one call. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Words(Arc<Mutex<VecDeque<String>>>);

impl Words {
    pub fn say(&self, line: &str) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(REMARK) {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST {
            lines.pop_front();
        }
        lines.push_back(one_line(line));
    }

    /// For a new call.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// In one line; empty if it said nothing.
    pub fn last(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_its_place_and_its_reason() {
        let words = Words::default();
        for line in
            ["starting", "thread 'x' panicked at src/lib.rs:14:53:", "no such rail", "note: run with …"]
        {
            words.say(line);
        }
        assert_eq!(words.last(), "thread 'x' panicked at src/lib.rs:14:53: no such rail");
        words.forget();
        assert_eq!(words.last(), "");
    }
}
