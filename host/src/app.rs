//! Wires everything: start here.
//!
//! | task       | thread  | does                                        | ends                       |
//! |------------|---------|---------------------------------------------|----------------------------|
//! | discovery  | main    | queries from the multicast group            | at the stop                |
//! | report     | main    | one POST for each accepted query            | after what is under way    |
//! | serve      | main    | requests, `/deploy` among them              | after what is under way    |
//! | supervisor | plugins | a driver for each plugin                    | at the stop                |
//! | keeper     | deploys | the deployments, and what carries them out  | at the stop, where it is   |
//!
//! A run of a task plugin has a thread while it lasts, and is cut off at the stop.
//!
//! Plugins and deploys have a thread each. What the main thread does never waits for them: it reads the latest snapshot and
//! the latest views.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use cardcage_daemon::state_dir::StateDir;
use cardcage_daemon::token::Token;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::capability::mechanisms::Mechanisms;
use crate::config::Config;
use crate::deploy::{self, Capacity, Deployments, Keeper, Ledger, Logs};
use crate::discovery::Discovery;
use crate::plugin::{BUILT_IN, Kit, PluginBackends, Pushes, Registrar, Supervisor};
use crate::protocol::report::Agent;
use crate::report::Reporter;
use crate::sample::{Board, Roster};
use crate::serve::{Deploys, Server};
use crate::store::{AgentId, agent_id};
use crate::telemetry::Telemetry;

/// Accepted queries that wait to be answered: more than the largest burst that discovery lets through, so that one
/// manager's burst does not push out another's query.
const QUERIES: usize = 512;
/// Why an agent deploys nothing.
const COPIED: &str = "another agent with this identity runs on this board, so this one deploys nothing: its state_dir is a \
    copy; stop one of them, and remove agent_id and agent_id.copy from the copy";
/// How long stopping may take.
const GRACE: Duration = Duration::from_secs(3);
/// Threads on which plugins' reads may block, over all plugins.
const READERS: usize = 128;
/// Threads on which deploys fetch, unpack and write.
const DEPLOYERS: usize = 64;

/// What the thread of the deploys is made of.
struct DeployParts {
    runtime: Runtime,
    keeper: Keeper<PluginBackends, Box<dyn Fn() -> Result<Capacity, String> + Send>>,
    registrar: Registrar,
    served: Deploys,
    /// Held while this agent is the only one of its identity on this board.
    identity: Option<UnixListener>,
}

/// An agent that is set up: its sockets are bound, nothing runs yet.
pub struct App {
    config: Config,
    discovery: Discovery,
    server: Server,
    reporter: Reporter,
    telemetry: Telemetry,
    board: Board,
    roster: Roster,
    kit: Arc<Kit>,
    deploys: DeployParts,
    /// Taken until everything has ended.
    state_dir: StateDir,
}

impl App {
    /// Sets up everything that can fail, so that an agent that runs does not end for a reason of its configuration.
    /// Must be called within the runtime that [`App::run_until`] runs on.
    pub fn build(config: Config) -> Result<Self> {
        let state_dir = StateDir::take(&config.state_dir)?;
        let id = agent_id(&config.state_dir)?;
        info!(agent_id = %id, version = env!("CARGO_PKG_VERSION"), "agent starts");
        let kit = Arc::new(Kit::new(&config)?);
        let telemetry = Telemetry::new().context("the metrics cannot be set up")?;
        let server = Server::bind(&config.service)?;
        let discovery = Discovery::bind(&config, telemetry.clone())?;
        let (roster, board) = Board::new();
        let agent = Agent { id, board: config.board.clone(), service_port: server.address().port() };
        let deploys = deploys(&config, id, board.clone())?;
        let deployments = deploys.served.deployments.clone();
        let reporter = Reporter::new(agent, board.clone(), deployments, telemetry.clone());
        Ok(Self { config, discovery, server, reporter, telemetry, board, roster, kit, deploys, state_dir })
    }

    /// Runs until told to stop, then drains within [`GRACE`].
    pub async fn run_until(self, told_to_stop: impl Future<Output = ()>) -> Result<()> {
        let stop = CancellationToken::new();
        let Self {
            config,
            discovery,
            server,
            reporter,
            telemetry,
            board,
            roster,
            kit,
            deploys,
            state_dir: _taken,
        } = self;
        let DeployParts { runtime, keeper, registrar, served, identity } = deploys;
        let plugin_tasks = kit.tasks.clone();
        let pushes = Pushes::new(&config);
        let plugins = spawn_plugins(config, kit, registrar, roster, stop.clone())?;
        let deploys = spawn_deploys(runtime, keeper, identity, stop.clone())?;
        let (queries, asked) = mpsc::channel(QUERIES);
        let tasks = TaskTracker::new();
        tasks.spawn(discovery.run(queries, stop.clone()));
        tasks.spawn(reporter.run(asked, stop.clone()));
        tasks.spawn(server.run(board, served, plugin_tasks.clone(), pushes, telemetry, stop.clone()));
        tasks.close();
        told_to_stop.await;
        info!("agent stops");
        plugin_tasks.stop();
        stop.cancel();
        if timeout(GRACE, tasks.wait()).await.is_err() {
            warn!(left = tasks.len(), "grace period is over");
        }
        // A thread that is stuck in a read is left to the process's end.
        drop((plugins, deploys));
        Ok(())
    }
}

/// Starts the thread of the plugins.
fn spawn_plugins(
    config: Config,
    kit: Arc<Kit>,
    registrar: Registrar,
    roster: Roster,
    stop: CancellationToken,
) -> Result<JoinHandle<()>> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(READERS)
        .thread_name("reader")
        // A reader needs little more than the buffer of one file.
        .thread_stack_size(256 << 10)
        .build()
        .context("the runtime of the plugins cannot be set up")?;
    let run = move || {
        let supervisor = Supervisor::new(&config, BUILT_IN, kit, registrar, roster, stop);
        runtime.block_on(supervisor.run());
        // Does not wait for readers that are stuck.
        runtime.shutdown_background();
    };
    thread::Builder::new()
        .name("plugins".into())
        .spawn(run)
        .context("the thread of the plugins cannot be started")
}

/// Sets up what deploys need. What is missing for them (no right to control groups, say) is said when one is asked for:
/// it keeps no board from reporting.
fn deploys(config: &Config, id: AgentId, board: Board) -> Result<DeployParts> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(DEPLOYERS)
        .thread_name("deployer")
        .thread_stack_size(1 << 20)
        .build()
        .context("the runtime of the deploys cannot be set up")?;
    let mechanisms = Arc::new(Mechanisms::open(config, &id.to_string())?);
    let (registrar, backends) = PluginBackends::new(Arc::clone(&mechanisms));
    let replay = config.kernel.proc.is_some() || config.kernel.sys.is_some();
    let limits = config.deploy.clone();
    let capacity = move || deploy::capacity(&limits, replay, &board.snapshot().gpus);
    let ledger = Ledger::open(&config.state_dir).context("the records of deployments cannot be kept")?;
    let (deployments, ends) = Deployments::new();
    let keeper = Keeper::new(backends.clone(), Box::new(capacity) as Box<_>, ledger, deploy::boot()?, ends)
        .context("the records of deployments cannot be read")?;
    let logs = Logs::new(runtime.handle().clone(), mechanisms, backends);
    let token = config.service.token_file.as_deref().map(Token::load).transpose();
    let served = Deploys {
        deployments,
        logs: Some(logs),
        managers: config.managers.clone(),
        token: token.context("service.token_file cannot be used")?,
        refused: Arc::default(),
    };
    Ok(DeployParts { runtime, keeper, registrar, served, identity: claim(id) })
}

/// Takes this identity for the board: a name in the kernel, gone with the process. Two agents of one identity would each end
/// what the other runs. None if another has it.
fn claim(id: AgentId) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("cardcage-{id}"));
    let claimed = name.and_then(|name| UnixListener::bind_addr(&name));
    if let Err(error) = &claimed {
        warn!(agent_id = %id, %error, "{COPIED}");
    }
    claimed.ok()
}

/// Starts the thread of the deploys.
fn spawn_deploys(
    runtime: Runtime,
    keeper: Keeper<PluginBackends, Box<dyn Fn() -> Result<Capacity, String> + Send>>,
    identity: Option<UnixListener>,
    stop: CancellationToken,
) -> Result<JoinHandle<()>> {
    let run = move || {
        match identity {
            Some(_held) => runtime.block_on(keeper.run(stop)),
            None => runtime.block_on(keeper.refuse(COPIED, stop)),
        }
        // What is under way is cut off where it is: the next start goes on from there.
        runtime.shutdown_background();
    };
    thread::Builder::new()
        .name("deploys".into())
        .spawn(run)
        .context("the thread of the deploys cannot be started")
}
