//! `/tasks`: what the task plugins can be asked, and the runs. Whoever may order deploys may ask, which the router has
//! seen to. A query is answered when it has ended; what takes long is answered with where it can be watched.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use cardcage_daemon::body;
use hyper::body::Body;
use hyper::{Method, Request, StatusCode};
use tracing::info;
use uuid::Uuid;

use super::router::{Answer, json, refuse, wrong_method};
use crate::plugin::{NotStarted, Phase, Run, Tasks};
use crate::protocol::tasks::{LIMIT, RunEntry, TaskEntry, arguments};

/// How long the arguments may take to arrive.
const BODY: Duration = Duration::from_secs(10);

/// The answer to a request below `/tasks`.
pub(super) async fn answer<B>(tasks: &Tasks, peer: IpAddr, below: &str, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let segments: Vec<_> = below.split('/').skip(1).collect();
    let method = request.method().clone();
    let reading = matches!(method, Method::GET | Method::HEAD);
    match segments.as_slice() {
        [] if reading => {
            let entries: Vec<_> = tasks.list().into_iter().map(TaskEntry::from).collect();
            json(StatusCode::OK, &entries)
        }
        ["runs"] if reading => {
            let entries: Vec<_> = tasks.runs().iter().map(|run| RunEntry::from(&**run)).collect();
            json(StatusCode::OK, &entries)
        }
        [] | ["runs"] => wrong_method("GET, HEAD"),
        [plugin, task] if method == Method::POST => start(tasks, peer, (plugin, task), request).await,
        ["runs", id] => match Uuid::try_parse(id).ok().and_then(|id| tasks.run(id)) {
            Some(run) if reading => shown(StatusCode::OK, &run),
            Some(run) if method == Method::DELETE => cancel(peer, &run),
            Some(_) => wrong_method("GET, HEAD, DELETE"),
            None => {
                refuse(StatusCode::NOT_FOUND, "absent", "no such run is remembered; a restart forgets all")
            }
        },
        [_, _] => wrong_method("POST"),
        _ => refuse(StatusCode::NOT_FOUND, "absent", "there is no such resource"),
    }
}

async fn start<B>(tasks: &Tasks, peer: IpAddr, (plugin, task): (&str, &str), request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let bytes = match body::read(request.into_body(), LIMIT, BODY).await {
        Ok(bytes) => bytes,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, "invalid", &error.to_string()),
    };
    let started = match arguments(&bytes) {
        Ok(arguments) => tasks.start(plugin, task, arguments),
        Err(reason) => return refuse(StatusCode::BAD_REQUEST, "invalid", &reason),
    };
    match started {
        Ok(run) => {
            info!(%peer, plugin, task, run = %run.id, "task asked");
            if run.long {
                return shown(StatusCode::ACCEPTED, &run);
            }
            run.ended().await;
            shown(StatusCode::OK, &run)
        }
        Err(error) => {
            let (status, code) = match error {
                NotStarted::NoPlugin(_) | NotStarted::NoTask { .. } => (StatusCode::NOT_FOUND, "absent"),
                NotStarted::Arguments(_) => (StatusCode::BAD_REQUEST, "invalid"),
                NotStarted::Busy { .. } => (StatusCode::CONFLICT, "conflict"),
                NotStarted::Full | NotStarted::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
                NotStarted::Thread(_) => (StatusCode::INTERNAL_SERVER_ERROR, "io"),
            };
            refuse(status, code, &error.to_string())
        }
    }
}

fn cancel(peer: IpAddr, run: &Run) -> Answer {
    if run.phase().0 != Phase::Running {
        return shown(StatusCode::OK, run);
    }
    info!(%peer, run = %run.id, "task is to be cancelled");
    run.cancel("it was cancelled");
    shown(StatusCode::ACCEPTED, run)
}

fn shown(status: StatusCode, run: &Run) -> Answer {
    json(status, &RunEntry::from(run))
}
