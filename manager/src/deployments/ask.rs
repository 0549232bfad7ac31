//! One question to one agent, and what its answer means.
//!
//! Before a stop the agent is asked what id the deployment has now: an id of a process may have been somebody else's
//! since it was noted. An agent that lists nothing speaks v1.1 alone; there the id of the reply to the start is used, or
//! the one that it reports. `address.rs` says where the agent is.

use std::net::SocketAddrV4;
use std::time::Duration;

use axum::body::Bytes;
use hyper::Method;

use super::Deployments;
use crate::agents::{Answer, Call, NoAnswer, escaped};
use crate::model::{BoardId, Deployment, Desired, InstanceId, Outcome, Reply};
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
    pub(super) async fn ask(&self, deployment: &Deployment) -> Said {
        match deployment.desired {
            Desired::Running => self.ask_start(deployment).await,
            Desired::Stopped => self.ask_stop(deployment).await,
        }
    }

    async fn ask_start(&self, deployment: &Deployment) -> Said {
        let Some(order) = &deployment.order else {
            return (Reply::own(Outcome::Invalid, "there is no order"), None);
        };
        let body = match deploy::start(&deployment.uuid, order) {
            Ok(body) => body,
            Err(error) => return (Reply::own(Outcome::Invalid, error.to_string()), None),
        };
        let agent = match self.address(&deployment.board) {
            Ok(agent) => agent,
            Err(doubt) => match self.where_it_is(deployment).await {
                Some(agent) => agent,
                None => return (doubt, None),
            },
        };
        said(agent, self.deploy(agent, deployment, body, START).await)
    }

    /// Where its agent answered before, if it has it still: an agent that takes an order does not ask whether it was
    /// meant.
    async fn where_it_is(&self, deployment: &Deployment) -> Option<SocketAddrV4> {
        let before = deployment.agent?;
        matches!(self.listed(before, &deployment.uuid).await, Ok(List::Has(_))).then_some(before)
    }

    /// Stops it where its agent answered before, if it is there still, else where its board says that it is.
    async fn ask_stop(&self, deployment: &Deployment) -> Said {
        let claim = self.address(&deployment.board);
        let before = deployment.agent.filter(|before| claim.as_ref().ok() != Some(before));
        let why_not = match before {
            None => None,
            Some(before) => match self.ask_stop_before(before, deployment, claim.is_err()).await {
                Ok(said) => return said,
                Err(why_not) => Some(why_not),
            },
        };
        match (claim, why_not) {
            (Ok(agent), _) => said(agent, self.ask_stop_at(agent, deployment).await),
            (Err(doubt), None) => (doubt, None),
            (Err(doubt), Some(why_not)) => {
                (Reply::own(doubt.outcome, format!("{}; and {why_not}", doubt.message)), None)
            }
        }
    }

    /// The first half of that, or why it decides nothing. Where it is in doubt which agent is the board's, the word of
    /// this one counts as long as the board is heard there; and nobody but itself may say which id is to be stopped.
    async fn ask_stop_before(
        &self,
        before: SocketAddrV4,
        deployment: &Deployment,
        in_doubt: bool,
    ) -> Result<Said, String> {
        let counts = in_doubt && self.is_heard_at(&deployment.board, before);
        match self.listed(before, &deployment.uuid).await {
            Ok(List::Has(listed)) => Ok(said(before, self.stop_listed(before, deployment, listed).await)),
            Ok(List::HasNot) if counts => Ok(said(before, Ok(has_not()))),
            Ok(List::None) if counts && deployment.id.is_some() => Ok(said(
                before,
                self.stop_as(before, deployment, deployment.kind.clone(), deployment.id.clone()).await,
            )),
            Ok(_) => Err(format!("it is not to be found at {before}, where it was")),
            Err(reply) => Err(format!("where it was, {}", reply.message)),
        }
    }

    async fn ask_stop_at(&self, agent: SocketAddrV4, deployment: &Deployment) -> Result<Reply, Reply> {
        match self.listed(agent, &deployment.uuid).await? {
            List::Has(listed) => self.stop_listed(agent, deployment, listed).await,
            List::HasNot => Ok(has_not()),
            List::None => {
                let (kind, id) = self.as_reported(deployment);
                self.stop_as(agent, deployment, kind, id).await
            }
        }
    }

    async fn stop_listed(
        &self,
        agent: SocketAddrV4,
        deployment: &Deployment,
        Listed { kind, id }: Listed,
    ) -> Result<Reply, Reply> {
        // Before anything runs it has no id; to our agents its uuid is one.
        let id = id.unwrap_or_else(|| InstanceId::Text(deployment.uuid.clone()));
        self.stop_as(agent, deployment, Some(kind), Some(id)).await
    }

    async fn stop_as(
        &self,
        agent: SocketAddrV4,
        deployment: &Deployment,
        kind: Option<String>,
        id: Option<InstanceId>,
    ) -> Result<Reply, Reply> {
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
        let body = deploy::stop(&kind, &deployment.uuid, &id)
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
            body: body.into(),
            deadline,
            limit: deploy::REPLY_LIMIT,
        };
        let answer = self.0.agents.call(agent, call).await.map_err(|error| unanswered(&error))?;
        understood(&answer, agent, &deployment.uuid)
    }

    async fn listed(&self, agent: SocketAddrV4, uuid: &str) -> Result<List, Reply> {
        let path = "/deployments".to_owned();
        let call = Call { method: Method::GET, path, body: Bytes::new(), deadline: LIST, limit: LIST_LIMIT };
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
            Call { method: Method::GET, path, body: Bytes::new(), deadline: LOG, limit: LOG_ANSWER_LIMIT };
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

/// An answer, and the agent that gave it if one did.
pub(super) type Said = (Reply, Option<SocketAddrV4>);

/// A reply of the agent itself, or what the manager says in its place.
fn said(agent: SocketAddrV4, answer: Result<Reply, Reply>) -> Said {
    match answer {
        Ok(reply) => (reply, Some(agent)),
        Err(reply) => (reply, None),
    }
}

fn has_not() -> Reply {
    Reply::own(Outcome::Done, "the board has no such deployment")
}

/// What an agent says it has.
enum List {
    Has(Listed),
    HasNot,
    /// It has no list.
    None,
}

/// What the answer to a deploy says; an error if it is no reply.
fn understood(answer: &Answer, agent: SocketAddrV4, uuid: &str) -> Result<Reply, Reply> {
    match (answer.status, deploy::reply(&answer.body, uuid)) {
        (200 | 400, Ok(reply)) => Ok(reply),
        (200, Err(error)) => Err(again(&format!("the agent at {agent} answers what is no answer: {error}"))),
        _ => Err(refused(answer, agent)),
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
        let (Ok(reply) | Err(reply)) =
            understood(&answer, SocketAddrV4::new([10, 0, 0, 1].into(), 23980), "u");
        reply.outcome
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
