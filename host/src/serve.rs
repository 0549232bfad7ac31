//! The agent's own HTTP service: where a person, Prometheus and `cardcage-agent plugin list` ask.
//!
//! ```text
//! POST /deploy                  starts or stops an instance      | these: managers that are allowed, with
//! GET  /deployments             the instances and how they are   | the token, if there is one
//! GET  /deployments/UUID/log    what an instance wrote           |
//! GET  /tasks                   what plugins can be asked to do  |
//! POST /tasks/PLUGIN/TASK       asks                             |
//! GET  /tasks/runs              what was asked, and how that is  |
//! GET, DELETE /tasks/runs/ID    one of them; cancels it          |
//! GET, PUT, DELETE /plugins/FILE   plugins that a manager brings: the same managers, where the operator allows it
//! GET  /healthz                 it runs
//! GET  /metrics                 Prometheus' text format
//! GET  /plugins                 the plugins and how they are, JSON
//! ```

mod deploys;
mod pushes;
mod router;
mod tasks;

pub use deploys::Deploys;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cardcage_daemon::listen::{Ends, Limits, Listener};
use cardcage_daemon::tls::{Tls, TlsError};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config;
use crate::deploy::REPLY;
use crate::plugin::{Pushes, Tasks};
use crate::sample::Board;
use crate::telemetry::Telemetry;
use router::Router;

/// An agent is asked by a few managers and scrapers, and briefly; but a manager may order many instances at once, and each
/// order keeps its connection until it runs.
const LIMITS: Limits = Limits {
    connections: 256,
    head: Duration::from_secs(5),
    unread: Duration::from_secs(10),
    life: Duration::from_secs(60),
    grace: Duration::from_secs(1),
};

/// A reply to a deploy may take this long, body and all.
const WORK: Duration = REPLY.saturating_add(Duration::from_secs(30));

/// The service cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {listen}; is another agent running, or service.listen wrong?")]
    Listen {
        listen: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("service.tls_cert, tls_key and client_ca cannot be used")]
    Tls(#[source] TlsError),
}

/// Listens for requests.
pub struct Server(Listener);

impl Server {
    pub fn bind(config: &config::Service) -> Result<Self, ServeError> {
        let listen = config.listen;
        let listener =
            Listener::bind(listen, LIMITS).map_err(|source| ServeError::Listen { listen, source })?;
        let listener = listener.with_work(WORK);
        Ok(Self(match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => {
                let tls = Tls::load(cert, key, config.client_ca.as_deref()).map_err(ServeError::Tls)?;
                listener.with_tls(tls)
            }
            _ => listener,
        }))
    }

    /// Where it listens: the port is the real one, also where 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Answers until it is told to stop; what is being answered then gets a short grace.
    pub async fn run(
        self,
        board: Board,
        deploys: Deploys,
        tasks: Tasks,
        pushes: Option<Pushes>,
        telemetry: Telemetry,
        stop: CancellationToken,
    ) {
        info!(listen = %self.address(), "service is open");
        let router = Arc::new(Router::new(board, deploys, tasks, pushes, telemetry));
        let answer = move |request, ends: Ends| {
            let router = Arc::clone(&router);
            async move { router.answer(ends.theirs, request).await }
        };
        self.0.serve(answer, stop).await;
    }
}
