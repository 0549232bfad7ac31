//! The bound, and the way into the agent's log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use crate::model::PluginName;

/// Lines at once.
const BURST: u32 = 20;
/// After that, one line in this time.
const EVERY: Duration = Duration::from_secs(1);
/// Longest line, in bytes.
pub(super) const LINE: usize = 1024;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

/// What one plugin may still say. Clones share the bound, which outlives the plugin's instances.
#[derive(Debug, Clone)]
pub struct Lines {
    plugin: PluginName,
    bucket: Arc<Mutex<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: u32,
    since: Instant,
    dropped: u64,
}

/// Whether a line may pass, and how many did not since the last that did.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Pass { dropped_before: u64 },
    Drop,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> Verdict {
        let earned = now.saturating_duration_since(self.since).as_secs() / EVERY.as_secs();
        if earned > 0 {
            self.left = BURST.min(self.left.saturating_add(u32::try_from(earned).unwrap_or(BURST)));
            self.since = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Verdict::Pass { dropped_before: std::mem::take(&mut self.dropped) }
            }
            None => {
                self.dropped += 1;
                Verdict::Drop
            }
        }
    }
}

impl Lines {
    pub fn new(plugin: PluginName) -> Self {
        let bucket = Bucket { left: BURST, since: Instant::now(), dropped: 0 };
        Self { plugin, bucket: Arc::new(Mutex::new(bucket)) }
    }

    /// Writes a line, or counts it.
    pub fn write(&self, level: Level, message: &str) {
        let verdict = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        let Verdict::Pass { dropped_before } = verdict else { return };
        let plugin = &self.plugin;
        if dropped_before > 0 {
            warn!(%plugin, lines = dropped_before, "plugin wrote too much, lines dropped");
        }
        let message = one_line(message);
        match level {
            Level::Error => error!(%plugin, message, "plugin says"),
            Level::Warn => warn!(%plugin, message, "plugin says"),
            Level::Info => info!(%plugin, message, "plugin says"),
            Level::Debug => debug!(%plugin, message, "plugin says"),
        }
    }
}

/// Cut to its limit at a character, and without control characters, which could write other lines or move a cursor.
pub(super) fn one_line(message: &str) -> String {
    let end = message.char_indices().map(|(at, _)| at).take_while(|at| *at <= LINE).last().unwrap_or(0);
    let cut = if message.len() <= LINE { message } else { message.get(..end).unwrap_or_default() };
    cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flood_passes_its_burst_and_is_then_counted() {
        let now = Instant::now();
        let mut bucket = Bucket { left: BURST, since: now, dropped: 0 };
        let passed = (0..1000).filter(|_| matches!(bucket.take(now), Verdict::Pass { .. })).count();
        assert_eq!(passed, BURST as usize);
        assert_eq!(bucket.take(now + EVERY), Verdict::Pass { dropped_before: 980 });
        assert_eq!(bucket.take(now + EVERY), Verdict::Drop);
    }

    #[test]
    fn a_line_cannot_write_another() {
        assert_eq!(one_line("a\nERROR b\x1b[2J"), "a ERROR b [2J");
    }

    proptest! {
        #[test]
        fn a_line_is_cut_at_a_character(text in "\\PC{0,600}") {
            let cut = one_line(&text);
            prop_assert!(cut.len() <= LINE);
            prop_assert!(text.starts_with(&cut));
        }
    }
}
