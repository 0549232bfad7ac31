//! `cardcage:task/progress`: what a run of a task says of itself, and whether it is still wanted. Given to every task
//! plugin. Of what was said only the last is kept, so there is nothing to bound but its length.
//!
//! | channel   | kind               | from      | to              |
//! |-----------|--------------------|-----------|-----------------|
//! | said      | watch              | the guest | who watches     |
//! | cancelled | cancellation token | who may   | the guest       |

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::brief;
use crate::plugin::bindings::cardcage::types::errors::Error;
use crate::plugin::bindings::task::cardcage::task::progress as wit;

/// Longest sentence, as `wit/task/progress.wit` says.
const SENTENCE: usize = 256;

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub percent: Option<u8>,
    pub message: String,
}

/// Of one run. Clones are the same run's.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    said: watch::Sender<Said>,
    cancelled: CancellationToken,
}

impl Progress {
    pub fn watch(&self) -> watch::Receiver<Said> {
        self.said.subscribe()
    }

    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Once nobody wants the result any more.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }
}

impl wit::Host for Progress {
    async fn report(&mut self, percent: Option<u8>, message: String) -> Result<(), Error> {
        if self.is_cancelled() {
            return Err(Error::new("cancelled", "nobody wants the result any more"));
        }
        let mut message = message;
        message.truncate((0..=SENTENCE).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0));
        self.said.send_replace(Said {
            percent: percent.map(|percent| percent.min(100)),
            message: brief(&message),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_said_last_is_seen_until_it_is_cancelled() {
        let progress = Progress::default();
        let mut watcher = progress.watch();
        let mut guest = progress.clone();
        wit::Host::report(&mut guest, Some(250), format!("a\n{}", "节".repeat(200))).await.unwrap();
        let said = watcher.borrow_and_update().clone();
        assert_eq!(said.percent, Some(100));
        assert!(said.message.starts_with("a 节") && said.message.len() <= SENTENCE, "{said:?}");
        progress.cancel();
        let error = wit::Host::report(&mut guest, None, "b".into()).await.unwrap_err();
        assert_eq!((error.code.as_str(), watcher.borrow().percent), ("cancelled", Some(100)));
    }
}
