//! Drives one plugin from its file to its samples, for as long as it has its place.
//!
//! ```text
//! Compiling -> Starting -> Ready --trap, deadline--> Backoff --again and again--> Quarantined
//!   |   ^         |          ^------------------------'
//!   |   |         |-> Idle       (nothing to do on this board)
//!   |-----------`-> Refused      (does not compile, does not fit, declines its settings)
//!   `-> Backoff                  (a full disk, no compiler: it is tried for as long as it takes)
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use cardcage_native::Native;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tracing::{debug, info, warn};

use super::admit::Admitted;
use super::backend::LinkedBackend;
use super::backends::{Place, Served};
use super::backoff::{Backoff, Next};
use super::cache::Fault;
use super::instance::{CallError, Cost, Found, Instance, LinkedProbe, Sampled};
use super::kit::{Kit, Linked, NotLinked, Senses, UNKNOWN_BOARD};
use super::task::LinkedTask;
use super::tasks::{self, Offer};
use crate::error::chain;
use crate::model::{Contribution, PluginState, PluginStatus, Support};
use crate::sample::PluginReport;

/// Faults that are kept for `plugin list`.
const FAULTS: usize = 8;
/// How often a plugin may use up all that a compilation may use: minutes of a core each time.
const COMPILATIONS: u32 = 3;

/// One plugin, and what it publishes.
#[derive(Debug)]
pub(super) struct Driver {
    plugin: Admitted,
    /// Where a backend is put once it can be called.
    place: Option<Place>,
    kit: Arc<Kit>,
    senses: Senses,
    /// What calls native libraries for it. It ends with this, when the plugin is set aside, stopped, replaced or removed.
    native: Option<Arc<Native>>,
    report: watch::Sender<PluginReport>,
}

/// How an instance's life ended.
enum End {
    Idle(Option<String>),
    Refused(String),
    Failed(CallError),
}

impl Driver {
    pub(super) fn new(
        plugin: Admitted,
        place: Option<Place>,
        kit: Arc<Kit>,
        senses: Senses,
    ) -> (Self, watch::Receiver<PluginReport>) {
        let (report, reports) = watch::channel(first_report(&plugin));
        let native = kit.native(&plugin.grants, &senses);
        (Self { plugin, place, kit, senses, native, report }, reports)
    }

    /// Runs until the plugin is set aside; what it said and how it is stays in its report.
    pub(super) async fn run(self) {
        if let Err(reason) = self.is_for_this_board().await {
            self.place.iter().for_each(|place| place.refused(&reason));
            return self.set_aside(PluginState::Idle, Some(reason));
        }
        let linked = match self.link().await {
            Ok(Linked::Probe(linked)) => linked,
            Ok(Linked::Backend(linked)) => return self.serve(linked),
            Ok(Linked::Task(linked)) => return self.offer(linked).await,
            Err(reason) => {
                self.place.iter().for_each(|place| place.refused(&reason));
                return self.set_aside(PluginState::Refused, Some(reason));
            }
        };
        let (mut backoff, mut spent) = (Backoff::default(), Cost::default());
        loop {
            self.tries(PluginState::Starting);
            let started = Instant::now();
            let end = self.live(&linked, &mut spent).await;
            // What the instance opened is of no use to the next.
            if let Some(native) = &self.native {
                native.stop().await;
            }
            let failure = match end {
                End::Idle(note) => {
                    let reason = "nothing to do on this board".to_owned();
                    let reason = note.map(|note| format!("{reason}: {note}")).unwrap_or(reason);
                    return self.set_aside(PluginState::Idle, Some(reason));
                }
                End::Refused(reason) => return self.set_aside(PluginState::Refused, Some(reason)),
                End::Failed(error) => chain(&error),
            };
            self.report.send_modify(|report| {
                report.status.failures += 1;
                report.status.last_error = Some(failure.clone());
            });
            match backoff.failed(started, Instant::now()) {
                Next::Quarantine => return self.set_aside(PluginState::Quarantined, Some(failure)),
                Next::After(pause) => {
                    warn!(plugin = %self.plugin.package.name, reason = failure, ?pause, "plugin ended, it starts again");
                    self.state(PluginState::Backoff, Some(failure));
                    tokio::time::sleep(pause).await;
                    self.report.send_modify(|report| report.status.restarts += 1);
                }
            }
        }
    }

    /// A backend has an instance for each call, so there is nothing to drive: it is called where deploys are.
    fn serve(self, linked: LinkedBackend) {
        info!(plugin = %self.plugin.package.name, "deploy backend ready");
        self.state(PluginState::Ready, None);
        if let Some(place) = self.place {
            place.ready(Served::new(self.plugin, self.kit, linked, self.senses));
        }
    }

    /// So has a task plugin. It is offered until this is dropped, when it is stopped, replaced or removed.
    async fn offer(self, linked: LinkedTask) {
        let descriptions = match tasks::describe(&self.kit, &linked, &self.plugin, &self.senses).await {
            Ok(descriptions) => descriptions,
            Err(error) => {
                return self
                    .set_aside(PluginState::Refused, Some(format!("says nothing of its tasks: {error}")));
            }
        };
        drop(linked);
        let Self { plugin, kit, senses, report, .. } = self;
        info!(plugin = %plugin.package.name, tasks = descriptions.len(), "tasks ready");
        // Before it takes its place: the runs of the version before are to go on.
        let _offered = kit.tasks.offer(Offer { plugin, kit: Arc::clone(&kit), senses, descriptions });
        report.send_modify(|report| {
            report.status.state = PluginState::Ready;
            report.status.reason = None;
        });
        std::future::pending::<()>().await;
    }

    /// Asks the board what it is, for as long as it takes.
    async fn is_for_this_board(&self) -> Result<(), String> {
        let mut backoff = Backoff::default();
        loop {
            if let Some(applies) = self.kit.is_for_this_board(&self.plugin.package).await {
                return applies;
            }
            self.state(PluginState::Backoff, Some(UNKNOWN_BOARD.to_owned()));
            tokio::time::sleep(backoff.put_off(true)).await;
        }
    }

    /// Compiles the plugin. What the machine is at fault for is tried until it works; the reason is an end.
    async fn link(&self) -> Result<Linked, String> {
        let (mut backoff, mut exhausted, mut said) = (Backoff::default(), 0, String::new());
        loop {
            let NotLinked { fault, reason } = match self.kit.link(&self.plugin).await {
                Ok(linked) => return Ok(linked),
                Err(error) => error,
            };
            self.report.send_modify(|report| report.status.failures += 1);
            exhausted += u32::from(fault == Fault::Exhausted);
            if fault == Fault::Plugin || exhausted >= COMPILATIONS {
                return Err(reason);
            }
            let pause = backoff.put_off(fault == Fault::Exhausted);
            if said != reason {
                warn!(plugin = %self.plugin.package.name, reason, "plugin cannot be compiled now, it is tried again");
                said.clone_from(&reason);
            }
            self.state(PluginState::Backoff, Some(reason));
            tokio::time::sleep(pause).await;
            self.tries(PluginState::Compiling);
        }
    }

    /// One instance, from its start to its end. What it cost is added.
    async fn live(&self, linked: &LinkedProbe, spent: &mut Cost) -> End {
        let before = *spent;
        let probe = &self.plugin.package.manifest.probe;
        let runtime = &self.kit.runtime;
        let capabilities = self.kit.probe(&self.plugin, &self.senses, self.native.clone());
        let mut instance = match Instance::start(runtime, linked, capabilities, probe.deadline).await {
            Ok(instance) => instance,
            Err(error) => return End::Failed(error),
        };
        let Found { support, note } = match instance.configure(runtime, &self.plugin.settings).await {
            Ok(Ok(Found { support: Support::Nothing, note })) => return End::Idle(note),
            Ok(Ok(found)) => found,
            Ok(Err(declined)) => return End::Refused(format!("declines: {declined}")),
            Err(error) => return End::Failed(error),
        };
        let support = self.plugin.package.at_most(support);
        self.report.send_modify(|report| {
            report.status.support = Some(support);
            report.status.note = note;
        });
        loop {
            let began = Instant::now();
            let sampled = instance.sample(runtime).await;
            *spent = before + instance.cost();
            match sampled {
                Ok(Ok(sampled)) => self.publish(sampled, support, began, (instance.memory(), *spent)),
                Ok(Err(declined)) => self.fault(format!("no sample: {declined}")),
                Err(error) => return End::Failed(error),
            }
            sleep_until(self.kit.next(probe.every).into()).await;
        }
    }

    fn publish(&self, sampled: Sampled, support: Support, began: Instant, (memory, cost): (usize, Cost)) {
        let Sampled { readings, faults, .. } = sampled;
        let every = self.plugin.package.manifest.probe.every;
        let took = began.elapsed();
        let count = readings.count();
        let contribution = Contribution {
            plugin: self.plugin.package.name.clone(),
            support,
            taken: began,
            fresh_for: every * 3 + Duration::from_secs(2),
            readings: Arc::new(readings),
        };
        self.report.send_modify(|report| {
            let status = &mut report.status;
            if status.state != PluginState::Ready {
                info!(plugin = %status.name, support = support.as_str(), "plugin ready");
            }
            status.state = PluginState::Ready;
            status.reason = None;
            status.samples += 1;
            status.last_sample = Some(took);
            status.longest_sample = status.longest_sample.max(Some(took));
            status.memory = Some(memory as u64);
            (status.cpu, status.host_calls) = (cost.cpu, cost.host_calls);
            status.readings = Some(count as u64);
            status.last_error = faults.first().cloned().or(status.last_error.take());
            status.faults = faults;
            status.faults.truncate(FAULTS);
            report.latest = Some(contribution);
        });
    }

    fn fault(&self, fault: String) {
        debug!(plugin = %self.plugin.package.name, fault, "plugin gave no sample");
        self.report.send_modify(|report| {
            report.status.state = PluginState::Ready;
            report.status.failures += 1;
            report.status.last_error = Some(fault.clone());
            report.status.faults = vec![fault];
        });
    }

    /// What went wrong the last time is shown until it goes well.
    fn tries(&self, state: PluginState) {
        self.report.send_modify(|report| report.status.state = state);
    }

    fn state(&self, state: PluginState, reason: Option<String>) {
        self.report.send_modify(|report| {
            report.status.state = state;
            report.status.reason = reason;
        });
    }

    fn set_aside(&self, state: PluginState, reason: Option<String>) {
        match state {
            PluginState::Idle => {
                info!(plugin = %self.plugin.package.name, reason, "plugin has nothing to do on this board")
            }
            _ => {
                warn!(plugin = %self.plugin.package.name, state = state.as_str(), reason, "plugin set aside")
            }
        }
        self.state(state, reason);
    }
}

/// The report of a plugin that did nothing yet.
fn first_report(plugin: &Admitted) -> PluginReport {
    let package = &plugin.package;
    let (name, version) = (package.name.clone(), package.manifest.version.clone());
    let status = PluginStatus::new(name, version, package.digest, package.built_in(), PluginState::Compiling);
    let (imports, trust) = (package.imports.clone(), plugin.trust.clone());
    let vendor = package.manifest.vendor.clone();
    let (asked, given) = (plugin.asked(), plugin.given());
    PluginReport {
        status: PluginStatus {
            kind: Some(package.role.as_str()),
            imports,
            vendor,
            trust,
            asked,
            given,
            ..status
        },
        latest: None,
    }
}
