//! What can be asked of the task plugins, and what was: the runs.
//!
//! A driver offers its plugin's tasks for as long as the plugin has its place. A run has a thread of its own, so that one
//! that computes for minutes keeps no probe waiting, and works with the version that it began with. When a plugin is
//! replaced, its runs go on to their end; when it is removed, they are cancelled.
//!
//! ```text
//! Running ─answers─▶ Done       ─error, trap, deadline─▶ Failed       ─cancelled, removed, the agent stops─▶ Cancelled
//! ```
//!
//! Runs are kept in memory: a restart of the agent ends and forgets them. The locks are held for a look or a change of a
//! list, never while something is waited for: a start must see every other run, wherever it is asked for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::admit::Admitted;
use super::instance::{Capabilities, Declined};
use super::kit::{Kit, Linked, Senses};
use super::task::{Description, LinkedTask};
use crate::capability::deploys::Deploys;
use crate::capability::progress::{Progress, Said};
use crate::model::PluginName;

/// Runs at once, over all plugins: each is a thread, and may have as much memory as a plugin may.
const AT_ONCE: usize = 4;
/// Runs that are remembered, with those that run.
const REMEMBERED: usize = 64;
/// How long a run that was cancelled has to clean up.
const CLEAN_UP: Duration = Duration::from_secs(2);
/// Threads of a run that its reads may block.
const READERS: usize = 16;

/// A task plugin that can be asked.
pub(super) struct Offer {
    pub(super) plugin: Admitted,
    pub(super) kit: Arc<Kit>,
    pub(super) senses: Senses,
    pub(super) descriptions: Vec<Description>,
}

/// Offered for as long as this lives.
#[derive(Debug)]
pub(super) struct Offered {
    tasks: Tasks,
    name: PluginName,
    offer: Weak<Offer>,
}

/// How a run is.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    Running,
    Done(Value),
    Failed(Declined),
    Cancelled(&'static str),
}

/// One run.
#[derive(Debug)]
pub struct Run {
    pub id: Uuid,
    pub plugin: PluginName,
    /// Of the plugin.
    pub version: String,
    pub task: String,
    pub long: bool,
    pub started: SystemTime,
    began: Instant,
    progress: Progress,
    /// Why it was cancelled; the first reason counts.
    reason: Mutex<Option<&'static str>>,
    phase: watch::Sender<(Phase, Duration)>,
}

/// Why a run was not started.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    #[error("no plugin {0} offers tasks here; GET /tasks says which do")]
    NoPlugin(String),
    #[error("the plugin {plugin} has no task {task:?}; it has: {known}")]
    NoTask { plugin: PluginName, task: String, known: String },
    #[error(transparent)]
    Arguments(#[from] cardcage_manifest::ArgumentsError),
    #[error("{task} of {plugin} runs already, as {id}; one at a time")]
    Busy { plugin: PluginName, task: String, id: Uuid },
    #[error("{AT_ONCE} runs are under way, and no more at once; try again, or cancel one")]
    Full,
    #[error("the agent is stopping")]
    Stopping,
    #[error("no thread can be started for it: {0}")]
    Thread(String),
}

/// The tasks of the agent. Cheap to clone; every clone sees the same.
#[derive(Debug, Clone, Default)]
pub struct Tasks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// By plugin, the version that was offered last at the end: the one before it is about to go.
    offers: Mutex<BTreeMap<PluginName, Vec<Arc<Offer>>>>,
    /// Oldest first.
    runs: Mutex<VecDeque<Arc<Run>>>,
    stop: CancellationToken,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Offer").field("plugin", &self.plugin.package().name).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tasks {
    pub(super) fn offer(&self, offer: Offer) -> Offered {
        let (name, offer) = (offer.plugin.package().name.clone(), Arc::new(offer));
        let offered = Offered { tasks: self.clone(), name: name.clone(), offer: Arc::downgrade(&offer) };
        locked(&self.0.offers).entry(name).or_default().push(offer);
        offered
    }

    /// What can be asked for: plugin, its version, task.
    pub fn list(&self) -> Vec<(PluginName, String, Description)> {
        let offers = locked(&self.0.offers);
        let newest = offers.values().filter_map(|versions| versions.last());
        let described = newest.flat_map(|offer| {
            let package = offer.plugin.package();
            offer.descriptions.iter().map(|description| {
                (package.name.clone(), package.manifest.version.clone(), description.clone())
            })
        });
        described.collect()
    }

    /// The runs that are remembered, oldest first.
    pub fn runs(&self) -> Vec<Arc<Run>> {
        locked(&self.0.runs).iter().cloned().collect()
    }

    /// One of them.
    pub fn run(&self, id: Uuid) -> Option<Arc<Run>> {
        locked(&self.0.runs).iter().find(|run| run.id == id).cloned()
    }

    /// Starts a run, which goes on whether or not anybody waits for it.
    pub fn start(
        &self,
        plugin: &str,
        task: &str,
        arguments: Map<String, Value>,
    ) -> Result<Arc<Run>, NotStarted> {
        let offer =
            locked(&self.0.offers).get(&PluginName::from(plugin)).and_then(|offers| offers.last().cloned());
        let offer = offer.ok_or_else(|| NotStarted::NoPlugin(plugin.to_owned()))?;
        let (description, arguments) = offer.asked(task, arguments)?;
        let run = Arc::new(Run::new(&offer, description));
        self.admit(&run)?;
        // Either whoever takes the plugin away sees the run, or this sees that it is gone.
        if !locked(&self.0.offers).contains_key(&PluginName::from(plugin)) {
            run.cancel("its plugin was removed");
        }
        let (carried, shared) = (Arc::clone(&run), Arc::clone(&self.0));
        let carry = move || carried.carry_out(&offer, &arguments, &shared.stop);
        if let Err(error) = thread::Builder::new().name("task".into()).spawn(carry) {
            locked(&self.0.runs).retain(|other| other.id != run.id);
            return Err(NotStarted::Thread(error.to_string()));
        }
        Ok(run)
    }

    /// Remembers a run that is about to start, if there is room for it.
    fn admit(&self, run: &Arc<Run>) -> Result<(), NotStarted> {
        if self.0.stop.is_cancelled() {
            return Err(NotStarted::Stopping);
        }
        let mut runs = locked(&self.0.runs);
        let running: Vec<_> = runs.iter().filter(|run| run.is_running()).collect();
        if let Some(other) = running.iter().find(|other| other.plugin == run.plugin && other.long == run.long)
        {
            let (plugin, task) = (other.plugin.clone(), other.task.clone());
            return Err(NotStarted::Busy { plugin, task, id: other.id });
        }
        if running.len() >= AT_ONCE {
            return Err(NotStarted::Full);
        }
        if runs.len() >= REMEMBERED
            && let Some(oldest) = runs.iter().position(|run| !run.is_running())
        {
            runs.remove(oldest);
        }
        runs.push_back(Arc::clone(run));
        Ok(())
    }

    /// Ends every run, without time to clean up, and starts no more.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        let mut offers = locked(&self.tasks.0.offers);
        let versions = offers.entry(self.name.clone()).or_default();
        versions.retain(|offer| !std::ptr::eq(Arc::as_ptr(offer), self.offer.as_ptr()));
        if versions.is_empty() {
            offers.remove(&self.name);
            drop(offers);
            for run in self.tasks.runs().iter().filter(|run| run.plugin == self.name) {
                run.cancel("its plugin was removed");
            }
        }
    }
}

impl Offer {
    /// What is asked for, with its arguments as the guest takes them.
    fn asked(&self, task: &str, arguments: Map<String, Value>) -> Result<(&Description, String), NotStarted> {
        let description = self.descriptions.iter().find(|description| description.name == task);
        let Some(description) = description else {
            let known: Vec<_> =
                self.descriptions.iter().map(|description| description.name.as_str()).collect();
            let plugin = self.plugin.package().name.clone();
            return Err(NotStarted::NoTask { plugin, task: task.to_owned(), known: known.join(", ") });
        };
        Ok((description, description.arguments.fit(arguments)?.to_string()))
    }

    async fn carry_out(
        &self,
        (task, long): (&str, bool),
        arguments: &str,
        progress: &Progress,
    ) -> Result<Value, Declined> {
        // Linked anew: most plugins of this kind are asked seldom, and take no memory meanwhile.
        let linked = match self.kit.link(&self.plugin).await {
            Ok(Linked::Task(linked)) => linked,
            Ok(_) => return Err(Declined { code: "invalid".into(), detail: "the plugin is no task".into() }),
            Err(error) => return Err(Declined { code: "unavailable".into(), detail: error.reason }),
        };
        let capabilities =
            self.kit.capabilities(&self.plugin, &self.senses.of_another_version(), Deploys::none());
        let capabilities = Capabilities { progress: progress.clone(), ..capabilities };
        let limits = &self.plugin.package().manifest.task;
        let deadline = if long { limits.long } else { limits.query };
        let (runtime, settings) = (&self.kit.runtime, &self.plugin.settings);
        linked.run(runtime, capabilities, settings, (task, arguments), deadline).await
    }
}

impl Run {
    fn new(offer: &Offer, description: &Description) -> Self {
        let package = offer.plugin.package();
        Self {
            id: Uuid::new_v4(),
            plugin: package.name.clone(),
            version: package.manifest.version.clone(),
            task: description.name.clone(),
            long: description.long,
            started: SystemTime::now(),
            began: Instant::now(),
            progress: Progress::default(),
            reason: Mutex::default(),
            phase: watch::Sender::new((Phase::Running, Duration::ZERO)),
        }
    }

    /// How it is, and how long it has taken.
    pub fn phase(&self) -> (Phase, Duration) {
        match self.phase.borrow().clone() {
            (Phase::Running, _) => (Phase::Running, self.began.elapsed()),
            ended => ended,
        }
    }

    fn is_running(&self) -> bool {
        self.phase.borrow().0 == Phase::Running
    }

    /// What it said last.
    pub fn said(&self) -> Said {
        self.progress.watch().borrow().clone()
    }

    /// Until it has ended.
    pub async fn ended(&self) {
        // The sender is this run's own.
        let _ended = self.phase.subscribe().wait_for(|(phase, _)| *phase != Phase::Running).await.is_ok();
    }

    /// Tells it that nobody wants the result any more.
    pub fn cancel(&self, reason: &'static str) {
        locked(&self.reason).get_or_insert(reason);
        self.progress.cancel();
    }

    /// On a thread of its own.
    fn carry_out(&self, offer: &Offer, arguments: &str, stop: &CancellationToken) {
        info!(plugin = %self.plugin, task = self.task, run = %self.id, "task started");
        let ending = Ending(self);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(READERS)
            .thread_name("reader")
            .thread_stack_size(256 << 10)
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                return ending.is(Phase::Failed(Declined { code: "io".into(), detail: error.to_string() }));
            }
        };
        let phase = runtime.block_on(async {
            tokio::select! {
                answer = offer.carry_out((&self.task, self.long), arguments, &self.progress) => match answer {
                    Ok(answer) => Phase::Done(answer),
                    Err(error) if error.code == "cancelled" && self.progress.is_cancelled() => self.was_cancelled(),
                    Err(error) => Phase::Failed(error),
                },
                () = overdue(&self.progress) => self.was_cancelled(),
                () = stop.cancelled() => Phase::Cancelled("the agent stops"),
            }
        });
        ending.is(phase);
        // A read that is stuck keeps nothing.
        runtime.shutdown_background();
    }

    fn was_cancelled(&self) -> Phase {
        Phase::Cancelled(locked(&self.reason).unwrap_or("cancelled"))
    }
}

/// A run has ended when its thread has, whatever that did.
struct Ending<'a>(&'a Run);

impl Ending<'_> {
    fn is(&self, phase: Phase) {
        let run = self.0;
        match &phase {
            Phase::Failed(error) => {
                warn!(plugin = %run.plugin, task = run.task, run = %run.id, %error, "task failed")
            }
            Phase::Cancelled(reason) => {
                info!(plugin = %run.plugin, task = run.task, run = %run.id, reason, "task cancelled")
            }
            _ => {
                info!(plugin = %run.plugin, task = run.task, run = %run.id, took = ?run.began.elapsed(), "task done")
            }
        }
        run.phase.send_replace((phase, run.began.elapsed()));
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.0.is_running() {
            self.is(Phase::Failed(Declined {
                code: "failed".into(),
                detail: "the agent's thread for it ended".into(),
            }));
        }
    }
}

/// Asks a plugin what can be asked of it.
pub(super) async fn describe(
    kit: &Kit,
    linked: &LinkedTask,
    plugin: &Admitted,
    senses: &Senses,
) -> Result<Vec<Description>, Declined> {
    let capabilities = kit.capabilities(plugin, senses, Deploys::none());
    linked.describe(&kit.runtime, capabilities, &plugin.settings).await
}

/// Once a run that was cancelled has had its time to clean up.
async fn overdue(progress: &Progress) {
    progress.cancelled().await;
    tokio::time::sleep(CLEAN_UP).await;
}

/// Runs one task outside of any agent: for a vendor who tries a plugin. What it says goes to `progress`.
pub async fn try_task(
    kit: &Arc<Kit>,
    plugin: Admitted,
    task: &str,
    arguments: Map<String, Value>,
    progress: &Progress,
) -> Result<Value, String> {
    let Linked::Task(linked) = kit.link(&plugin).await.map_err(|error| error.reason)? else {
        return Err("is no task plugin; a probe is tried with `cardcage-agent plugin try`".to_owned());
    };
    let senses = kit.senses(plugin.package());
    let descriptions = describe(kit, &linked, &plugin, &senses).await.map_err(|error| error.to_string())?;
    let offer = Offer { plugin, kit: Arc::clone(kit), senses, descriptions };
    let (description, arguments) = offer.asked(task, arguments).map_err(|error| error.to_string())?;
    let answer = tokio::select! {
        answer = offer.carry_out((task, description.long), &arguments, progress) => answer,
        () = overdue(progress) => return Err("was cancelled".to_owned()),
    };
    answer.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(plugin: &str, long: bool) -> Arc<Run> {
        Arc::new(Run {
            id: Uuid::new_v4(),
            plugin: plugin.into(),
            version: "1".into(),
            task: "burn-in".into(),
            long,
            started: SystemTime::now(),
            began: Instant::now(),
            progress: Progress::default(),
            reason: Mutex::default(),
            phase: watch::Sender::new((Phase::Running, Duration::ZERO)),
        })
    }

    fn end(run: &Run) {
        Ending(run).is(Phase::Done(Value::Null));
    }

    #[test]
    fn one_of_each_kind_of_a_plugin_and_four_in_all_run_at_once() {
        let tasks = Tasks::default();
        let first = run("a", true);
        assert_eq!(tasks.admit(&first), Ok(()));
        assert!(matches!(tasks.admit(&run("a", true)), Err(NotStarted::Busy { id, .. }) if id == first.id));
        for other in [run("a", false), run("b", true), run("c", true)] {
            assert_eq!(tasks.admit(&other), Ok(()));
        }
        assert_eq!(tasks.admit(&run("d", true)), Err(NotStarted::Full));
        end(&first);
        assert_eq!(tasks.admit(&run("a", true)), Ok(()));
        tasks.stop();
        assert_eq!(tasks.admit(&run("e", true)), Err(NotStarted::Stopping));
    }

    #[test]
    fn the_oldest_that_ended_is_forgotten_and_none_that_runs() {
        let tasks = Tasks::default();
        let (running, ended) = (run("a", true), run("b", true));
        for run in [&running, &ended] {
            assert_eq!(tasks.admit(run), Ok(()));
        }
        end(&ended);
        for _ in 0..REMEMBERED {
            let next = run("b", true);
            assert_eq!(tasks.admit(&next), Ok(()));
            end(&next);
        }
        assert_eq!(tasks.runs().len(), REMEMBERED);
        assert!(tasks.run(running.id).is_some() && tasks.run(ended.id).is_none());
    }

    #[test]
    fn the_first_reason_of_a_cancellation_counts_and_a_thread_that_ends_ends_its_run() {
        let run = run("a", true);
        run.cancel("it was cancelled");
        run.cancel("its plugin was removed");
        assert_eq!(run.was_cancelled(), Phase::Cancelled("it was cancelled"));
        drop(Ending(&run));
        assert!(matches!(run.phase().0, Phase::Failed(error) if error.detail.contains("thread")));
    }
}
