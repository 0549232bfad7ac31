//! The agent's own HTTP service: where a person, Prometheus and `cardcage-agent plugin list` ask.
//!
//! ```text
//! GET /healthz   it runs
//! GET /metrics   Prometheus' text format
//! GET /plugins   the plugins and how they are, JSON
//! ```

mod router;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cardcage_daemon::listen::{Limits, Listener};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::sample::Board;
use crate::telemetry::Telemetry;
use router::Router;

/// An agent is asked by a few managers and scrapers, and briefly.
const LIMITS: Limits = Limits {
    connections: 64,
    head: Duration::from_secs(5),
    unread: Duration::from_secs(10),
    life: Duration::from_secs(60),
    grace: Duration::from_secs(1),
};

/// The service cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}; is another agent running, or service.listen wrong?")]
pub struct ServeError {
    listen: SocketAddr,
    #[source]
    source: io::Error,
}

/// Listens for requests.
pub struct Server(Listener);

impl Server {
    pub fn bind(listen: SocketAddr) -> Result<Self, ServeError> {
        Listener::bind(listen, LIMITS).map(Self).map_err(|source| ServeError { listen, source })
    }

    /// Where it listens: the port is the real one, also where 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Answers until it is told to stop; what is being answered then gets a short grace.
    pub async fn run(self, board: Board, telemetry: Telemetry, stop: CancellationToken) {
        info!(listen = %self.address(), "service is open");
        let router = Arc::new(Router::new(board, telemetry));
        self.0.serve(move |request, _| std::future::ready(router.answer(&request)), stop).await;
    }
}
