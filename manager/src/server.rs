//! The one listener: reports, the API, `/metrics`.
//!
//! ```text
//! accept (a permit each) ─▶ connection: head deadline ─▶ /heartbeat, /resource ─▶ receive
//!                                                     └▶ everything else       ─▶ router
//! ```
//! Only this file spawns tasks for connections. They are tracked, so that stopping can wait for them: first nothing new
//! is accepted, then each connection ends with the answer that it is at, then the grace period ends the rest.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::metrics::{Handler, Meters};
use crate::model::Subject;
use crate::problem::Problem;
use crate::quiet::Quiet;
use crate::receive::{Ends, Receiver};

/// A whole fleet may answer one query in the same millisecond.
const BACKLOG: i32 = 4096;

/// Connections that are served at the same time. The others wait in the backlog.
const CONNECTIONS: usize = 8192;

/// Files that the manager opens besides connections.
const OTHER_FILES: usize = 64;

/// Longest time to the end of a request's head; also how long a connection is kept without a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// Longest time that a peer may take no bytes of an answer.
const UNREAD_DEADLINE: Duration = Duration::from_secs(30);

/// Longest time to the head of an answer of the router.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Longest time that open requests get when the manager stops.
const GRACE: Duration = Duration::from_secs(5);

/// Pause after the system refused a connection, most often because there are no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listener, bound.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    connections: usize,
}

/// What answers requests.
struct Service {
    receiver: Receiver,
    router: TowerToHyperService<Router>,
    meters: Arc<Meters>,
}

impl Server {
    /// Binds. With port 0 the system chooses one; see [`Server::address`].
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Accepted connections inherit both.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_user_timeout(Some(UNREAD_DEADLINE))?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            connections: CONNECTIONS.min(open_files().saturating_sub(OTHER_FILES)).max(1),
        })
    }

    /// The address that is really listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is told to stop, and then to the end of what was begun, or of the grace period.
    pub async fn run(self, receiver: Receiver, router: Router, meters: Arc<Meters>, stop: CancellationToken) {
        let router = TowerToHyperService::new(router);
        let service = Arc::new(Service { receiver, router, meters });
        let tasks = TaskTracker::new();
        let permits = Arc::new(Semaphore::new(self.connections));
        let refusals = Quiet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.accept(&permits) => accepted,
            };
            match accepted {
                Ok((stream, peer, permit)) => {
                    tasks.spawn(serve(stream, peer, permit, Arc::clone(&service), stop.clone()));
                }
                Err(error) => {
                    if let Some(kept_back) = refusals.due() {
                        warn!(%error, kept_back, "a connection could not be accepted");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        tasks.close();
        if timeout(GRACE, tasks.wait()).await.is_err() {
            warn!(left = tasks.len(), "grace period over, connections are cut");
        }
    }

    async fn accept(
        &self,
        permits: &Arc<Semaphore>,
    ) -> io::Result<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
        let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = self.listener.accept().await?;
        Ok((stream, peer.ip(), permit))
    }
}

/// One connection, from its first request to its last.
async fn serve(
    stream: TcpStream,
    theirs: IpAddr,
    permit: OwnedSemaphorePermit,
    service: Arc<Service>,
    stop: CancellationToken,
) {
    let Ok(ours) = stream.local_addr() else { return };
    let ends = Ends { ours: ours.ip(), theirs };
    service.meters.connections.inc();
    let answer = service_fn(|request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(request, ends).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!(%theirs, %error, "connection broken");
    }
    service.meters.connections.dec();
    drop(permit);
}

impl Service {
    async fn answer(&self, request: Request<Incoming>, ends: Ends) -> Response<Body> {
        let subject = match request.uri().path() {
            "/heartbeat" => Subject::Heartbeat,
            "/resource" => Subject::Resource,
            _ => return self.route(request).await,
        };
        self.receiver.receive(subject, request, ends).await
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        let start = Instant::now();
        let routed = timeout(ANSWER_DEADLINE, hyper::service::Service::call(&self.router, request)).await;
        self.meters.answered(Handler::Other, start.elapsed());
        match routed {
            Ok(Ok(response)) => response,
            Err(_) => {
                let detail = format!("no answer within {ANSWER_DEADLINE:?}");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "manager busy", detail, "try again")
                    .into_response()
            }
        }
    }
}

/// Files that this process may have open, after asking for as many as it can get.
fn open_files() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}
