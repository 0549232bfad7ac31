//! What one call of a deploy backend works with: the deployment that it is about, the grants of its plugin, and the
//! mechanisms, which are the agent's and outlive the call.
//!
//! The four capabilities of backends share it, because a container is made from an artifact and a program from a tree: the
//! handles of all of them are in one table, and die with the call.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, spawn_blocking};
use wasmtime::component::{Resource, ResourceTable};

use super::mechanisms::Mechanisms;
use crate::deploy::{Attached, Work};
use crate::model::PluginName;
use crate::plugin::bindings::cardcage::types::errors::Error;

/// How long a backend may compute between two calls of a capability.
pub(crate) const BREATH: Duration = Duration::from_secs(2);
/// How often it may call in one call of its own: more is a loop, which would go on for as long as a fetch may take.
pub(crate) const CALLS: u32 = 4096;
/// Handles that one call may hold.
const HANDLES: usize = 1024;

/// What a plugin may do of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeployGrants {
    pub artifacts: super::artifacts::Grant,
    pub containers: super::containers::Grant,
    pub processes: super::processes::Grant,
}

/// One call.
#[derive(Debug)]
pub struct Deploys {
    call: Option<Arc<Call>>,
    pub(crate) table: ResourceTable,
    /// When the guest must have called again, or have ended.
    pub(crate) deadline: Instant,
    /// How often it has called.
    calls: u32,
}

/// What a call is about.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) backend: PluginName,
    pub(crate) grants: DeployGrants,
    pub(crate) mechanisms: Arc<Mechanisms>,
    /// The deployment; none in a survey.
    pub(crate) work: Option<Work>,
    /// Records that were found attached to what is there, by uuid.
    pub(crate) seen: Seen,
    /// The work's cancellation, for what blocks.
    cancelled: Arc<AtomicBool>,
    watch: Option<AbortHandle>,
}

/// See [`Call::seen`].
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<BTreeMap<String, String>>>);

impl Seen {
    pub(crate) fn add(&self, uuid: &str, record: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uuid.to_owned(), record.to_owned());
    }

    pub fn take(&self, uuid: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uuid)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
        self.cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Deploys {
    /// For plugins that deploy nothing.
    pub fn none() -> Self {
        Self { call: None, table: ResourceTable::new(), deadline: Instant::now(), calls: 0 }
    }

    /// For one call of a backend.
    pub fn new(
        backend: PluginName,
        grants: DeployGrants,
        mechanisms: Arc<Mechanisms>,
        work: Option<Work>,
        seen: Seen,
    ) -> Self {
        let cancelled = Arc::new(AtomicBool::new(false));
        let watch = work.as_ref().map(|work| {
            let (token, flag) = (work.cancelled.clone(), Arc::clone(&cancelled));
            let watch = async move {
                token.cancelled().await;
                flag.store(true, std::sync::atomic::Ordering::Relaxed);
            };
            tokio::spawn(watch).abort_handle()
        });
        let call = Call { backend, grants, mechanisms, work, seen, cancelled, watch };
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        Self { call: Some(Arc::new(call)), table, deadline: Instant::now() + BREATH, calls: 0 }
    }

    /// The guest goes on from here; one that called too often, not for long.
    pub(crate) fn breathe(&mut self) {
        self.calls = self.calls.saturating_add(1);
        if !self.is_restless() {
            self.deadline = Instant::now() + BREATH;
        }
    }

    /// Whether it called too often.
    pub(crate) const fn is_restless(&self) -> bool {
        self.calls > CALLS
    }

    /// What a handle of the guest stands for.
    pub(crate) fn get<T: 'static>(&self, handle: &Resource<T>) -> Result<&T, Error> {
        // The runtime checks handles: one that is not in the table cannot come from a guest.
        self.table.get(handle).map_err(|error| Error::new("invalid", error.to_string()))
    }

    /// Hands something out to the guest.
    pub(crate) fn hand_out<T: Send + 'static>(&mut self, what: T) -> Result<Resource<T>, Error> {
        self.table.push(what).map_err(|error| Error::new("too-large", error.to_string()))
    }

    /// Shared, since a table of handles cannot be looked at from a future that waits.
    pub(crate) fn call(&self) -> Result<Arc<Call>, Error> {
        self.call.clone().ok_or_else(|| Error::new("denied", "this is for deploy backends only"))
    }
}

impl Call {
    /// The deployment that this call is about.
    pub(crate) fn work(&self) -> Result<&Work, Error> {
        self.work
            .as_ref()
            .ok_or_else(|| Error::new("denied", "this call has no deployment: only start and stop have one"))
    }

    pub(crate) fn cancelled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancelled)
    }

    /// Ends and removes what a backend with these imports left of the deployment; how much that was. Where nobody can be
    /// asked, nothing was made either, or the backend's own survey will find it.
    pub(crate) async fn remove_leftovers(&self, imports: &[String]) -> Result<usize, Error> {
        let uses = |interface: &str| imports.iter().any(|import| import.starts_with(interface));
        let told = |removed: Result<usize, Error>| match removed {
            // Programs that could not have been started. An engine that does not answer may still have something.
            Err(error) if error.code == "unavailable" => Ok(0),
            removed => removed,
        };
        let mut left = 0;
        if uses("cardcage:host/containers@") {
            left += told(self.remove_containers().await)?;
        }
        if uses("cardcage:host/processes@") {
            left += told(self.remove_programs().await)?;
        }
        Ok(left)
    }

    /// What is attached to all that is made for the deployment.
    pub(crate) fn owner(&self) -> Result<Owner, Error> {
        let record = self.work()?.cell.get();
        let attached = Attached { order: record.order.clone(), allocation: record.allocation.clone() };
        let text = serde_json::to_string(&attached).map_err(|error| Error::new("io", error.to_string()))?;
        Ok(Owner {
            uuid: record.order.uuid.clone(),
            instance_id: record.order.instance_id.clone(),
            backend: self.backend.to_string(),
            order: record.order.digest(),
            record: text,
        })
    }
}

/// Whose something is.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) uuid: String,
    pub(crate) instance_id: String,
    pub(crate) backend: String,
    pub(crate) order: String,
    pub(crate) record: String,
}

/// Runs what blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(|_| Error::new("io", "the agent is stopping"))
}
