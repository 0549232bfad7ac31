//! `/deploy` and `/deployments`: who may, how much, how long.
//!
//! Only managers that are allowed are heard, and where there is a token, only with it. What is asked for goes on in the
//! keeper, whether or not whoever asked waits for the reply.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cardcage_daemon::body::{self, BodyError};
use cardcage_daemon::seldom::Seldom;
use cardcage_daemon::token::Token;
use hyper::body::Body;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Request, StatusCode};
use serde::Serialize;
use tracing::{info, warn};

use super::router::{Answer, JSON, answer, json, refuse};
use crate::config::Managers;
use crate::deploy::{Deployments, Logs, PIECE, Wanted};
use crate::protocol::deploy::{self, Command};
use crate::protocol::deployments::DeploymentEntry;

/// A request is a few hundred bytes.
const BODY: Duration = Duration::from_secs(10);
/// Lines of a log, where nobody says how many.
const TAIL: usize = 100;

/// Who may deploy, and where it goes.
#[derive(Debug, Clone)]
pub struct Deploys {
    pub deployments: Deployments,
    pub logs: Option<Logs>,
    pub managers: Managers,
    pub token: Option<Token>,
    /// Those who are refused. A lock, since every request is a task; it is held for a comparison.
    pub refused: Arc<Mutex<Seldom>>,
}

/// A piece of a log as it is answered.
#[derive(Serialize)]
struct LogPiece {
    text: String,
    next: String,
    #[serde(skip_serializing_if = "is_zero")]
    lost: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Deploys {
    /// Whether whoever asks may; the refusal, if not.
    pub(super) async fn admits(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), Answer> {
        if !self.managers.allows(peer) {
            self.complain(peer, "somebody who is not in managers.allow asks about deploys or pushes");
            let detail = format!("{peer} is not in managers.allow of this agent's configuration");
            return Err(refuse(StatusCode::FORBIDDEN, "denied", &detail));
        }
        let Some(token) = &self.token else { return Ok(()) };
        match token.matches(headers.get(AUTHORIZATION)).await {
            true => Ok(()),
            false => {
                self.complain(peer, "somebody asks about deploys or pushes without the right token");
                let detail =
                    "this agent wants the token of its service.token_file: Authorization: Bearer TOKEN";
                Err(refuse(StatusCode::UNAUTHORIZED, "denied", detail))
            }
        }
    }

    /// Whoever reaches the port could fill the log.
    fn complain(&self, peer: IpAddr, what: &str) {
        if self.refused.lock().unwrap_or_else(PoisonError::into_inner).due() {
            warn!(%peer, "{what}");
        }
    }

    /// `POST /deploy`.
    pub(super) async fn deploy<B>(&self, peer: IpAddr, request: Request<B>) -> Answer
    where
        B: Body<Data = bytes::Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let bytes = match body::read(request.into_body(), deploy::LIMIT, BODY).await {
            Ok(bytes) => bytes,
            Err(error) => return unread(&error),
        };
        let (asked, command) = match deploy::read(&bytes) {
            Ok(read) => read,
            Err(refused) if refused.malformed => return answer(StatusCode::BAD_REQUEST, JSON, refused.body),
            Err(refused) => return answer(StatusCode::OK, JSON, refused.body),
        };
        let (mode, uuid) = match &command {
            Command::Start(order) => ("start", order.uuid.clone()),
            Command::Stop { uuid, .. } => ("stop", uuid.clone()),
        };
        info!(%peer, mode, uuid, "deploy asked");
        let reply = match command {
            Command::Start(order) => self.deployments.start(order).await,
            Command::Stop { kind, uuid, id } => self.deployments.stop(kind, uuid, id).await,
        };
        crate::deploy::steps::step("reply: before");
        info!(%peer, mode, uuid, outcome = ?reply.outcome, said = reply.message, "deploy answered");
        answer(StatusCode::OK, JSON, deploy::reply(asked, reply))
    }

    /// `GET /deployments`.
    pub(super) fn list(&self) -> Answer {
        let views = self.deployments.views();
        let entries: Vec<_> = views.deployments.iter().map(DeploymentEntry::from).collect();
        json(StatusCode::OK, &entries)
    }

    /// `GET /deployments/UUID/log`.
    pub(super) async fn log(&self, uuid: &str, query: &str) -> Answer {
        let Some(uuid) = decoded(uuid) else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "invalid",
                "the uuid in the path is not percent-encoded text",
            );
        };
        let views = self.deployments.views();
        let kind = views.deployments.iter().find(|one| one.uuid == uuid).map(|one| one.kind.clone());
        let (Some(kind), Some(logs)) = (kind, &self.logs) else {
            return refuse(StatusCode::NOT_FOUND, "absent", &format!("{uuid} is not deployed here"));
        };
        match logs.read(&uuid, &kind, wanted(query)).await {
            Ok(Some(piece)) => {
                let crate::deploy::Piece { text, next, lost } = piece;
                json(StatusCode::OK, &LogPiece { text, next, lost })
            }
            Ok(None) => {
                refuse(StatusCode::NOT_FOUND, "absent", &format!("nothing is kept of what {uuid} wrote"))
            }
            Err(reason) => refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &reason),
        }
    }
}

fn unread(error: &BodyError) -> Answer {
    let status = match error {
        BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::Late { .. } => StatusCode::REQUEST_TIMEOUT,
        BodyError::Broken => StatusCode::BAD_REQUEST,
    };
    answer(status, JSON, deploy::unread(&error.to_string()))
}

/// Unknown parameters and numbers that are none count for nothing.
fn wanted(query: &str) -> Wanted {
    let mut wanted = Wanted { after: None, limit: 256 << 10, tail: TAIL };
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match key {
            "after" => wanted.after = decoded(value),
            "limit" => wanted.limit = value.parse().unwrap_or(wanted.limit).clamp(1024, PIECE),
            "tail" => wanted.tail = value.parse().unwrap_or(wanted.tail).min(10_000),
            _ => {}
        }
    }
    wanted
}

/// Percent-encoded text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            other => other,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_of_a_log_is_bounded() {
        let all = wanted("after=a%2Fb&limit=99999999999&tail=7&colour=red");
        assert_eq!((all.after.as_deref(), all.limit, all.tail), (Some("a/b"), PIECE, 7));
        let odd = wanted("limit=x&tail=-1&after=%zz");
        assert_eq!((odd.after, odd.limit, odd.tail), (None, 256 << 10, TAIL));
    }

    #[test]
    fn percent_encoding_is_undone_or_refused() {
        assert_eq!(decoded("a%20b").as_deref(), Some("a b"));
        assert_eq!(decoded("%E8%8A%82").as_deref(), Some("节"));
        for wrong in ["%", "%2", "%g0", "%ff"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
