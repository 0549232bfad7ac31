//! A push on one board, from the question whether it is welcome to the sample that proves it, or to its taking back.
//!
//! ```text
//! GET /plugins/FILE ──refused──▶ Refused                  asked first, without the plugin: a refusal is read before the
//!    │                                                    agent closes a connection that it does not read from
//!    ├─ it has it already ──────────────.
//! PUT /plugins/FILE ──refused──▶ Refused |
//!    └─▶ GET /plugins, again and again ◀─'──▶ Running | Idle
//!            └── failed, or too late ──▶ DELETE /plugins/FILE ──▶ Failed: the file holds what it held before
//! ```

use std::net::SocketAddrV4;
use std::time::Duration;

use axum::body::Bytes;
use hyper::Method;
use tokio::time::{Instant, sleep};

use super::Plugins;
use crate::agents::{Answer, Call, NoAnswer};
use crate::model::BoardId;
use crate::model::plugin::{Fate, Verdict, is_kept_out, verdict};
use crate::protocol::plugins::{self, Held};

/// How often it is looked what has become of it.
const EVERY: Duration = Duration::from_millis(500);

/// Longest time for a question, and for the plugin itself.
const ASK: Duration = Duration::from_secs(20);
const PUT: Duration = Duration::from_secs(5 * 60);

/// An agent that takes another plugin at this moment is asked again for as long as that may take, with this pause.
const BUSY: Duration = PUT;
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// What is pushed.
pub(super) struct Plugin {
    pub(super) file: String,
    pub(super) digest: String,
    pub(super) bytes: Bytes,
    /// Longest time until it runs.
    pub(super) timeout: Duration,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Attempted {
    pub(super) fate: Fate,
    pub(super) message: String,
    /// The board has the new file, and did not have it before.
    pub(super) changed: bool,
}

impl Attempted {
    fn unchanged(fate: Fate, message: String) -> Self {
        Self { fate, message, changed: false }
    }
}

/// Why a request brought nothing.
enum Trouble {
    /// The agent says no.
    Refused(String),
    /// Nobody knows.
    NoAnswer(String),
}

impl From<Trouble> for Attempted {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(why) => Self::unchanged(Fate::Refused, why),
            Trouble::NoAnswer(why) => Self::unchanged(Fate::NoAnswer, why),
        }
    }
}

impl Plugins {
    /// Brings it to a board and waits for what becomes of it.
    pub(super) async fn attempt(&self, board: &BoardId, plugin: &Plugin) -> Attempted {
        let agent = match self.0.deployments.address(board) {
            Ok(agent) => agent,
            Err(doubt) => return Attempted::unchanged(Fate::NoAnswer, doubt.message),
        };
        let held = match self.request(agent, Method::GET, path(plugin), Bytes::new(), ASK).await {
            Ok(body) => plugins::held(&body),
            Err(trouble) => return trouble.into(),
        };
        let held = match held {
            Ok(held) => held,
            Err(error) => return Attempted::unchanged(Fate::NoAnswer, error.to_string()),
        };
        let changed = held.digest.as_ref() != Some(&plugin.digest);
        let pushed_before = !changed && held.pushed.as_ref() == Some(&plugin.digest);
        if changed && let Err(trouble) = self.put(agent, plugin).await {
            let mut tried = Attempted::from(trouble);
            if tried.fate == Fate::NoAnswer {
                // It may have arrived all the same.
                let message = self.taken_back(board, plugin).await;
                tried.message = format!("{}; {message}", tried.message);
            }
            return tried;
        }
        let (fate, message) = self.watch(agent, plugin).await;
        let message = match fate {
            Fate::Running | Fate::Idle => message,
            _ if changed => format!("{message}; {}", self.taken_back(board, plugin).await),
            // It came by an earlier push, whose manager could not take it back. What has run since then stays.
            Fate::Failed if pushed_before && self.is_kept_out(agent, plugin).await => {
                format!("{message}; {}", self.taken_back(board, plugin).await)
            }
            _ => format!("{message}; the file was there before, so it stays"),
        };
        Attempted { fate, message, changed }
    }

    async fn put(&self, agent: SocketAddrV4, plugin: &Plugin) -> Result<(), Trouble> {
        let body = self.request(agent, Method::PUT, path(plugin), plugin.bytes.clone(), PUT).await?;
        match plugins::taken(&body) {
            Ok(digest) if digest == plugin.digest => Ok(()),
            Ok(_) => Err(Trouble::NoAnswer(format!("the agent at {agent} took something else"))),
            Err(error) => Err(Trouble::NoAnswer(error.to_string())),
        }
    }

    /// Looks until something is decided, or its time is over.
    async fn watch(&self, agent: SocketAddrV4, plugin: &Plugin) -> (Fate, String) {
        let until = Instant::now() + plugin.timeout;
        loop {
            let (open, said) = match self.look(agent).await {
                Ok(list) => match verdict(&list, &plugin.digest) {
                    Verdict::Running => return (Fate::Running, "it runs".to_owned()),
                    Verdict::Idle(why) => return (Fate::Idle, format!("not for this board: {why}")),
                    Verdict::Failed(why) => return (Fate::Failed, why),
                    Verdict::Pending(said) => (Fate::Failed, said),
                },
                Err(why) => (Fate::NoAnswer, why),
            };
            if Instant::now() >= until {
                let patience = humantime::format_duration(plugin.timeout);
                return (open, format!("nothing is decided after {patience}: {said}"));
            }
            sleep(EVERY).await;
        }
    }

    async fn is_kept_out(&self, agent: SocketAddrV4, plugin: &Plugin) -> bool {
        self.look(agent).await.is_ok_and(|list| is_kept_out(&list, &plugin.digest))
    }

    /// Has the agent put back what it had. What came of that, in words.
    pub(super) async fn taken_back(&self, board: &BoardId, plugin: &Plugin) -> String {
        let path = format!("{}?digest={}", path(plugin), plugin.digest);
        let asked = match self.0.deployments.address(board) {
            Ok(agent) => self.request(agent, Method::DELETE, path, Bytes::new(), ASK).await,
            Err(doubt) => Err(Trouble::NoAnswer(doubt.message)),
        };
        match asked.map(|body| plugins::held(&body)) {
            Ok(Ok(Held { digest: Some(before), .. })) => {
                format!("taken back, its file holds {} again", before.get(..12).unwrap_or(&before))
            }
            Ok(Ok(Held { digest: None, .. })) => "taken back, its file is gone again".to_owned(),
            Ok(Err(error)) => format!("NOT taken back: {error}"),
            Err(Trouble::Refused(why)) => format!("NOT taken back: {why}"),
            Err(Trouble::NoAnswer(why)) => {
                format!(
                    "NOT taken back: {why}; push the same file again when the board is back, which settles it"
                )
            }
        }
    }

    /// The body of an answer that is a success.
    async fn request(
        &self,
        agent: SocketAddrV4,
        method: Method,
        path: String,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Vec<u8>, Trouble> {
        let until = Instant::now() + deadline + BUSY;
        loop {
            let (method, path, body) = (method.clone(), path.clone(), body.clone());
            let deadline = deadline.min(until.saturating_duration_since(Instant::now()));
            let call = Call { method, path, body, deadline, limit: plugins::PUSH_LIMIT };
            let answer = self.0.agents.call(agent, call).await;
            match answer {
                Ok(Answer { status: 200, body }) => return Ok(body),
                Ok(Answer { status: 503, .. }) if Instant::now() + BUSY_PAUSE < until => {
                    sleep(BUSY_PAUSE).await;
                }
                answer => return Err(trouble(agent, answer)),
            }
        }
    }
}

fn path(plugin: &Plugin) -> String {
    format!("/plugins/{}", crate::agents::escaped(&plugin.file))
}

fn trouble(agent: SocketAddrV4, answer: Result<Answer, NoAnswer>) -> Trouble {
    let answer = match answer {
        Err(error) => return Trouble::NoAnswer(error.to_string()),
        Ok(answer) => answer,
    };
    let detail = plugins::detail(&answer.body);
    let said = match detail.is_empty() {
        true => format!("the agent at {agent} answers {}", answer.status),
        false => format!("the agent says: {detail}"),
    };
    match answer.status {
        404 | 405 => {
            Trouble::Refused(format!("{said}; an agent of this version takes no plugins over the network"))
        }
        401 => {
            Trouble::Refused(format!("{said}; give the agents' token as agents.token_file in manager.toml"))
        }
        408 | 429 | 500..=599 => Trouble::NoAnswer(said),
        _ => Trouble::Refused(said),
    }
}

#[cfg(test)]
mod tests;
