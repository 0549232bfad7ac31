//! The thread that owns the database.

use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::database::{Database, StoreError};
use crate::clock::Clock;
use crate::fleet::Changes;

/// Longest time that closing may take; SQLite folds its log into the database then.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// One batch, and where the outcome goes. What could not be written is given back.
struct Batch {
    changes: Changes,
    reply: oneshot::Sender<Outcome>,
}

type Outcome = Result<(), (Changes, StoreError)>;

/// The handle.
pub(super) struct Writer {
    batches: mpsc::SyncSender<Batch>,
    ended: oneshot::Receiver<()>,
}

impl Writer {
    /// Gives the database to a thread of its own.
    pub(super) fn start(mut database: Database, clock: Clock) -> std::io::Result<Self> {
        let (batches, queue) = mpsc::sync_channel::<Batch>(1);
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            for Batch { changes, reply } in queue {
                let outcome = database.save(&changes, clock).map_err(|error| (changes, error));
                // Nobody waits any more when the manager is being killed.
                let _ = reply.send(outcome);
            }
            drop(database);
            let _ = end.send(());
        })?;
        Ok(Self { batches, ended })
    }

    /// Writes one batch. The caller waits for one before it gives the next, so there is always room for it.
    pub(super) async fn write(&self, changes: Changes) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        match self.batches.try_send(Batch { changes, reply }) {
            Ok(()) => outcome.await.unwrap_or_else(|_| Err((Changes::default(), StoreError::Stopped))),
            Err(mpsc::TrySendError::Full(batch) | mpsc::TrySendError::Disconnected(batch)) => {
                Err((batch.changes, StoreError::Stopped))
            }
        }
    }

    /// Closes the database.
    pub(super) async fn close(self) {
        drop(self.batches);
        let _ = timeout(CLOSE_DEADLINE, self.ended).await;
    }
}
