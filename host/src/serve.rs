//! The agent's own HTTP service: where a person, Prometheus and `cardcage-agent plugin list` ask.
//!
//! ```text
//! GET /healthz   it runs
//! GET /metrics   Prometheus' text format
//! GET /plugins   the plugins and how they are, JSON
//! ```
//!
//! Each connection is a task with a deadline; beyond [`CONNECTIONS`] at once, others wait in the kernel's queue.

mod router;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::sample::Board;
use crate::telemetry::Telemetry;
use router::Router;

/// At most this many connections at once.
const CONNECTIONS: usize = 64;
/// A fleet's worth of managers and scrapers may connect in the same moment.
const BACKLOG: u32 = 4096;
/// A client must have sent its whole head by then, and each further one on the same connection.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// The longest life of a connection, in use or not.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(60);
/// The longest head of a request.
const HEAD: usize = 16 * 1024;
/// After a failed accept: what fails, such as a lack of descriptors, lasts.
const AFTER_FAULT: Duration = Duration::from_secs(1);
/// What is being answered when the agent stops may take this long.
const GRACE: Duration = Duration::from_secs(1);

/// The service cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}; is another agent running, or service.listen wrong?")]
pub struct ServeError {
    listen: SocketAddr,
    #[source]
    source: io::Error,
}

/// Listens for requests.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    pub fn bind(listen: SocketAddr) -> Result<Self, ServeError> {
        let bound = || {
            let socket = match listen {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            }?;
            // A restart must not wait for connections of the agent before it to time out.
            socket.set_reuseaddr(true)?;
            socket.bind(listen)?;
            let listener = socket.listen(BACKLOG)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bound().map_err(|source| ServeError { listen, source })
    }

    /// Where it listens: the port is the real one, also where 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is told to stop; what is being answered then gets a short grace.
    pub async fn run(self, board: Board, telemetry: Telemetry, stop: CancellationToken) {
        info!(listen = %self.address, "service is open");
        let router = Arc::new(Router::new(board, telemetry));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve(stream, Arc::clone(&router), stop.clone()));
                    }
                    // The client is gone again; the next one is none the worse for it.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        warn!(%error, "connections cannot be accepted");
                        time::sleep(AFTER_FAULT).await;
                    }
                },
            }
        }
        drop(self.listener);
        let _over = time::timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    }
}

/// One connection, from its first byte to its deadline.
async fn serve(stream: TcpStream, router: Arc<Router>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let answer = router.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let served = time::timeout(CONNECTION_DEADLINE, async {
        tokio::select! {
            served = connection.as_mut() => return served,
            () = stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    });
    if let Ok(Err(error)) = served.await {
        debug!(%error, "a connection ended badly");
    }
}
