//! `POST /heartbeat` and `POST /resource`: a report comes in.
//!
//! ```text
//! body (bounded, with a deadline) ─▶ protocol: parse ─▶ fleet ─▶ 200, empty
//! ```
//! This is what the manager does thousands of times a second, so it stands outside of the router: no state to clone, no
//! path to match, and the body is parsed where it lies.

mod body;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use cardcage_daemon::listen::Ends;
use hyper::body::Incoming;
use tracing::warn;

use crate::fleet::{Fleet, Refused, Taken};
use crate::metrics::{Handler, Meters, Outcome};
use crate::model::Subject;
use crate::problem::Problem;
use crate::protocol::{self, BadReport};
use crate::quiet::Quiet;
use body::{Bodies, Unread};

/// Takes reports.
pub struct Receiver {
    fleet: Fleet,
    meters: Arc<Meters>,
    bodies: Bodies,
    rejections: Quiet,
}

/// Our address as a query names it.
fn via(ends: Ends) -> Option<Ipv4Addr> {
    match ends.ours {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// Why a report gets no 200.
#[derive(Debug, thiserror::Error)]
enum Rejected {
    #[error("reports are posted")]
    Method,
    #[error(transparent)]
    Unread(Unread),
    #[error(transparent)]
    Malformed(BadReport),
    #[error(transparent)]
    Refused(Refused),
}

impl Receiver {
    /// Ready to hand reports to the fleet.
    pub fn new(fleet: Fleet, meters: Arc<Meters>) -> Self {
        let bodies = Bodies::new(meters.held_reports.clone());
        Self { fleet, meters, bodies, rejections: Quiet::new() }
    }

    /// Deals with one request.
    pub async fn receive(&self, subject: Subject, request: Request<Incoming>, ends: Ends) -> Response<Body> {
        let start = Instant::now();
        let taken = self.take(subject, request, ends).await;
        let outcome = match &taken {
            Ok(Taken::Kept) => Outcome::Kept,
            Ok(Taken::Waiting) => Outcome::Waiting,
            Ok(Taken::Ambiguous) => Outcome::Ambiguous,
            Err(rejected) => rejected.outcome(),
        };
        self.meters.report(subject, outcome);
        self.meters.answered(Handler::Report(subject), start.elapsed());
        match taken {
            // The document asks for an empty body.
            Ok(_) => Response::new(Body::empty()),
            Err(rejected) => {
                if let Some(kept_back) = self.rejections.due() {
                    warn!(url = subject.path(), from = %ends.theirs, error = %rejected, kept_back, "report rejected");
                }
                rejected.into_response()
            }
        }
    }

    async fn take(
        &self,
        subject: Subject,
        request: Request<Incoming>,
        ends: Ends,
    ) -> Result<Taken, Rejected> {
        if request.method() != Method::POST {
            return Err(Rejected::Method);
        }
        let body = self.bodies.read(request.into_body(), ends.theirs).await.map_err(Rejected::Unread)?;
        let (body, via) = (&body.bytes, via(ends));
        match subject {
            Subject::Heartbeat => {
                let (report, query) = protocol::heartbeat::parse(body).map_err(Rejected::Malformed)?;
                self.fleet.heartbeat(report, query, via, body).map_err(Rejected::Refused)
            }
            Subject::Resource => {
                let head = protocol::resource::head(body).map_err(Rejected::Malformed)?;
                self.fleet.resource(head, via, body).map_err(Rejected::Refused)
            }
        }
    }
}

impl Rejected {
    const fn outcome(&self) -> Outcome {
        match self {
            Self::Method | Self::Malformed(_) => Outcome::Malformed,
            Self::Unread(Unread::Oversized) => Outcome::Oversized,
            Self::Unread(Unread::Slow | Unread::Broken) => Outcome::Unread,
            Self::Unread(Unread::Busy(_)) | Self::Refused(_) => Outcome::Refused,
        }
    }

    fn into_response(self) -> Response<Body> {
        let (status, title, remedy) = match &self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed", "use POST"),
            Self::Unread(Unread::Oversized) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "report too long", "send fewer readings")
            }
            Self::Unread(Unread::Slow) => (StatusCode::REQUEST_TIMEOUT, "report too slow", "send it at once"),
            Self::Unread(Unread::Broken) => (StatusCode::BAD_REQUEST, "report incomplete", "send it whole"),
            Self::Malformed(_) => (
                StatusCode::BAD_REQUEST,
                "not a report",
                "send what the agent-manager protocol v1.1 describes",
            ),
            Self::Unread(Unread::Busy(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "manager busy", "report again at the next query")
            }
            Self::Refused(_) => (StatusCode::SERVICE_UNAVAILABLE, "inventory full", "cardcage forget ID"),
        };
        let mut response = Problem::new(status, title, self.to_string(), remedy).into_response();
        if matches!(self, Self::Method) {
            let post = axum::http::HeaderValue::from_static("POST");
            response.headers_mut().insert(axum::http::header::ALLOW, post);
        }
        response
    }
}
