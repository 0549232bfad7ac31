//! The manager, put together. Start here.
//!
//! | task        | owns                                | ends when             |
//! |-------------|-------------------------------------|-----------------------|
//! | server      | listener, connections               | `intake` is cancelled |
//! | query       | query sockets                       | `intake` is cancelled |
//! | deployments | requests to agents, orders (a thread) | `intake` is cancelled |
//! | plugins     | pushes, and their requests to agents | `intake` is cancelled |
//! | store       | database (a thread)                 | `saving` is cancelled |
//!
//! Stopping has an order: first nothing comes in any more, then what came in is saved.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use axum::Router;
use cardcage_daemon::state_dir::StateDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::agents::Agents;
use crate::api::Api;
use crate::clock::Clock;
use crate::config::Config;
use crate::deployments::Deployments;
use crate::fleet::{Fleet, PerSubject};
use crate::metrics::Meters;
use crate::plugins::Plugins;
use crate::query::Asker;
use crate::receive::Receiver;
use crate::server::Server;
use crate::store::Saver;
use crate::store::orders::Orders;
use crate::token::Token;

/// Longest time that one task may take to end. Longer than the grace of the server and the deadlines of the store.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// Everything, ready to run.
pub struct App {
    server: Server,
    receiver: Receiver,
    router: Router,
    asker: Asker,
    deployments: Deployments,
    plugins: Plugins,
    saver: Saver,
    meters: Arc<Meters>,
    /// Taken until everything has ended.
    _state_dir: StateDir,
}

impl App {
    /// Takes the state directory, restores the inventory, binds the listener. To be called within a runtime.
    pub fn build(config: Config) -> Result<Self> {
        let state_dir = StateDir::take(&config.state_dir)?;
        let token = Token::load_or_create(state_dir.path())?;
        let server = Server::bind(config.listen)
            .with_context(|| format!("cannot listen on {}; is another manager running?", config.listen))?;
        let meters = Arc::new(Meters::new(server.connections()).context("cannot set up the metrics")?);
        let (heartbeat, resource) = (config.discovery.heartbeat_every, config.discovery.resource_every);
        let fleet = Fleet::new(Clock::start(), PerSubject { heartbeat, resource });
        let saver = Saver::restore(&state_dir, config.store.flush_every, fleet.clone(), Arc::clone(&meters))
            .context("cannot open the inventory")?;
        let (orders, ordered) = Orders::open(&state_dir)?;
        let agents = Arc::new(Agents::new(&config.agents)?);
        let deployments = Deployments::new(orders, ordered, Arc::clone(&agents), fleet.clone());
        let plugins = Plugins::new(deployments.clone(), agents);
        let address = server.address();
        let port = NonZeroU16::new(address.port()).context("the listener has no port")?;
        Ok(Self {
            receiver: Receiver::new(fleet.clone(), Arc::clone(&meters)),
            router: Api::new(fleet.clone(), deployments.clone(), plugins.clone(), Arc::clone(&meters), token)
                .router(),
            deployments,
            plugins,
            asker: Asker::new(config, address.ip(), port, fleet, Arc::clone(&meters)),
            server,
            saver,
            meters,
            _state_dir: state_dir,
        })
    }

    /// The address that is really listened on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Runs until `stop` is ready, and ends in order. An error if a part of it ended by itself.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<()> {
        let (intake, saving) = (CancellationToken::new(), CancellationToken::new());
        info!(address = %self.server.address(), version = env!("CARGO_PKG_VERSION"), "listening");
        let mut server =
            tokio::spawn(self.server.run(self.receiver, self.router, self.meters, intake.clone()));
        let mut query = tokio::spawn(self.asker.run(intake.clone()));
        let mut deployments = tokio::spawn(self.deployments.run(intake.clone()));
        let mut plugins = tokio::spawn(self.plugins.run(intake.clone()));
        let mut store = tokio::spawn(self.saver.run(saving.clone()));
        let outcome = tokio::select! {
            () = stop => Ok(()),
            _ = &mut server => Err(anyhow!("the server ended by itself")),
            _ = &mut query => Err(anyhow!("the queries ended by themselves")),
            _ = &mut deployments => Err(anyhow!("the deployments ended by themselves")),
            _ = &mut plugins => Err(anyhow!("the plugins ended by themselves")),
            _ = &mut store => Err(anyhow!("the store ended by itself")),
        };
        info!("stopping");
        intake.cancel();
        end("deployments", deployments).await;
        end("plugins", plugins).await;
        end("query", query).await;
        end("server", server).await;
        saving.cancel();
        end("store", store).await;
        outcome
    }
}

/// Waits for a task, unless the wait is what told that it had ended.
async fn end(task: &'static str, handle: JoinHandle<()>) {
    if handle.is_finished() {
        return;
    }
    match timeout(END_DEADLINE, handle).await {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => error!(task, %panic, "a task ended badly"),
        Err(_) => error!(task, "a task did not end in time"),
    }
}
