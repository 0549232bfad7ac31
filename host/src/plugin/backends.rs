//! The deploy backends by the `type` that they serve: put here by the drivers of plugins, called from the thread of the
//! deploys.
//!
//! | channel   | kind  | from             | to                |
//! |-----------|-------|------------------|-------------------|
//! | announced | watch | the supervisor   | [`PluginBackends`] |
//! | a place   | watch | a plugin's driver | [`PluginBackends`] |

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::admit::Admitted;
use super::backend::{Answer, LinkedBackend, Question};
use super::kit::{Kit, Linked, Senses};
use super::package::{Package, Role};
use crate::capability::deploys::{Deploys, Seen};
use crate::capability::mechanisms::Mechanisms;
use crate::deploy::{Backends, Fault, Found, Order, Work};

/// How long a call waits for a backend that is still being compiled.
const COMPILING: Duration = Duration::from_secs(60);

/// How long a backend that nobody calls stays in memory. While it has something deployed it is called every other second.
const IDLE: Duration = Duration::from_secs(10);

/// A backend that can be called.
pub(super) struct Served {
    pub(super) plugin: Admitted,
    pub(super) kit: Arc<Kit>,
    pub(super) senses: Senses,
    /// Mapped while it is in use: most boards deploy nothing most of the time. The lock is held for a look only.
    linked: Mutex<Option<LinkedBackend>>,
    /// What drops it.
    idle: Mutex<Option<AbortHandle>>,
}

impl Served {
    pub(super) fn new(plugin: Admitted, kit: Arc<Kit>, linked: LinkedBackend, senses: Senses) -> Self {
        Self { plugin, kit, senses, linked: Mutex::new(Some(linked)), idle: Mutex::default() }
    }

    /// The backend, mapped again where it was dropped.
    async fn linked(&self) -> Result<LinkedBackend, Fault> {
        let there = locked(&self.linked).clone();
        if let Some(linked) = there {
            return Ok(linked);
        }
        match self.kit.link(&self.plugin).await {
            Ok(Linked::Backend(linked)) => {
                *locked(&self.linked) = Some(linked.clone());
                Ok(linked)
            }
            Ok(Linked::Probe(_) | Linked::Task(_)) => {
                Err(Fault::new("unreachable", "the plugin is no backend"))
            }
            // A full disk, say: it is tried again with the next call.
            Err(error) => Err(Fault::new("unreachable", error.reason)),
        }
    }

    /// Drops it from memory, unless it is called again before long.
    fn rest(self: &Arc<Self>) {
        let served = Arc::clone(self);
        let resting = tokio::spawn(async move {
            sleep(IDLE).await;
            *locked(&served.linked) = None;
        });
        if let Some(earlier) = locked(&self.idle).replace(resting.abort_handle()) {
            earlier.abort();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// None while it is being compiled.
type State = Option<Result<Arc<Served>, String>>;

/// Where a driver puts its backend.
#[derive(Debug)]
pub(super) struct Place(watch::Sender<State>);

impl std::fmt::Debug for Served {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Served").field("plugin", &self.plugin.package().name).finish_non_exhaustive()
    }
}

impl Place {
    pub(super) fn ready(&self, served: Served) {
        self.0.send_replace(Some(Ok(Arc::new(served))));
    }

    pub(super) fn refused(&self, reason: &str) {
        self.0.send_replace(Some(Err(reason.to_owned())));
    }
}

/// Where the backend of a plugin will be found, once it can be called.
#[derive(Debug, Clone)]
pub(super) struct Serving {
    pub(super) kind: String,
    plugin: String,
    place: watch::Receiver<State>,
}

impl Serving {
    /// A place for the backend of this plugin, if it is one.
    pub(super) fn new(package: &Package) -> Option<(Place, Self)> {
        let Role::Backend { kind } = &package.role else { return None };
        let (sender, place) = watch::channel(None);
        Some((Place(sender), Self { kind: kind.clone(), plugin: package.name.to_string(), place }))
    }
}

/// The backends that there are, by type.
#[derive(Debug)]
pub struct Announced(BTreeMap<String, Serving>);

/// Announces the backends.
#[derive(Debug)]
pub struct Registrar(watch::Sender<Option<Arc<Announced>>>);

impl Registrar {
    /// The backends that there are from now on: of each type one, the resolution of the folder sees to it.
    pub(super) fn announce(&self, serving: impl Iterator<Item = Serving>) {
        let announced = serving.map(|serving| (serving.kind.clone(), serving)).collect();
        self.0.send_replace(Some(Arc::new(Announced(announced))));
    }
}

/// The backends, as deploys see them.
#[derive(Debug, Clone)]
pub struct PluginBackends {
    announced: watch::Receiver<Option<Arc<Announced>>>,
    mechanisms: Arc<Mechanisms>,
}

impl PluginBackends {
    pub fn new(mechanisms: Arc<Mechanisms>) -> (Registrar, Self) {
        let (sender, announced) = watch::channel(None);
        (Registrar(sender), Self { announced, mechanisms })
    }

    async fn announced(&self) -> Option<Arc<Announced>> {
        self.announced.clone().wait_for(Option::is_some).await.ok()?.clone()
    }

    /// The name of the plugin that serves a type.
    pub async fn plugin(&self, kind: &str) -> Option<String> {
        self.announced().await?.0.get(kind).map(|serving| serving.plugin.clone())
    }

    /// The backend of a type, once it is compiled. That it is not there yet means that nothing is known.
    async fn served(&self, kind: &str) -> Result<Arc<Served>, Fault> {
        let announced = self.announced().await;
        let place = announced.as_ref().and_then(|announced| announced.0.get(kind));
        let Some(Serving { plugin: name, place, .. }) = place else {
            return Err(Fault::new("unreachable", format!("no plugin serves the type {kind:?} any more")));
        };
        let mut place = place.clone();
        let ready = timeout(COMPILING, place.wait_for(Option::is_some)).await;
        let state = ready.ok().and_then(Result::ok).and_then(|state| state.clone());
        match state {
            Some(Ok(served)) => Ok(served),
            Some(Err(reason)) => {
                Err(Fault::new("unreachable", format!("the plugin {name} is refused: {reason}")))
            }
            None => Err(Fault::new("unreachable", format!("the plugin {name} is not compiled yet"))),
        }
    }

    async fn ask(
        &self,
        kind: &str,
        work: Option<Work>,
        seen: Seen,
        question: Question<'_>,
    ) -> Result<Answer, Fault> {
        let served = self.served(kind).await?;
        let plugin = &served.plugin;
        let deploys = self.deploys(&served, work, seen);
        let capabilities = served.kit.capabilities(plugin, &served.senses, deploys);
        let linked = served.linked().await?;
        let answer = linked.ask(&served.kit.runtime, capabilities, &plugin.settings, question).await;
        served.rest();
        answer
    }

    fn deploys(&self, served: &Served, work: Option<Work>, seen: Seen) -> Deploys {
        let (name, grants) = (served.plugin.package().name.clone(), served.plugin.grants.deploys.clone());
        Deploys::new(name, grants, Arc::clone(&self.mechanisms), work, seen)
    }

    /// A backend that says it has stopped something may be wrong: what is left would run, and hold cores that are given
    /// to others.
    async fn remove_leftovers(&self, kind: &str, work: Work) -> Result<(), Fault> {
        let served = self.served(kind).await?;
        let package = served.plugin.package();
        let uuid = work.cell.with(|record| record.order.uuid.clone());
        let call = async {
            self.deploys(&served, Some(work), Seen::default())
                .call()?
                .remove_leftovers(&package.imports)
                .await
        };
        match call.await {
            Ok(0) => {}
            Ok(left) => {
                warn!(uuid, plugin = %package.name, left, "said to be stopped, and was there; the agent removed it")
            }
            Err(error) => return Err(Fault::new(&error.code, error.detail)),
        }
        Ok(())
    }
}

impl Backends for PluginBackends {
    async fn kinds(&self) -> Vec<String> {
        self.announced().await.map(|announced| announced.0.keys().cloned().collect()).unwrap_or_default()
    }

    async fn check(&self, order: &Order) -> Result<(), Fault> {
        self.ask(&order.kind, None, Seen::default(), Question::Check(order)).await.map(|_| ())
    }

    async fn start(&self, work: Work) -> Result<Found, Fault> {
        let order = work.cell.with(|record| record.order.clone());
        let started = self.ask(&order.kind, Some(work), Seen::default(), Question::Start(&order)).await;
        self.mechanisms.clear(&order.uuid).await;
        match started? {
            Answer::Started(found) if found.uuid == order.uuid => Ok(found),
            _ => Err(Fault::new("failed", "the backend answered about another instance")),
        }
    }

    async fn stop(&self, work: Work) -> Result<(), Fault> {
        let order = work.cell.with(|record| record.order.clone());
        self.ask(&order.kind, Some(work.clone()), Seen::default(), Question::Stop(&order)).await?;
        self.remove_leftovers(&order.kind, work).await
    }

    async fn survey(&self, kind: &str) -> Result<Vec<Found>, Fault> {
        let seen = Seen::default();
        let Answer::Surveyed(mut found) = self.ask(kind, None, seen.clone(), Question::Survey).await? else {
            return Err(Fault::new("failed", "the backend answered something else"));
        };
        found.iter_mut().for_each(|found| found.record = seen.take(&found.uuid));
        Ok(found)
    }
}
