//! The inventory on disk: SQLite, in `state_dir/manager.db`. What was ordered is in a file of its own: `orders`.
//!
//! ```text
//! fleet ──unsaved, every flush_every──▶ Saver ──Batch, one at a time──▶ writer thread ──▶ database
//!       ◀─put_back, where that failed──
//! ```
//! The writer is a thread and not a task, since SQLite blocks. There is one batch under way at most: what changes
//! meanwhile waits in the fleet, where the later change of a board takes the place of the earlier. A crash costs what came
//! since the last flush.

mod database;
pub mod orders;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cardcage_daemon::state_dir::StateDir;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::fleet::Fleet;
use crate::metrics::Meters;
use database::Database;
pub use database::StoreError;
use writer::Writer;

/// Saves the fleet.
pub struct Saver {
    fleet: Fleet,
    meters: Arc<Meters>,
    writer: Writer,
    flush_every: Duration,
    failing: bool,
}

impl Saver {
    /// Opens the store and puts its boards back into the fleet.
    pub fn restore(
        dir: &StateDir,
        flush_every: Duration,
        fleet: Fleet,
        meters: Arc<Meters>,
    ) -> Result<Self, StoreError> {
        let path = dir.path().join("manager.db");
        let (database, restored) = Database::open_or_replace(&path, fleet.clock())?;
        let boards = restored.len();
        restored.into_iter().for_each(|board| fleet.restore(board));
        info!(boards, path = %path.display(), "inventory restored");
        let writer = Writer::start(database, fleet.clock()).map_err(StoreError::Thread)?;
        Ok(Self { fleet, meters, writer, flush_every, failing: false })
    }

    /// Saves on its cadence until it is told to stop, and then once more.
    ///
    /// It is told last, when no report can come in any more.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(self.flush_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => self.flush().await,
            }
        }
        self.flush().await;
        if self.failing {
            error!("the last changes of the inventory are lost: they could not be saved");
        }
        self.writer.close().await;
    }

    async fn flush(&mut self) {
        let changes = self.fleet.unsaved();
        if changes.is_empty() {
            return;
        }
        let (start, boards) = (Instant::now(), changes.boards.len());
        let outcome = self.writer.write(changes).await;
        self.meters.batch(boards, start.elapsed(), outcome.is_ok());
        match outcome {
            Ok(()) if self.failing => info!("the inventory is saved again"),
            Ok(()) => {}
            Err((changes, error)) => {
                if !self.failing {
                    warn!(%error, "the inventory cannot be saved, trying again at each flush");
                }
                self.failing = true;
                return self.fleet.put_back(changes);
            }
        }
        self.failing = false;
    }
}
