//! Wires everything: start here.
//!
//! | task       | thread  | does                                        | ends                       |
//! |------------|---------|---------------------------------------------|----------------------------|
//! | discovery  | main    | queries from the multicast group            | at the stop                |
//! | report     | main    | one POST for each accepted query            | after what is under way    |
//! | serve      | main    | `/healthz`, `/metrics`, `/plugins`          | after what is under way    |
//! | supervisor | plugins | a driver for each plugin                    | at the stop                |
//!
//! Plugins have a thread of their own. What the main thread does never waits for it: it reads the latest snapshot.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use cardcage_daemon::state_dir::StateDir;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::config::Config;
use crate::discovery::Discovery;
use crate::plugin::{self, BUILT_IN, Kit, Supervisor};
use crate::protocol::report::Agent;
use crate::report::Reporter;
use crate::sample::{Board, Roster};
use crate::serve::Server;
use crate::store::agent_id;
use crate::telemetry::Telemetry;

/// Accepted queries that wait to be answered: more than the largest burst that discovery lets through, so that one
/// manager's burst does not push out another's query.
const QUERIES: usize = 512;
/// How long stopping may take.
const GRACE: Duration = Duration::from_secs(3);
/// Threads on which plugins' reads may block, over all plugins.
const READERS: usize = 128;

/// An agent that is set up: its sockets are bound, nothing runs yet.
pub struct App {
    config: Config,
    discovery: Discovery,
    server: Server,
    reporter: Reporter,
    telemetry: Telemetry,
    board: Board,
    roster: Roster,
    kit: Kit,
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
        let kit = Kit::new(&config)?;
        let telemetry = Telemetry::new().context("the metrics cannot be set up")?;
        let server = Server::bind(config.service.listen)?;
        let discovery = Discovery::bind(&config, telemetry.clone())?;
        let (roster, board) = Board::new();
        let agent = Agent { id, board: config.board.clone(), service_port: server.address().port() };
        let reporter = Reporter::new(agent, board.clone(), telemetry.clone());
        Ok(Self { config, discovery, server, reporter, telemetry, board, roster, kit, state_dir })
    }

    /// Runs until told to stop, then drains within [`GRACE`].
    pub async fn run_until(self, told_to_stop: impl Future<Output = ()>) -> Result<()> {
        let stop = CancellationToken::new();
        let Self { config, discovery, server, reporter, telemetry, board, roster, kit, state_dir: _taken } =
            self;
        let plugins = spawn_plugins(config, kit, roster, stop.clone())?;
        let (queries, asked) = mpsc::channel(QUERIES);
        let tasks = TaskTracker::new();
        tasks.spawn(discovery.run(queries, stop.clone()));
        tasks.spawn(reporter.run(asked, stop.clone()));
        tasks.spawn(server.run(board, telemetry, stop.clone()));
        tasks.close();
        told_to_stop.await;
        info!("agent stops");
        stop.cancel();
        if timeout(GRACE, tasks.wait()).await.is_err() {
            warn!(left = tasks.len(), "grace period is over");
        }
        // A plugin's thread that is stuck in a read is left to the process's end.
        drop(plugins);
        Ok(())
    }
}

/// Starts the thread of the plugins.
fn spawn_plugins(
    config: Config,
    kit: Kit,
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
        let plugins = plugin::find(BUILT_IN, &config.plugin_dir());
        let supervisor = Supervisor::new(&config, kit);
        runtime.block_on(supervisor.run(plugins, roster, stop));
        // Does not wait for readers that are stuck.
        runtime.shutdown_background();
    };
    thread::Builder::new()
        .name("plugins".into())
        .spawn(run)
        .context("the thread of the plugins cannot be started")
}
