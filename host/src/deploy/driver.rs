//! Brings one deployment from where its record says it is to where it should be. At most one driver a uuid.
//!
//! The record is the state: the driver does what its phase says, writes down the next one, and goes on. Killed anywhere,
//! the next driver does the same again, which is why a backend's `start` and `stop` finish what was begun. An order to
//! stop is a flag: the driver looks at it between two phases, and what waits long looks at it too.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::backend::{Backends, Fault, Found, Work};
use super::cell::Cell;
use super::compare::ended;
use super::ledger::NotWritten;
use super::record::{Outcome, Phase, Record};
use crate::error::chain;
use crate::model::{InstanceState, Progress};

/// First pause before something is tried again; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// How long a start may go on once it is no longer wanted, before it is broken off.
const GIVE_UP: Duration = Duration::from_secs(20);

/// What a driver tells the keeper.
#[derive(Debug)]
pub(super) enum News {
    /// It does not go on for now; those who wait are told, and it is tried again.
    Trouble { uuid: String, outcome: Outcome, message: String },
    /// It has ended, and the record says where.
    Over { uuid: String, found: Option<Found> },
    /// The intent could not be written down, so nothing was done.
    NotBegun { uuid: String, reason: String },
}

/// With which intent a driver begins.
#[derive(Debug)]
pub(super) enum Intent {
    /// Write this down, then follow it.
    Begin(Box<Record>),
    /// Write this down, and do nothing.
    Settle(Box<Record>),
    /// Follow what is written down.
    Resume,
}

pub(super) struct Driver<B> {
    pub(super) backends: B,
    pub(super) work: Work,
    pub(super) stop: CancellationToken,
    pub(super) news: mpsc::UnboundedSender<News>,
    pub(super) boot: String,
}

impl<B: Backends> Driver<B> {
    pub(super) async fn run(self, intent: Intent) {
        let uuid = self.cell().with(|record| record.order.uuid.clone());
        match intent {
            Intent::Begin(record) => {
                if let Err(error) = self.cell().replace(*record).await {
                    let reason = chain(&error);
                    return self.tell(News::NotBegun { uuid, reason });
                }
            }
            Intent::Settle(record) => {
                // A restart finds the same in its first survey.
                if let Err(error) = self.cell().replace(*record).await {
                    warn!(uuid, error = chain(&error), "not written down");
                }
                return self.tell(News::Over { uuid, found: None });
            }
            Intent::Resume => {}
        }
        let found = self.follow().await;
        self.work.progress.set(None);
        self.tell(News::Over { uuid, found });
    }

    /// Until there is nothing more to do.
    async fn follow(&self) -> Option<Found> {
        loop {
            let phase = self.cell().with(|record| record.phase.clone());
            if self.stop.is_cancelled() && !matches!(phase, Phase::Stopping | Phase::Stopped) {
                self.begin_to_stop().await;
                continue;
            }
            match phase {
                Phase::Clearing => {
                    if self.clear().await {
                        self.enter(Phase::Starting).await;
                    }
                }
                Phase::Starting | Phase::Running => {
                    if let Some(found) = self.start().await {
                        return Some(found);
                    }
                }
                Phase::RollingBack { outcome, reason } => {
                    if self.clear().await {
                        self.enter(Phase::Ended { failed: true, outcome, reason: Some(reason) }).await;
                        return None;
                    }
                }
                Phase::Stopping => {
                    if self.clear().await {
                        self.enter(Phase::Stopped).await;
                        return None;
                    }
                }
                // Something is there that should not be.
                Phase::Ended { .. } | Phase::Stopped => {
                    self.clear().await;
                    return None;
                }
            }
        }
    }

    /// One attempt to start, and the phase after it. What runs comes back.
    async fn start(&self) -> Option<Found> {
        match self.attempt().await {
            Ok(found) if !self.stop.is_cancelled() => {
                match found.state {
                    // It ended by itself while nobody looked.
                    InstanceState::Failed | InstanceState::Stopped => self.enter(ended(Some(&found))).await,
                    _ => self.runs(&found).await,
                }
                Some(found)
            }
            // Stopped meanwhile: what was made is ended in the next phase.
            _ if self.stop.is_cancelled() => None,
            Ok(_) => None,
            Err(fault) if fault.unreachable() => {
                self.trouble(Outcome::Unreachable, &fault.detail);
                self.pause(FIRST_PAUSE * 4).await;
                None
            }
            Err(fault) => {
                warn!(uuid = %self.uuid(), code = fault.code, reason = fault.detail, "deployment failed");
                // The request was in order; what it led to was not.
                let outcome = match fault.outcome() {
                    Outcome::Invalid => Outcome::Failed,
                    outcome => outcome,
                };
                let reason = fault.detail;
                self.enter(Phase::RollingBack { outcome, reason }).await;
                None
            }
        }
    }

    /// A start that is no longer wanted is given time to notice; dropping it is as good as a crash.
    async fn attempt(&self) -> Result<Found, Fault> {
        let given_up = async {
            self.stop.cancelled().await;
            sleep(GIVE_UP).await;
        };
        tokio::select! {
            started = self.backends.start(self.work.clone()) => started,
            () = given_up => Err(Fault::new("cancelled", "it was stopped while it was being started")),
        }
    }

    async fn runs(&self, found: &Found) {
        let mut record = self.cell().get();
        record.enter(Phase::Running);
        record.known_as(found.id.clone());
        record.name.clone_from(&found.name);
        record.boot.clone_from(&self.boot);
        info!(uuid = %record.order.uuid, backend = record.order.kind, id = ?found.id, "deployed");
        // It runs; a restart that reads the phase before would find that out.
        if let Err(error) = self.cell().replace(record.clone()).await {
            warn!(uuid = %record.order.uuid, error = chain(&error), "not written down");
            self.cell().remember(record);
        }
    }

    /// Ends and removes, again and again until it is done. False when a stop was ordered meanwhile.
    async fn clear(&self) -> bool {
        let stopping = self.cell().with(|record| matches!(record.phase, Phase::Stopping));
        let mut pause = FIRST_PAUSE;
        loop {
            match self.backends.stop(self.work.clone()).await {
                Ok(()) => return true,
                Err(fault) => {
                    let outcome = if fault.unreachable() { Outcome::Unreachable } else { Outcome::Failed };
                    self.trouble(outcome, &fault.detail);
                    if stopping {
                        sleep(pause).await;
                    } else if self.pause(pause).await {
                        return false;
                    }
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }

    /// A full disk must not keep an instance from being ended: it may be what fills it. Nobody is told that it is stopped
    /// before that is written down, so a restart in between is a stop that was not confirmed.
    async fn begin_to_stop(&self) {
        if let Err(error) = self.write(Phase::Stopping).await {
            warn!(uuid = %self.uuid(), error = chain(&error), "not written down; it is stopped all the same");
            let mut record = self.cell().get();
            record.enter(Phase::Stopping);
            self.cell().remember(record);
        }
    }

    /// Writes down the next phase, however long that takes: what is not written down is not done.
    async fn enter(&self, phase: Phase) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.write(phase.clone()).await {
            self.trouble(Outcome::NoSpace, &chain(&error));
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn write(&self, phase: Phase) -> Result<(), NotWritten> {
        self.cell().update(|record| record.enter(phase)).await
    }

    /// Whether a stop was ordered meanwhile.
    async fn pause(&self, time: Duration) -> bool {
        timeout(time, self.stop.cancelled()).await.is_ok()
    }

    fn trouble(&self, outcome: Outcome, message: &str) {
        let uuid = self.uuid();
        warn!(%uuid, reason = message, "deployment does not go on, it is tried again");
        self.work.progress.set(Some(message.to_owned()));
        self.tell(News::Trouble { uuid, outcome, message: message.to_owned() });
    }

    fn tell(&self, news: News) {
        // The keeper is gone when the agent stops.
        let _stopping = self.news.send(news).is_err();
    }

    fn cell(&self) -> &Cell {
        &self.work.cell
    }

    fn uuid(&self) -> String {
        self.cell().with(|record| record.order.uuid.clone())
    }
}

/// A driver that the keeper can tell to stop.
#[derive(Debug)]
pub(super) struct Driving {
    pub(super) stop: CancellationToken,
    pub(super) progress: Progress,
    /// Not for one that only writes down what was found.
    pub(super) starts: bool,
}
