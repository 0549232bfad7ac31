//! The one listener: reports, the API, `/metrics`.
//!
//! ```text
//! connection ─▶ /heartbeat, /resource ─▶ receive
//!            └▶ everything else       ─▶ router
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response};
use axum::response::IntoResponse;
use cardcage_daemon::listen::{Connections, Ends, Limits, Listener};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::metrics::{Handler, Meters};
use crate::model::Subject;
use crate::problem::Problem;
use crate::receive::Receiver;

/// A fleet has thousands of boards, which keep their connections or make a new one for each report.
const LIMITS: Limits = Limits {
    connections: 8192,
    head: Duration::from_secs(30),
    unread: Duration::from_secs(30),
    life: Duration::from_secs(24 * 60 * 60),
    grace: Duration::from_secs(5),
};

/// Files that the manager opens besides connections.
const OTHER_FILES: usize = 64;

/// Longest time to the head of an answer of the router.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// The listener, bound.
pub struct Server(Listener);

/// The same for those about deployments, which wait for agents that fetch software.
const DEPLOY_DEADLINE: Duration = Duration::from_secs(7 * 60);

/// What answers requests.
struct Service {
    receiver: Receiver,
    router: TowerToHyperService<Router>,
    meters: Arc<Meters>,
}

impl Server {
    /// Binds. With port 0 the system chooses one; see [`Server::address`].
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let connections = LIMITS.connections.min(open_files().saturating_sub(OTHER_FILES));
        Listener::bind(address, Limits { connections, ..LIMITS }).map(Self)
    }

    /// The address that is really listened on.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Its connections, for the metrics.
    pub fn connections(&self) -> Connections {
        self.0.connections()
    }

    /// Serves until it is told to stop, and then to the end of what was begun, or of the grace period.
    pub async fn run(self, receiver: Receiver, router: Router, meters: Arc<Meters>, stop: CancellationToken) {
        let router = TowerToHyperService::new(router);
        let service = Arc::new(Service { receiver, router, meters });
        let answer = move |request, ends| {
            let service = Arc::clone(&service);
            async move { service.answer(request, ends).await }
        };
        self.0.serve(answer, stop).await;
    }
}

impl Service {
    async fn answer(&self, request: Request<Incoming>, ends: Ends) -> Response<Body> {
        let subject = match request.uri().path() {
            "/heartbeat" => Subject::Heartbeat,
            "/resource" => Subject::Resource,
            _ => return self.route(request, ends).await,
        };
        self.receiver.receive(subject, request, ends).await
    }

    async fn route(&self, mut request: Request<Incoming>, ends: Ends) -> Response<Body> {
        let start = Instant::now();
        let deploys = request.method() != Method::GET && Api::waits_for_agents(request.uri().path());
        let deadline = if deploys { DEPLOY_DEADLINE } else { ANSWER_DEADLINE };
        request.extensions_mut().insert(ends);
        let routed = timeout(deadline, hyper::service::Service::call(&self.router, request)).await;
        self.meters.answered(Handler::Other, start.elapsed());
        match routed {
            Ok(Ok(response)) => response,
            Err(_) => Problem::busy(format!("no answer within {deadline:?}"), "try again").into_response(),
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
