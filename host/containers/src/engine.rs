//! The handle: what it is made of, and what the other modules ask it for.
//!
//! | state       | where                  | why it may be lost                                   |
//! |-------------|------------------------|------------------------------------------------------|
//! | connection  | `connection`           | it is opened again                                   |
//! | remembered  | `remembered`, a file   | the archive is loaded again                          |
//! | owned       | here                   | a container is inspected again before it is touched  |
//! | known       | `look`                 | a container is inspected again                       |
//!
//! The locks are taken for a look or an assignment and never while something waits; callers of one engine run in many tasks
//! and share nothing else, so an actor would only add a queue.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;

use crate::Error;
use crate::connection::{Connection, Live};
use crate::look::Known;
use crate::reference::{is_hex, registry};
use crate::remembered::Remembered;
use crate::usage::Meters;

/// For a question that the engine answers from what it knows, and for what it does in one step.
pub(crate) const REQUEST: Duration = Duration::from_secs(30);

/// Containers that are known to be ours; far more than a board has at a time.
const OWNED: usize = 4096;

/// Which archive became which images. Another file than before archives were made nameless: what an engine called its images
/// then could have been somebody else's.
const LOADED: &str = "loaded-images.json";

/// Marks every container of every agent. What else is in the labels is named in `create`.
pub(crate) const AGENT: &str = "cardcage.agent";

/// Where the engine is and who asks.
pub struct Config {
    /// `unix:///path`, `tcp://host:port` or `http://host:port`; absent for the first usual socket that is there.
    pub address: Option<String>,
    /// The agent's id: containers of other agents are left alone.
    pub agent: String,
    /// Credentials by registry, `host` or `host:port`.
    pub registries: BTreeMap<String, Credentials>,
    /// A directory for small files. It has to exist.
    pub state_dir: PathBuf,
}

/// What a registry knows the operator by.
#[derive(Clone)]
pub struct Credentials {
    /// The account.
    pub username: String,
    /// Its password or token.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The board's container engine.
pub struct Engine {
    pub(crate) connection: Connection,
    pub(crate) agent: String,
    pub(crate) registries: BTreeMap<String, Credentials>,
    pub(crate) remembered: Remembered,
    /// Archives that are being loaded, each with the lock that makes others wait for it.
    pub(crate) loading: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    pub(crate) known: Mutex<HashMap<String, Known>>,
    pub(crate) meters: Arc<Meters>,
    owned: Mutex<HashSet<String>>,
}

impl Engine {
    /// Does nothing yet: the engine need not be there.
    pub fn new(config: Config) -> Self {
        let named = |(host, given): (String, Credentials)| (registry(&host), given);
        Self {
            connection: Connection::new(config.address),
            agent: config.agent,
            registries: config.registries.into_iter().map(named).collect(),
            remembered: Remembered::new(config.state_dir.join(LOADED)),
            loading: Mutex::default(),
            known: Mutex::default(),
            meters: Arc::default(),
            owned: Mutex::default(),
        }
    }

    pub(crate) async fn live(&self) -> Result<Live, Error> {
        self.connection.live().await
    }

    pub(crate) async fn docker(&self) -> Result<Docker, Error> {
        Ok(self.live().await?.docker)
    }

    pub(crate) async fn try_details(&self, id: &str) -> Result<Option<ContainerInspectResponse>, Error> {
        let docker = self.docker().await?;
        let asked = docker.inspect_container(id, None::<InspectContainerOptions>);
        match self.connection.finish(&format!("inspect container {id}"), REQUEST, asked).await {
            Ok(details) => Ok(Some(details)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the container is there; fails if it is somebody else's.
    pub(crate) async fn owns(&self, id: &str) -> Result<bool, Error> {
        // Names and abbreviations can come to mean another container; a whole id cannot.
        if !is_hex(id, 64) {
            return Err(Error::invalid(format!("container {:?}", crate::error::clean(id)), "not a whole id"));
        }
        if lock(&self.owned).contains(id) {
            return Ok(true);
        }
        let Some(details) = self.details(id).await? else { return Ok(false) };
        if label(&details, AGENT) != Some(&self.agent) {
            return Err(Error::Foreign { id: id.to_owned() });
        }
        let mut owned = lock(&self.owned);
        if owned.len() >= OWNED {
            owned.clear();
        }
        owned.insert(id.to_owned());
        Ok(true)
    }

    /// It is gone, or about to be.
    pub(crate) fn forget(&self, id: &str) {
        lock(&self.owned).remove(id);
        lock(&self.known).remove(id);
    }

    /// Forgets all that the engine no longer has.
    pub(crate) fn forget_all_but(&self, backend: &str, there: &HashSet<String>) {
        let mut gone = Vec::new();
        lock(&self.known).retain(|id, known| {
            let keep = known.info.backend != backend || there.contains(id);
            if !keep {
                gone.push(id.clone());
            }
            keep
        });
        let mut owned = lock(&self.owned);
        gone.iter().for_each(|id| {
            owned.remove(id);
        });
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("agent", &self.agent).finish_non_exhaustive()
    }
}

pub(crate) fn label<'a>(details: &'a ContainerInspectResponse, name: &str) -> Option<&'a String> {
    details.config.as_ref()?.labels.as_ref()?.get(name)
}

/// A lock that is held for a moment. A panic under it leaves nothing half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
