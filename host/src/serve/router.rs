//! Which request gets which answer. All but those about deploys, tasks and pushed plugins are made from what is known already.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tracing::error;

use super::deploys::Deploys;
use super::{pushes, tasks};
use crate::plugin::{Pushes, Tasks};
use crate::protocol::plugins::PluginEntry;
use crate::sample::Board;
use crate::telemetry::Telemetry;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The version of Prometheus' text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub(super) type Answer = Response<Full<Bytes>>;

/// How every refusal looks, as WIT's `error` does.
#[derive(Serialize)]
struct Refusal<'a> {
    code: &'static str,
    detail: &'a str,
}

pub(super) struct Router {
    board: Board,
    deploys: Deploys,
    tasks: Tasks,
    /// None where nobody may push.
    pushes: Option<Pushes>,
    telemetry: Telemetry,
}

impl Router {
    pub(super) const fn new(
        board: Board,
        deploys: Deploys,
        tasks: Tasks,
        pushes: Option<Pushes>,
        telemetry: Telemetry,
    ) -> Self {
        Self { board, deploys, tasks, pushes, telemetry }
    }

    /// The answer to a request of this peer.
    pub(super) async fn answer<B>(&self, peer: IpAddr, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = request.uri().path().to_owned();
        let log = path.strip_prefix("/deployments/").and_then(|rest| rest.strip_suffix("/log"));
        let below_tasks =
            path.strip_prefix("/tasks").filter(|below| below.is_empty() || below.starts_with('/'));
        let pushed = path.strip_prefix("/plugins/");
        let about_deploys = matches!(path.as_str(), "/deploy" | "/deployments") || log.is_some();
        let for_managers = about_deploys || below_tasks.is_some() || pushed.is_some();
        if for_managers && let Err(refusal) = self.deploys.admits(peer, request.headers()).await {
            return refusal;
        }
        if let Some(file) = pushed {
            return pushes::answer(self.pushes.as_ref(), peer, file, request).await;
        }
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match path.as_str() {
            "/deploy" if *request.method() == Method::POST => self.deploys.deploy(peer, request).await,
            "/deploy" => wrong_method("POST"),
            "/healthz" | "/metrics" | "/plugins" | "/deployments" if !reading => wrong_method("GET, HEAD"),
            "/healthz" => answer(StatusCode::OK, TEXT, "ok\n"),
            "/metrics" => self.metrics(),
            "/plugins" => self.plugins(),
            "/deployments" => self.deploys.list(),
            _ => match log {
                Some(_) if !reading => wrong_method("GET, HEAD"),
                Some(uuid) => self.deploys.log(uuid, request.uri().query().unwrap_or_default()).await,
                None => match below_tasks {
                    Some(below) => tasks::answer(&self.tasks, peer, below, request).await,
                    None => refuse(StatusCode::NOT_FOUND, "absent", "there is no such resource"),
                },
            },
        }
    }

    fn metrics(&self) -> Answer {
        match self.telemetry.render(&self.board, &self.deploys.deployments.views()) {
            Ok(text) => answer(StatusCode::OK, METRICS, text),
            Err(error) => {
                error!(%error, "the metrics cannot be written");
                refuse(StatusCode::INTERNAL_SERVER_ERROR, "io", "the metrics cannot be written")
            }
        }
    }

    fn plugins(&self) -> Answer {
        let plugins: Vec<_> = self.board.plugins().iter().map(PluginEntry::from).collect();
        json(StatusCode::OK, &plugins)
    }
}

pub(super) fn wrong_method(allowed: &'static str) -> Answer {
    let detail = format!("this resource takes {allowed}");
    let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, "invalid", &detail);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

pub(super) fn refuse(status: StatusCode, code: &'static str, detail: &str) -> Answer {
    json(status, &Refusal { code, detail })
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(bytes) => answer(status, JSON, bytes),
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, ""),
    }
}

pub(super) fn answer(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
