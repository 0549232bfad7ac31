//! The plugins of boards, as their agents show them when they are asked, and pushes of new ones.
//!
//! ```text
//! api ──look──▶ agents, side by side ──▶ GET /plugins        what a plugin costs and is given, now
//!     ──push──▶ book ──▶ one task a push ──▶ the canary, then the others ──▶ PUT /plugins/FILE, GET /plugins until it runs
//!      ◀─read──┘                                                             DELETE /plugins/FILE where it does not
//! ```
//! | state | owner |
//! |---|---|
//! | the book: pushes, how far each is | a short lock, private to `push.rs` |
//! | a push, and its requests | a task of `tasks`; the caller who hangs up does not end it |
//!
//! Reports carry the plugins in short, and lists of the whole fleet are made of those: they cost the boards nothing. What
//! reports leave out is asked here. An agent is not trusted to answer, to end or to be short; one that does not answer is
//! shown by its last report.
//!
//! Pushes are kept in memory. What a manager that ends meanwhile leaves behind is whole on every board: its agent has the
//! new file and tries it, or has not, and knows itself what it had before.

mod attempt;
mod book;
mod push;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use book::NotNow;
pub use push::{Place, Wanted};

use crate::agents::Agents;
use crate::deployments::Deployments;
use crate::fleet::View;
use crate::model::State;
use crate::model::plugin::Installed;
use crate::protocol::plugins;
use book::Book;

/// Longest time for one agent to show its plugins, connection and all.
const LOOK: Duration = Duration::from_secs(4);

/// The same for all that are asked together; less than the server gives the answer. Who was not asked by then is shown by
/// its last report.
const LOOKS: Duration = Duration::from_secs(20);

/// Agents that are asked at once, for everybody: as many lists of [`plugins::LIST_LIMIT`] are held.
const AT_ONCE: usize = 32;

/// Longest time for pushes to break off.
const END_DEADLINE: Duration = Duration::from_secs(3);

/// The handle. A clone is the same.
#[derive(Clone)]
pub struct Plugins(Arc<Inner>);

struct Inner {
    deployments: Deployments,
    agents: Arc<Agents>,
    /// Places for looks.
    looks: Semaphore,
    /// Places for pushes, each of which holds its plugin in memory.
    places: Arc<Semaphore>,
    book: Mutex<Book>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Plugins of one name that a board can have: what runs, and a second file of the name, which is refused.
const VERSIONS: usize = 2;

/// The plugins of a board.
#[derive(Debug)]
pub struct Seen {
    /// The board.
    pub view: View,
    /// Its plugins: as its agent shows them, or in short as it last reported them.
    pub plugins: Vec<Installed>,
    /// Why its agent did not show them, if so.
    pub why_not: Option<String>,
}

impl Plugins {
    /// Without any pushes. `deployments` knows where agents are.
    pub fn new(deployments: Deployments, agents: Arc<Agents>) -> Self {
        Self(Arc::new(Inner {
            deployments,
            agents,
            looks: Semaphore::new(AT_ONCE),
            places: Arc::new(Semaphore::new(push::AT_ONCE)),
            book: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// Until it is told to stop; then pushes are broken off.
    pub async fn run(self, stop: CancellationToken) {
        stop.cancelled().await;
        self.0.stop.cancel();
        self.0.tasks.close();
        let _ = timeout(END_DEADLINE, self.0.tasks.wait()).await;
    }

    /// The plugins of one board.
    pub async fn of_board(&self, view: View) -> Seen {
        self.seen(view, Instant::now() + LOOKS).await
    }

    /// The plugin of this name on several boards, which are asked side by side. In their order.
    pub async fn of_boards(&self, views: Vec<View>, name: &str) -> Vec<Seen> {
        let until = Instant::now() + LOOKS;
        let mut looks = JoinSet::new();
        for (number, view) in views.into_iter().enumerate() {
            let (this, name) = (self.clone(), name.to_owned());
            looks.spawn(async move {
                let mut seen = this.seen(view, until).await;
                // What else a board has is not held until the last one has answered, nor what a stranger repeats.
                seen.plugins.retain(|plugin| plugin.name.as_str() == name);
                seen.plugins.truncate(VERSIONS);
                (number, seen)
            });
        }
        let mut all: Vec<_> = looks.join_all().await;
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, seen)| seen).collect()
    }

    async fn seen(&self, view: View, until: Instant) -> Seen {
        let shown = timeout_at(until, self.shown(&view)).await;
        let shown = shown.unwrap_or_else(|_| Err("there was no time left to ask it".to_owned()));
        let reported =
            view.board.heartbeat.agent.iter().flat_map(|agent| &agent.plugins).map(Installed::from);
        match shown {
            Ok(plugins) => Seen { view, plugins, why_not: None },
            Err(why_not) => Seen { plugins: reported.collect(), view, why_not: Some(why_not) },
        }
    }

    async fn shown(&self, view: &View) -> Result<Vec<Installed>, String> {
        if view.board.heartbeat.agent.is_none() {
            return Err("its agent speaks v1.1 alone and has no plugins".to_owned());
        }
        if view.board.state == State::Lost {
            return Err("it is lost".to_owned());
        }
        let agent = self.0.deployments.address(&view.board.id).map_err(|doubt| doubt.message)?;
        let _place = self.0.looks.acquire().await;
        self.look(agent).await
    }

    /// Asks an agent for its plugins.
    async fn look(&self, agent: std::net::SocketAddrV4) -> Result<Vec<Installed>, String> {
        let asked = self.0.agents.look(agent, "/plugins", LOOK, plugins::LIST_LIMIT);
        let answer = timeout(LOOK, asked).await;
        let answer = answer.map_err(|_| format!("the agent at {agent} did not answer within {LOOK:?}"))?;
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status {
            200 => plugins::list(&answer.body).map_err(|error| error.to_string()),
            status => Err(format!("the agent at {agent} answers {status}")),
        }
    }
}
