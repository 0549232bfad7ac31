//! What the plugins share, and what is made for each: from an admitted plugin to something that can be called.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cardcage_native::Native as Helper;
use tokio::time::timeout;
use wasmtime::component::Component;

use super::admit::Admitted;
use super::backend::LinkedBackend;
use super::boards::{BoardFacts, applies};
use super::cache::{Cache, CacheError, Fault};
use super::grants::Grants;
use super::instance::{CallError, Capabilities, Declined, Instance, LinkedProbe, Pool};
use super::package::{Package, Role};
use super::runtime::Runtime;
use super::task::LinkedTask;
use super::tasks::Tasks;
use crate::capability::deploys::Deploys;
use crate::capability::files::Files;
use crate::capability::http;
use crate::capability::kernel::Kernel;
use crate::capability::log::Lines;
use crate::capability::native::{self, Native};
use crate::capability::progress::Progress;
use crate::capability::tape::Tape;
use crate::capability::{Neighbours, Patience, Readers, Roots, Turns};
use crate::config::Config;
use crate::error::{brief, chain};
use crate::model::Support;

/// Reads at once, over all plugins, as long as none is stuck.
const READS_AT_ONCE: usize = 2;
/// Threads that the facts of one plugin may block.
const FACT_READERS: usize = 2;
/// Threads that its files, and its mount points, may block: two a chip, and a few chips on a bus that died.
const PATH_READERS: usize = 16;

/// How long it may take to find out what this board is.
const LOOK: Duration = Duration::from_secs(5);

/// Why nothing is decided about a plugin that is for some boards only.
pub(super) const UNKNOWN_BOARD: &str = "the board does not say in time what it is; it is asked again";

/// What all plugins share.
#[derive(Debug)]
pub struct Kit {
    pub runtime: Runtime,
    pub cache: Cache,
    /// Of the helpers that call native libraries. None where the board is a recording: theirs would be of this machine.
    native: Option<PathBuf>,
    roots: Arc<Roots>,
    board: Arc<BoardFacts>,
    /// What the task plugins offer, and its runs.
    pub tasks: Tasks,
    turns: Turns,
    started: Instant,
}

/// What one plugin keeps over its instances: threads that it blocks stay blocked, and lines that it wrote stay written.
#[derive(Debug, Clone)]
pub(super) struct Senses {
    facts: Readers,
    paths: Readers,
    mounts: Readers,
    http: http::Shared,
    patience: Patience,
    lines: Lines,
    pool: Pool,
}

impl Senses {
    /// For another version, which may run beside the first: each call of it has a time of its own.
    #[must_use]
    pub(super) fn of_another_version(&self) -> Self {
        let patience = Patience::default();
        let [facts, paths, mounts] =
            [&self.facts, &self.paths, &self.mounts].map(|readers| readers.with_patience(&patience));
        Self { facts, paths, mounts, patience, ..self.clone() }
    }
}

/// A plugin whose imports were matched with what the agent has.
#[derive(Clone)]
pub enum Linked {
    Probe(LinkedProbe),
    Backend(LinkedBackend),
    Task(LinkedTask),
}

/// Why no plugin can run.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    #[error("the WebAssembly engine cannot be set up: {0:#}")]
    Runtime(wasmtime::Error),
    #[error("the agent cannot find out where it is installed: {0}")]
    Installed(std::io::Error),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(
        "{key} {} is no folder, so there is no board to look at; a relative path counts from where this is run",
        folder.display()
    )]
    NoBoard { key: &'static str, folder: PathBuf },
}

/// Why a plugin cannot be started at all.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct NotLinked {
    pub fault: Fault,
    pub reason: String,
}

impl Kit {
    pub fn new(config: &Config) -> Result<Self, KitError> {
        Self::with(config, Cache::open(&config.state_dir)?)
    }

    /// For who tries a plugin, and may not be who runs the agent: compiled plugins are the user's own where the agent's may
    /// not be used.
    pub fn for_trial(config: &Config) -> Result<Self, KitError> {
        let cache = Cache::open(&config.state_dir);
        Self::with(config, cache.or_else(|refused| Cache::of_user().ok_or(refused))?)
    }

    /// The same, on a board that must be there.
    pub fn on_board(config: &Config) -> Result<Self, KitError> {
        for (key, folder) in [("kernel.proc", &config.kernel.proc), ("kernel.sys", &config.kernel.sys)] {
            if let Some(folder) = folder.clone().filter(|folder| !folder.is_dir()) {
                return Err(KitError::NoBoard { key, folder });
            }
        }
        Self::for_trial(config)
    }

    fn with(config: &Config, cache: Cache) -> Result<Self, KitError> {
        let roots = Arc::new(Roots::new(&config.kernel));
        let recorded = config.kernel.proc.is_some() || config.kernel.sys.is_some();
        Ok(Self {
            runtime: Runtime::new().map_err(KitError::Runtime)?,
            cache,
            native: if recorded { None } else { Some(native::executable().map_err(KitError::Installed)?) },
            board: Arc::new(BoardFacts::new(Arc::clone(&roots), &config.board)),
            roots,
            tasks: Tasks::default(),
            turns: Turns::new(READS_AT_ONCE),
            started: Instant::now(),
        })
    }

    pub(super) fn senses(&self, package: &Package) -> Senses {
        let patience = Patience::default();
        let readers = |threads, neighbours| Readers::new(&self.turns, &patience, threads, neighbours);
        Senses {
            facts: readers(FACT_READERS, Neighbours::Apart),
            paths: readers(PATH_READERS, Neighbours::Together),
            mounts: readers(PATH_READERS, Neighbours::Apart),
            http: http::Shared::default(),
            patience,
            lines: Lines::new(package.name.clone()),
            pool: Pool::default(),
        }
    }

    /// What calls native libraries for a probe. No process runs before the first is opened, and none once this is dropped.
    pub(super) fn native(&self, grants: &Grants, senses: &Senses) -> Option<Arc<Helper>> {
        let executable = self.native.clone()?;
        Some(native::helper(executable, &grants.native, senses.lines.clone()))
    }

    /// For an instance of a probe.
    pub(super) fn probe(
        &self,
        plugin: &Admitted,
        senses: &Senses,
        native: Option<Arc<Helper>>,
    ) -> Capabilities {
        let native = Native::new(native, senses.patience.clone());
        Capabilities { native, ..self.capabilities(plugin, senses, Deploys::none()) }
    }

    pub(super) fn capabilities(&self, plugin: &Admitted, senses: &Senses, deploys: Deploys) -> Capabilities {
        let Admitted { grants, package, .. } = plugin;
        let Senses { facts, paths, mounts, http, patience, lines, pool } = senses.clone();
        Capabilities {
            kernel: Kernel::new(Arc::clone(&self.roots), facts, mounts),
            files: Files::new(grants.files.clone(), Arc::clone(&self.roots), paths),
            native: Native::new(None, patience.clone()),
            http: http::Client::new(grants.http.clone(), http),
            patience,
            lines,
            pool,
            memory: package.manifest.limits.memory,
            deploys,
            tape: Tape::default(),
            progress: Progress::default(),
        }
    }

    /// Whether a plugin is for boards like this one; if not, why. None where the board does not say in time what it is.
    pub(super) async fn is_for_this_board(&self, package: &Package) -> Option<Result<(), String>> {
        let rules = package.manifest.boards.clone();
        if rules.is_empty() {
            return Some(Ok(()));
        }
        let board = Arc::clone(&self.board);
        let look = move || applies(&rules, &board).map_err(|other| other.to_string());
        timeout(LOOK, tokio::task::spawn_blocking(look)).await.ok()?.ok()
    }

    /// Compiles a plugin, or finds it compiled.
    pub async fn link(&self, plugin: &Admitted) -> Result<Linked, NotLinked> {
        let component = self.component(plugin).await?;
        let imports = &plugin.package.imports;
        let linked = match &plugin.package.role {
            Role::Probe => LinkedProbe::new(&self.runtime, &component, imports).map(Linked::Probe),
            Role::Backend { .. } => {
                LinkedBackend::new(&self.runtime, &component, imports).map(Linked::Backend)
            }
            Role::Task => LinkedTask::new(&self.runtime, &component, imports).map(Linked::Task),
        };
        linked.map_err(|reason| NotLinked { fault: Fault::Plugin, reason: brief(&reason) })
    }

    async fn component(&self, plugin: &Admitted) -> Result<Component, NotLinked> {
        let component = self.cache.load(self.runtime.engine(), &plugin.package).await;
        component.map_err(|error| NotLinked { fault: error.fault(), reason: brief(&chain(&error)) })
    }

    /// Compiles a probe that is tried outside of any driver.
    pub async fn link_probe(&self, plugin: &Admitted) -> Result<LinkedProbe, String> {
        match self.link(plugin).await.map_err(|error| error.reason)? {
            Linked::Probe(linked) => Ok(linked),
            Linked::Backend(_) => {
                Err("is a deploy backend, which has nothing to sample; it is tried with POST /deploy"
                    .to_owned())
            }
            Linked::Task(_) => {
                Err("is a task plugin, which has nothing to sample; it is tried with `plugin run`".to_owned())
            }
        }
    }

    /// Whether a plugin that is tried is for boards like this one.
    ///
    /// # Errors
    /// Why not.
    pub async fn applies(&self, plugin: &Admitted) -> Result<(), String> {
        let applies = self.is_for_this_board(&plugin.package).await;
        applies.unwrap_or_else(|| Err(UNKNOWN_BOARD.to_owned()))
    }

    /// Starts one instance of it, with its calls on a tape, and hands it its settings.
    pub async fn try_one(
        &self,
        plugin: &Admitted,
        linked: &LinkedProbe,
        tape: Tape,
    ) -> Result<Result<(Instance, Support), Declined>, CallError> {
        let senses = self.senses(&plugin.package);
        let capabilities = self.probe(plugin, &senses, self.native(&plugin.grants, &senses));
        let capabilities = Capabilities { tape, ..capabilities };
        let deadline = plugin.package.manifest.probe.deadline;
        let mut instance = Instance::start(&self.runtime, linked, capabilities, deadline).await?;
        let found = instance.configure(&self.runtime, &plugin.settings).await?;
        Ok(found.map(|found| (instance, plugin.package.at_most(found.support))))
    }

    /// When a probe of this cadence samples next. Counted from one beginning, so that probes of one cadence wake the
    /// processor together: a sample out of the blue costs several times as much.
    pub(super) fn next(&self, every: Duration) -> Instant {
        let done = self.started.elapsed().as_nanos() / every.as_nanos().max(1);
        let next = u32::try_from(done + 1).unwrap_or(u32::MAX);
        self.started + every.saturating_mul(next)
    }
}
