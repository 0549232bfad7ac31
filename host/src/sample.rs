//! What every probe said last, side by side. A report never waits for a sensor: it reads here.
//!
//! | channel  | kind  | writer                 | reader                    |
//! |----------|-------|------------------------|---------------------------|
//! | roster   | watch | the supervisor of plugins | [`Board`]                 |
//! | a report | watch | each plugin's driver   | [`Board`], by the roster  |

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::model::{Contribution, PluginState, PluginStatus, Readings, Replacement, Snapshot};

/// A query that comes before the first sample waits for it, but no longer than this after the start.
pub const FIRST_SAMPLE: Duration = Duration::from_secs(2);

/// What one plugin's driver publishes: how it is, and what its probe said last.
#[derive(Debug, Clone)]
pub struct PluginReport {
    pub status: PluginStatus,
    pub latest: Option<Contribution>,
}

/// What becomes of a plugin that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has given a good sample; a backend can be called.
    Proved,
    /// It will not, as it is.
    Failed,
}

impl PluginReport {
    /// What became of it, if that is known by now.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.status.state {
            PluginState::Refused | PluginState::Quarantined | PluginState::Idle => Some(Outcome::Failed),
            // A sample that holds nothing but faults proves nothing. What serves deploys takes no samples.
            PluginState::Ready => {
                let said = self.latest.as_ref().is_some_and(|latest| *latest.readings != Readings::default());
                (said || self.status.faults.is_empty()).then_some(Outcome::Proved)
            }
            PluginState::Compiling | PluginState::Starting | PluginState::Backoff => None,
        }
    }

    /// Whether nothing more is to be waited for: it has sampled, or it will not for now.
    fn settled(&self) -> bool {
        self.latest.is_some() || !matches!(self.status.state, PluginState::Compiling | PluginState::Starting)
    }
}

/// One place of the roster: the plugin that speaks for it, and the one that is to take its place.
#[derive(Debug, Clone)]
pub struct Seat {
    pub plugin: watch::Receiver<PluginReport>,
    pub replacement: Option<watch::Receiver<PluginReport>>,
}

impl Seat {
    fn status(&self) -> PluginStatus {
        let replacement = self.replacement.as_ref().map(|report| Replacement::from(&report.borrow().status));
        PluginStatus { replacement, ..self.plugin.borrow().status.clone() }
    }
}

/// Announces plugins to the [`Board`].
#[derive(Debug)]
pub struct Roster(watch::Sender<Option<Vec<Seat>>>);

impl Roster {
    /// The plugins that there are from now on.
    pub fn announce(&self, plugins: Vec<Seat>) {
        self.0.send_replace(Some(plugins));
    }
}

/// The board as its probes see it. Cheap to clone; every clone sees the same.
#[derive(Debug, Clone)]
pub struct Board {
    started: Instant,
    roster: watch::Receiver<Option<Vec<Seat>>>,
}

impl Board {
    /// A board without probes, and the means to announce them.
    pub fn new() -> (Roster, Self) {
        let (sender, roster) = watch::channel(None);
        (Roster(sender), Self { started: Instant::now(), roster })
    }

    /// The latest readings of all probes, merged, as of now.
    pub fn snapshot(&self) -> Snapshot {
        let latest = self.each(|seat| seat.plugin.borrow().latest.clone()).into_iter().flatten().collect();
        Snapshot::merge(latest, Instant::now())
    }

    /// How every plugin is, in the order of their names.
    pub fn plugins(&self) -> Vec<PluginStatus> {
        let mut plugins = self.each(Seat::status);
        plugins.sort_by(|a, b| a.name.cmp(&b.name));
        plugins
    }

    /// Waits until every plugin of the start has sampled once or cannot, but no longer than [`FIRST_SAMPLE`] after the
    /// start; and in any case until there is a sample: nothing is answered before there is one.
    pub async fn ready(&self) {
        let deadline = tokio::time::Instant::from_std(self.started + FIRST_SAMPLE);
        let _late = tokio::time::timeout_at(deadline, self.settled()).await.is_err();
        self.sampled().await;
    }

    async fn settled(&self) {
        for mut seat in self.seats(&mut self.roster.clone()).await {
            // A driver that ended settles nothing more.
            let _ended = seat.plugin.wait_for(PluginReport::settled).await.is_err();
        }
    }

    /// Waits for the first sample of any plugin, also of one that comes later; for ever, if none will ever sample.
    async fn sampled(&self) {
        let mut roster = self.roster.clone();
        loop {
            let mut waiting = tokio::task::JoinSet::new();
            for mut seat in self.seats(&mut roster).await {
                waiting.spawn(
                    async move { seat.plugin.wait_for(|report| report.latest.is_some()).await.is_ok() },
                );
            }
            let any = async {
                while let Some(sampled) = waiting.join_next().await {
                    if matches!(sampled, Ok(true)) {
                        return;
                    }
                }
                std::future::pending().await
            };
            tokio::select! {
                () = any => return,
                changed = roster.changed() => if changed.is_err() { std::future::pending().await },
            }
        }
    }

    /// The plugins, once they are announced.
    async fn seats(&self, roster: &mut watch::Receiver<Option<Vec<Seat>>>) -> Vec<Seat> {
        let announced = roster.wait_for(Option::is_some).await;
        announced.map(|plugins| plugins.clone().unwrap_or_default()).unwrap_or_default()
    }

    fn each<T>(&self, take: impl Fn(&Seat) -> T) -> Vec<T> {
        self.roster.borrow().iter().flatten().map(take).collect()
    }
}
