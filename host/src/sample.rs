//! What every probe said last, side by side. A report never waits for a sensor: it reads here.
//!
//! | channel  | kind  | writer                 | reader                    |
//! |----------|-------|------------------------|---------------------------|
//! | roster   | watch | the loader of plugins  | [`Board`]                 |
//! | a report | watch | each plugin's driver   | [`Board`], by the roster  |

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::model::{Contribution, PluginState, PluginStatus, Snapshot};

/// A query that comes before the first sample waits for it, but no longer than this after the start.
pub const FIRST_SAMPLE: Duration = Duration::from_secs(2);

/// What one plugin's driver publishes: how it is, and what its probe said last.
#[derive(Debug, Clone)]
pub struct PluginReport {
    pub status: PluginStatus,
    pub latest: Option<Contribution>,
}

impl PluginReport {
    /// Whether nothing more is to be waited for: it has sampled, or it will not for now.
    fn settled(&self) -> bool {
        self.latest.is_some() || !matches!(self.status.state, PluginState::Compiling | PluginState::Starting)
    }
}

/// Announces plugins to the [`Board`].
#[derive(Debug)]
pub struct Roster(watch::Sender<Option<Vec<watch::Receiver<PluginReport>>>>);

impl Roster {
    /// The plugins that there are from now on.
    pub fn announce(&self, plugins: Vec<watch::Receiver<PluginReport>>) {
        self.0.send_replace(Some(plugins));
    }
}

/// The board as its probes see it. Cheap to clone; every clone sees the same.
#[derive(Debug, Clone)]
pub struct Board {
    started: Instant,
    roster: watch::Receiver<Option<Vec<watch::Receiver<PluginReport>>>>,
}

impl Board {
    /// A board without probes, and the means to announce them.
    pub fn new() -> (Roster, Self) {
        let (sender, roster) = watch::channel(None);
        (Roster(sender), Self { started: Instant::now(), roster })
    }

    /// The latest readings of all probes, merged, as of now.
    pub fn snapshot(&self) -> Snapshot {
        let latest = self.each(|report| report.latest.clone()).into_iter().flatten().collect();
        Snapshot::merge(latest, Instant::now())
    }

    /// How every plugin is, in the order of their names.
    pub fn plugins(&self) -> Vec<PluginStatus> {
        let mut plugins = self.each(|report| report.status.clone());
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
        for mut report in self.reports().await {
            // A driver that ended settles nothing more.
            let _ended = report.wait_for(PluginReport::settled).await.is_err();
        }
    }

    /// Waits for the first sample of any plugin; for ever, if none will ever sample.
    async fn sampled(&self) {
        let mut waiting = tokio::task::JoinSet::new();
        for mut report in self.reports().await {
            waiting.spawn(async move { report.wait_for(|report| report.latest.is_some()).await.is_ok() });
        }
        while let Some(sampled) = waiting.join_next().await {
            if matches!(sampled, Ok(true)) {
                return;
            }
        }
        std::future::pending().await
    }

    async fn reports(&self) -> Vec<watch::Receiver<PluginReport>> {
        let mut roster = self.roster.clone();
        let announced = roster.wait_for(Option::is_some).await;
        announced.map(|plugins| plugins.clone().unwrap_or_default()).unwrap_or_default()
    }

    fn each<T>(&self, take: impl Fn(&PluginReport) -> T) -> Vec<T> {
        self.roster.borrow().iter().flatten().map(|report| take(&report.borrow())).collect()
    }
}
