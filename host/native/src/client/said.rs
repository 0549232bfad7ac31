//! What a library prints on its standard error. It is always read, so that nobody blocks on it, and bounded before
//! anybody hears of it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStderr;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::limits;

/// Who is told.
pub(super) type Said = Arc<dyn Fn(&str) + Send + Sync>;

/// The task that reads; it ends with the helper, and with this.
#[derive(Debug)]
pub(super) struct Listener {
    task: JoinHandle<()>,
    last: Arc<Mutex<String>>,
}

impl Listener {
    pub(super) fn start(stderr: ChildStderr, said: &Said) -> Self {
        let (said, last) = (Arc::clone(said), Arc::new(Mutex::new(String::new())));
        let task = tokio::spawn(listen(stderr, said, Arc::clone(&last)));
        Self { task, last }
    }

    /// The last line, once the helper is dead.
    pub(super) async fn last(mut self) -> String {
        // A process that left the group may hold the pipe open.
        let _ = timeout(limits::REAP, &mut self.task).await;
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(mut stderr: ChildStderr, said: Said, last: Arc<Mutex<String>>) {
    let mut lines = Lines::default();
    let mut quota = Quota::default();
    let mut hear = |line: &str| {
        line.clone_into(&mut last.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(missed) = quota.take(Instant::now()) {
            if missed > 0 {
                said(&format!("({missed} lines of the library were left out)"));
            }
            said(line);
        }
    };
    let mut buffer = Vec::with_capacity(1 << 10);
    while let Ok(1..) = stderr.read_buf(&mut buffer).await {
        lines.push(&buffer, &mut hear);
        buffer.clear();
    }
    lines.end(&mut hear);
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, bytes: &[u8], hear: &mut impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = limits::LINE.saturating_sub(self.0.len());
            self.0.extend(part.iter().take(room));
            if part.ends_with(b"\n") {
                self.end(hear);
            }
        }
    }

    fn end(&mut self, hear: &mut impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.0);
        let mut line: String = text.trim().chars().map(|of| if of.is_control() { ' ' } else { of }).collect();
        // Replacement characters are longer than what they replace.
        line.truncate(line.floor_char_boundary(limits::LINE));
        if !line.is_empty() {
            hear(&line);
        }
        self.0.clear();
    }
}

/// How many lines are handed on.
#[derive(Debug, Default)]
struct Quota {
    since: Option<Instant>,
    taken: u32,
    missed: u64,
}

impl Quota {
    /// Whether a line is handed on, and how many were not since the last that was.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.duration_since(since) >= limits::LINES_EVERY) {
            (self.since, self.taken) = (Some(now), 0);
        }
        if self.taken >= limits::LINES {
            self.missed = self.missed.saturating_add(1);
            return None;
        }
        self.taken += 1;
        Some(std::mem::take(&mut self.missed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(parts: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut heard) = (Lines::default(), Vec::new());
        let mut hear = |line: &str| heard.push(line.to_owned());
        parts.iter().for_each(|part| lines.push(part, &mut hear));
        lines.end(&mut hear);
        heard
    }

    #[test]
    fn lines_are_single_bounded_and_clean() {
        assert_eq!(lines(&[b"one\ntw", b"o\n\n  three"]), ["one", "two", "three"]);
        assert_eq!(lines(&[b"a\x1b[31m\0b\r\n\xff\n"]), ["a [31m b", "\u{fffd}"]);
        let long = lines(&[&[b'x'; 10_000], b"y\nz\n", &[0xff; 10_000]]);
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [limits::LINE, 1, limits::LINE / 3 * 3]);
    }

    #[test]
    fn a_flood_is_counted_and_not_handed_on() {
        let (mut quota, start) = (Quota::default(), Instant::now());
        let heard = (0..1_000).filter(|_| quota.take(start).is_some()).count();
        assert_eq!(heard, usize::try_from(limits::LINES).unwrap());
        assert_eq!(quota.take(start + limits::LINES_EVERY), Some(950));
        assert_eq!(quota.take(start + limits::LINES_EVERY), Some(0));
    }
}
