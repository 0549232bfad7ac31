//! Which request gets which answer. Every answer is made from what is known already: nothing here waits.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tracing::error;

use crate::protocol::plugins::PluginEntry;
use crate::sample::Board;
use crate::telemetry::Telemetry;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The version of Prometheus' text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

type Answer = Response<Full<Bytes>>;

/// How every refusal looks, as WIT's `error` does.
#[derive(Serialize)]
struct Refusal<'a> {
    code: &'static str,
    detail: &'a str,
}

pub(super) struct Router {
    board: Board,
    telemetry: Telemetry,
}

impl Router {
    pub(super) const fn new(board: Board, telemetry: Telemetry) -> Self {
        Self { board, telemetry }
    }

    /// The answer to a request. No resource takes a body, so none is read.
    pub(super) fn answer<B: Body>(&self, request: &Request<B>) -> Answer {
        let resource: fn(&Self) -> Answer = match request.uri().path() {
            "/healthz" => |_| answer(StatusCode::OK, TEXT, "ok\n"),
            "/metrics" => Self::metrics,
            "/plugins" => Self::plugins,
            _ => return refuse(StatusCode::NOT_FOUND, "absent", "there is no such resource"),
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer =
                refuse(StatusCode::METHOD_NOT_ALLOWED, "invalid", "this resource is only read, with GET");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        resource(self)
    }

    fn metrics(&self) -> Answer {
        match self.telemetry.render(&self.board) {
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

fn refuse(status: StatusCode, code: &'static str, detail: &str) -> Answer {
    json(status, &Refusal { code, detail })
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(bytes) => answer(status, JSON, bytes),
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, ""),
    }
}

fn answer(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
