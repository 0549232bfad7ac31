//! One accepted query, one POST. Never two: a report that fails is counted, and the next query asks again.
//!
//! ```text
//! Accepted -> waits for the first sample and its share of the spread -> body from the snapshot -> POST
//! ```
//!
//! | channel  | kind    | writer              | reader       |
//! |----------|---------|---------------------|--------------|
//! | queries  | mpsc    | discovery           | [`Reporter`] |
//! | results  | JoinSet | a task each report  | [`Reporter`] |
//!
//! Each report is a task of its own from the moment that it is due, so a manager that does not answer delays nobody; how
//! many wait and how many are under way is bounded, in all and for each manager; where there is no room, the manager with
//! the most makes it.

mod deliveries;
mod post;
mod share;
mod waiting;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{self, AbortHandle, JoinError, JoinSet};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::deploy::Deployments;
use crate::discovery::{Accepted, Subject};
use crate::protocol::report::{Agent, body};
use crate::sample::Board;
use crate::telemetry::Telemetry;
use deliveries::Deliveries;
use post::post;
use share::share;
use waiting::{Due, Waiting};

/// Reports under way.
const UNDER_WAY: usize = 64;
/// Of those, for one manager: it asks for two things, and may ask again before the first answers are out.
const UNDER_WAY_FOR_ONE: usize = 16;
/// A board that has no sample after this long has nothing to say yet.
const FIRST_SAMPLE: Duration = Duration::from_secs(10);
/// What is being sent when the agent stops may take this long.
const GRACE: Duration = Duration::from_secs(1);

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The manager answered 200.
    Delivered,
    /// No connection to the manager.
    Unreachable,
    /// The manager did not answer in time.
    Late,
    /// The connection broke, or the answer was not HTTP.
    Broken,
    /// The manager answered something other than 200.
    Refused,
    /// Not sent: too many are under way.
    Busy,
    /// Not sent: no probe has given a sample yet.
    Unready,
}

impl Outcome {
    pub const ALL: [Self; 7] = [
        Self::Delivered,
        Self::Unreachable,
        Self::Late,
        Self::Broken,
        Self::Refused,
        Self::Busy,
        Self::Unready,
    ];

    /// For logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Unreachable => "unreachable",
            Self::Late => "late",
            Self::Broken => "broken",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::Unready => "unready",
        }
    }
}

/// Answers queries.
pub struct Reporter {
    source: Arc<Source>,
    telemetry: Telemetry,
    waiting: Waiting,
    under_way: JoinSet<Report>,
    tasks: HashMap<task::Id, UnderWay>,
    deliveries: Deliveries,
}

/// A report that is being sent.
struct UnderWay {
    accepted: Accepted,
    task: AbortHandle,
}

impl UnderWay {
    /// The address alone: a port is chosen by whoever asks.
    fn manager(&self) -> Ipv4Addr {
        *self.accepted.query.manager.ip()
    }
}

/// What every report is made from.
struct Source {
    agent: Agent,
    board: Board,
    deployments: Deployments,
}

/// A report that is over.
struct Report {
    manager: SocketAddrV4,
    subject: Subject,
    result: Result<(), NotDelivered>,
    took: Duration,
}

/// Why a report did not arrive: the kind for the metrics, the text for the log.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
struct NotDelivered {
    outcome: Outcome,
    detail: String,
}

impl NotDelivered {
    fn new(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { outcome, detail: detail.into() }
    }
}

impl Reporter {
    pub fn new(agent: Agent, board: Board, deployments: Deployments, telemetry: Telemetry) -> Self {
        Self {
            source: Arc::new(Source { agent, board, deployments }),
            telemetry,
            waiting: Waiting::default(),
            under_way: JoinSet::new(),
            tasks: HashMap::new(),
            deliveries: Deliveries::default(),
        }
    }

    /// Answers until it is told to stop or nobody asks any more; what is under way then gets a short grace.
    pub async fn run(mut self, mut queries: mpsc::Receiver<Accepted>, stop: CancellationToken) {
        let board = self.source.board.clone();
        let first_sample = board.ready();
        tokio::pin!(first_sample);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.under_way.join_next_with_id() => self.ended(ended),
                () = &mut first_sample, if !self.waiting.is_ready() => self.waiting.ready(),
                query = queries.recv() => match query {
                    Some(accepted) => self.put_off(accepted),
                    None => break,
                },
                () = moment(self.waiting.wake()) => {}
            }
            while let Some(due) = self.waiting.pop(Instant::now()) {
                match due {
                    Due::Answer(accepted) => self.start(accepted),
                    Due::Unready(accepted) => {
                        self.not_sent(&accepted, Outcome::Unready, "no probe has given a sample yet");
                    }
                }
            }
        }
        let _over = time::timeout(GRACE, async {
            while let Some(ended) = self.under_way.join_next_with_id().await {
                self.ended(ended);
            }
        })
        .await;
        // Dropping the set aborts what is left.
    }

    fn put_off(&mut self, accepted: Accepted) {
        let share = share(self.source.agent.id, accepted.query.spread);
        if let Err(accepted) = self.waiting.put(accepted, share) {
            self.not_sent(&accepted, Outcome::Busy, "too many reports wait for their time");
        }
    }

    fn not_sent(&mut self, accepted: &Accepted, outcome: Outcome, why: &str) {
        self.note(&Report::over(accepted, Err(NotDelivered::new(outcome, why))));
    }

    fn start(&mut self, accepted: Accepted) {
        let own = self.of(*accepted.query.manager.ip());
        if own >= UNDER_WAY_FOR_ONE || self.tasks.len() >= UNDER_WAY && !self.make_room(own + 1) {
            return self.not_sent(&accepted, Outcome::Busy, "too many reports are under way");
        }
        let (source, query) = (Arc::clone(&self.source), accepted.clone());
        let task = self.under_way.spawn(async move {
            let result = source.answer(&query).await;
            Report::over(&query, result)
        });
        self.tasks.insert(task.id(), UnderWay { accepted, task });
    }

    fn of(&self, manager: Ipv4Addr) -> usize {
        self.tasks.values().filter(|other| other.manager() == manager).count()
    }

    /// Gives up the oldest report to the manager that has the most, and more than this, under way.
    fn make_room(&mut self, most: usize) -> bool {
        let by_size = |(_, under_way): &(&task::Id, &UnderWay)| {
            (self.of(under_way.manager()), Reverse(under_way.accepted.received))
        };
        let greediest = self.tasks.iter().max_by_key(by_size);
        let gives_way = greediest.filter(|(_, task)| self.of(task.manager()) > most).map(|(id, _)| *id);
        let Some(UnderWay { accepted, task }) = gives_way.and_then(|id| self.tasks.remove(&id)) else {
            return false;
        };
        task.abort();
        self.not_sent(&accepted, Outcome::Busy, "gave way to the report of another manager");
        true
    }

    fn ended(&mut self, ended: Result<(task::Id, Report), JoinError>) {
        match ended {
            // One that was given up while it ended is noted already.
            Ok((id, report)) if self.tasks.remove(&id).is_some() => self.note(&report),
            Ok(_) => {}
            Err(error) => _ = self.tasks.remove(&error.id()),
        }
    }

    fn note(&mut self, report: &Report) {
        let outcome = report.outcome();
        self.telemetry.report(report.subject, outcome, report.took);
        self.deliveries.note(report, Instant::now());
    }
}

impl Report {
    fn over(accepted: &Accepted, result: Result<(), NotDelivered>) -> Self {
        Self {
            manager: accepted.query.manager,
            subject: accepted.query.subject,
            result,
            took: accepted.received.elapsed(),
        }
    }

    fn outcome(&self) -> Outcome {
        match &self.result {
            Ok(()) => Outcome::Delivered,
            Err(error) => error.outcome,
        }
    }
}

impl Source {
    async fn answer(&self, accepted: &Accepted) -> Result<(), NotDelivered> {
        // Made now, not when the query came: the readings are as fresh as they can be.
        let (snapshot, plugins) = (self.board.snapshot(), self.board.plugins());
        let body = body(&self.agent, accepted, &snapshot, &plugins, &self.deployments.views());
        post(accepted.host_ip, accepted.query.manager, accepted.query.subject.path(), body).await
    }
}

/// Waits until then; for ever, where there is no such moment.
async fn moment(then: Option<Instant>) {
    match then {
        Some(then) => time::sleep_until(then.into()).await,
        None => std::future::pending().await,
    }
}
