//! One question to one agent, and what its answer means.
//!
//! Before a stop the agent is asked what id the deployment has now: an id of a process may have been somebody else's
//! since it was noted. An agent that lists nothing speaks v1.1 alone; there the id of the reply to the start is used, or
//! the one that it reports.

use std::net::SocketAddrV4;
use std::time::Duration;

use hyper::Method;

use super::Deployments;
use crate::agents::{Answer, Call, NoAnswer, escaped};
use crate::model::{BoardId, Deployment, Desired, InstanceId, Outcome, Reply, State};
use crate::protocol::deploy::{self, Listed, Log};

/// Agents answer a start after five minutes at the latest, and go on after that.
const START: Duration = Duration::from_secs(6 * 60);
const STOP: Duration = Duration::from_secs(2 * 60);
const LIST: Duration = Duration::from_secs(10);
const LOG: Duration = Duration::from_secs(10);

/// Longest list of deployments that is read, in bytes.
const LIST_LIMIT: usize = 8 << 20;

/// Longest piece of a log that is asked for, in bytes, and how long it may be as JSON.
pub const LOG_LIMIT: usize = 256 << 10;
const LOG_ANSWER_LIMIT: usize = 2 << 20;

/// Which piece of a log.
#[derive(Debug, Clone, Default)]
pub struct Piece {
    /// Where to go on.
    pub after: Option<String>,
    /// Bytes, at most.
    pub limit: Option<usize>,
    /// Without a place to go on at: so many bytes from the end.
    pub tail: Option<usize>,
}

impl Deployments {
    /// Asks for what is wanted.
    pub(super) async fn ask(&self, deployment: &Deployment) -> Reply {
        let agent = match self.address(&deployment.board) {
            Ok(agent) => agent,
            Err(reply) => return reply,
        };
        let asked = match deployment.desired {
            Desired::Running => self.ask_start(agent, deployment).await,
            Desired::Stopped => self.ask_stop(agent, deployment).await,
        };
        asked.unwrap_or_else(|reply| reply)
    }

    /// Where the agent of a board answers. Not where it is in doubt which agent that is.
    fn address(&self, board: &BoardId) -> Result<SocketAddrV4, Reply> {
        let none = |message: String| Reply::own(Outcome::UnknownBoard, message);
        let fleet = &self.0.fleet;
        let view = fleet.board(board.as_str());
        let view =
            view.ok_or_else(|| none(format!("board {board} is not known; it is asked when it reports")))?;
        let heartbeat = &view.board.heartbeat;
        if !view.conflicts.identity.is_empty() {
            let message =
                format!("several agents say that they are board {board}; see `cardcage board {board}`");
            return Err(none(message));
        }
        let same_port = |rival: &&BoardId| {
            let rival = fleet.board(rival.as_str());
            rival.is_some_and(|rival| {
                let other = &rival.board.heartbeat;
                rival.board.state != State::Lost
                    && (other.host_ip, other.service_port) == (heartbeat.host_ip, heartbeat.service_port)
            })
        };
        if let Some(rival) = view.conflicts.address.iter().find(same_port) {
            return Err(none(format!(
                "boards {board} and {rival} report one address and port; correct one of them"
            )));
        }
        Ok(SocketAddrV4::new(heartbeat.host_ip, heartbeat.service_port))
    }

    async fn ask_start(&self, agent: SocketAddrV4, deployment: &Deployment) -> Result<Reply, Reply> {
        let Some(order) = &deployment.order else {
            return Err(Reply::own(Outcome::Invalid, "there is no order"));
        };
        let body = deploy::start(&deployment.uuid, order)
            .map_err(|error| Reply::own(Outcome::Invalid, error.to_string()))?;
        self.deploy(agent, deployment, body, START).await
    }

    async fn ask_stop(&self, agent: SocketAddrV4, deployment: &Deployment) -> Result<Reply, Reply> {
        let uuid = &deployment.uuid;
        let (kind, id) = match self.listed(agent, uuid).await? {
            List::Has(Listed { kind, id }) => {
                // Before anything runs it has no id; to our agents its uuid is one.
                (Some(kind), Some(id.unwrap_or_else(|| InstanceId::Text(uuid.clone()))))
            }
            List::HasNot => return Ok(Reply::own(Outcome::Done, "the board has no such deployment")),
            List::None => self.as_reported(deployment),
        };
        let Some(kind) = kind else {
            let message =
                "the agent does not say of which type it is; stop it with the type it was started with";
            return Err(Reply::own(Outcome::Invalid, message));
        };
        let Some(id) = id else {
            return Err(Reply::own(
                Outcome::WrongInstance,
                "nobody knows its id, and no other is stopped in its place",
            ));
        };
        let body = deploy::stop(&kind, uuid, &id)
            .map_err(|error| Reply::own(Outcome::Invalid, error.to_string()))?;
        self.deploy(agent, deployment, body, STOP).await
    }

    /// Type and id, where the agent lists nothing.
    fn as_reported(&self, deployment: &Deployment) -> (Option<String>, Option<InstanceId>) {
        let reported = || self.component(&deployment.board, &deployment.uuid);
        let id = deployment.id.clone().or_else(|| deploy::reported_id(reported()?.id.as_str()));
        let kind = deployment.kind.clone();
        (kind.or_else(|| Some(reported()?.more?.kind.to_string())), id)
    }

    async fn deploy(
        &self,
        agent: SocketAddrV4,
        deployment: &Deployment,
        body: Vec<u8>,
        deadline: Duration,
    ) -> Result<Reply, Reply> {
        let call = Call {
            method: Method::POST,
            path: "/deploy".to_owned(),
            body,
            deadline,
            limit: deploy::REPLY_LIMIT,
        };
        let answer = self.0.agents.call(agent, call).await.map_err(|error| unanswered(&error))?;
        Ok(understood(&answer, agent, &deployment.uuid))
    }

    async fn listed(&self, agent: SocketAddrV4, uuid: &str) -> Result<List, Reply> {
        let path = "/deployments".to_owned();
        let call = Call { method: Method::GET, path, body: Vec::new(), deadline: LIST, limit: LIST_LIMIT };
        let answer = self.0.agents.call(agent, call).await.map_err(|error| unanswered(&error))?;
        match answer.status {
            200 => match deploy::listed(&answer.body, uuid) {
                Ok(Some(listed)) => Ok(List::Has(listed)),
                Ok(None) => Ok(List::HasNot),
                Err(error) => Err(again(&error.to_string())),
            },
            404 | 405 => Ok(List::None),
            _ => Err(refused(&answer, agent)),
        }
    }

    /// A piece of what an instance printed. `None` if its board has no such instance.
    pub async fn log(&self, board: &BoardId, uuid: &str, piece: Piece) -> Result<Option<Log>, Reply> {
        let agent = self.address(board)?;
        let limit = piece.limit.unwrap_or(LOG_LIMIT).clamp(1, LOG_LIMIT);
        let mut path = format!("/deployments/{}/log?limit={limit}", escaped(uuid));
        if let Some(after) = &piece.after {
            path.push_str(&format!("&after={}", escaped(after)));
        }
        if let Some(tail) = piece.tail {
            path.push_str(&format!("&tail={}", tail.min(LOG_LIMIT)));
        }
        let call =
            Call { method: Method::GET, path, body: Vec::new(), deadline: LOG, limit: LOG_ANSWER_LIMIT };
        let answer = self.0.agents.call(agent, call).await.map_err(|error| unanswered(&error))?;
        match answer.status {
            200 => deploy::log(&answer.body)
                .map(Some)
                .map_err(|error| Reply::own(Outcome::NotAnAgent, error.to_string())),
            404 => Ok(None),
            _ => Err(refused(&answer, agent)),
        }
    }
}

/// What an agent says it has.
enum List {
    Has(Listed),
    HasNot,
    /// It has no list.
    None,
}

/// What the answer to a deploy says.
fn understood(answer: &Answer, agent: SocketAddrV4, uuid: &str) -> Reply {
    match (answer.status, deploy::reply(&answer.body, uuid)) {
        (200 | 400, Ok(reply)) => reply,
        (200, Err(error)) => again(&format!("the agent at {agent} answers what is no answer: {error}")),
        _ => refused(answer, agent),
    }
}

/// What any other status says.
fn refused(answer: &Answer, agent: SocketAddrV4) -> Reply {
    let detail = match deploy::detail(&answer.body) {
        detail if detail.is_empty() => String::new(),
        detail => format!(" ({detail})"),
    };
    let said = format!("the agent at {agent} answers {}{detail}", answer.status);
    match answer.status {
        401 | 403 => {
            let remedy = "give the agent's token as agents.token_file in manager.toml, or have the agent allow this manager";
            Reply::own(Outcome::Denied, format!("{said}; {remedy}"))
        }
        413 => Reply::own(Outcome::Invalid, format!("{said}; shorten the options")),
        408 | 429 | 500..=599 => again(&said),
        _ => Reply::own(
            Outcome::NotAnAgent,
            format!("{said}; is its agent one that deploys, and service_port right?"),
        ),
    }
}

fn unanswered(error: &NoAnswer) -> Reply {
    again(&error.to_string())
}

/// Nobody knows what came of it.
fn again(what: &str) -> Reply {
    Reply::own(Outcome::NoAnswer, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> Outcome {
        let answer = Answer { status, body: body.as_bytes().to_vec() };
        understood(&answer, SocketAddrV4::new([10, 0, 0, 1].into(), 23980), "u").outcome
    }

    #[test]
    fn every_status_means_something() {
        let done = r#"{"api_version":1,"data":{"uuid":"u","id":7,"result":0,"message":""}}"#;
        let invalid = r#"{"api_version":1,"data":{"uuid":"","result":1,"message":"no"}}"#;
        for (status, body, expected) in [
            (200, done, Outcome::Done),
            (400, invalid, Outcome::Invalid),
            (400, "bad request", Outcome::NotAnAgent),
            (200, "<html>", Outcome::NoAnswer),
            (302, "", Outcome::NotAnAgent),
            (404, done, Outcome::NotAnAgent),
            (401, r#"{"code":"token","detail":"wrong"}"#, Outcome::Denied),
            (403, "", Outcome::Denied),
            (408, "", Outcome::NoAnswer),
            (413, "", Outcome::Invalid),
            (503, done, Outcome::NoAnswer),
        ] {
            assert_eq!(said(status, body), expected, "{status} {body}");
        }
    }
}
