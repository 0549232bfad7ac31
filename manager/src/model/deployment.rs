//! A deployment as this manager wants it, and what its board answered.
//!
//! ```text
//!            order                       order again, or another where nothing came of the first
//!   (none) ────────▶ running, open ◀──────────────────────────────┐
//!                      │   ▲   └─ an answer that decides ─▶ running, settled
//!                 stop │   └───── the same order ──────────┐      │ stop
//!                      ▼                                   │      ▼
//!                    stopped, open ── an answer ──▶ stopped, settled
//! ```
//! *Open* means that the outcome is not known, so the board is asked again. *Settled* means that it is: what was refused
//! or failed stays so until somebody orders again.

use std::net::SocketAddrV4;

use super::BoardId;

/// What is to run, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which backend.
    pub kind: String,
    /// Where the software is.
    pub url: String,
    /// What it is called there.
    pub file: String,
    /// Cores.
    pub cpu: i64,
    /// Bytes.
    pub memory: u64,
    /// Accelerators.
    pub gpu: i64,
    /// The business instance.
    pub instance_id: Option<String>,
    /// Its number within the business instance.
    pub index: Option<i32>,
    /// What it is to be called.
    pub name: Option<String>,
    /// What only its backend understands, an object in JSON. May have secrets in it, so it is not shown.
    pub options: String,
}

/// What an instance is known by to its board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceId {
    /// Such as the number of a process.
    Number(u64),
    /// Such as the id of a container.
    Text(String),
}

impl std::fmt::Display for InstanceId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Text(text) => text.fmt(formatter),
        }
    }
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desired {
    /// It runs.
    Running,
    /// It does not run.
    Stopped,
}

impl Desired {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

/// How an order ended. The first thirteen are the document's results, in the order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// The request is malformed.
    Invalid,
    /// No backend of the board serves this type.
    UnknownType,
    /// The uuid is taken by another order.
    Conflict,
    /// The board has not got what is required.
    NoRoom,
    /// The id is not that of this uuid.
    WrongInstance,
    /// The software cannot be had.
    Artifact,
    /// It did not start, or did not stop.
    Failed,
    /// Who runs the instances does not answer the agent.
    Unreachable,
    /// Still under way.
    UnderWay,
    /// Not granted, by the board's operator or to this manager.
    Denied,
    /// The board's disk is full.
    NoSpace,
    /// The agent cannot deploy now.
    NotNow,
    /// The board did not answer, or not in time.
    NoAnswer,
    /// This manager knows no such board, or not which one is meant.
    UnknownBoard,
    /// This manager knows no such deployment.
    UnknownDeployment,
    /// What answers at the board's address does not deploy.
    NotAnAgent,
    /// The manager could not record the order, so nothing was asked.
    NotRecorded,
}

impl Outcome {
    /// Every one.
    pub const ALL: [Self; 18] = [
        Self::Done,
        Self::Invalid,
        Self::UnknownType,
        Self::Conflict,
        Self::NoRoom,
        Self::WrongInstance,
        Self::Artifact,
        Self::Failed,
        Self::Unreachable,
        Self::UnderWay,
        Self::Denied,
        Self::NoSpace,
        Self::NotNow,
        Self::NoAnswer,
        Self::UnknownBoard,
        Self::UnknownDeployment,
        Self::NotAnAgent,
        Self::NotRecorded,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Invalid => "invalid",
            Self::UnknownType => "unknown_type",
            Self::Conflict => "conflict",
            Self::NoRoom => "no_room",
            Self::WrongInstance => "wrong_instance",
            Self::Artifact => "artifact",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::UnderWay => "under_way",
            Self::Denied => "denied",
            Self::NoSpace => "no_space",
            Self::NotNow => "not_now",
            Self::NoAnswer => "no_answer",
            Self::UnknownBoard => "unknown_board",
            Self::UnknownDeployment => "unknown_deployment",
            Self::NotAnAgent => "not_an_agent",
            Self::NotRecorded => "not_recorded",
        }
    }

    /// What a word means.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// The document's number, where the document has it.
    pub fn code(self) -> Option<i64> {
        let place = Self::ALL.iter().position(|other| *other == self)?;
        i64::try_from(place).ok().filter(|code| *code <= 12)
    }

    /// Whether the order may still come to something, so that the board is asked again.
    const fn leaves_open(self, desired: Desired, asked_before: bool) -> bool {
        match self {
            Self::Unreachable | Self::UnderWay | Self::NoAnswer | Self::UnknownBoard => true,
            // A start of this deployment is under way there, or the agent is about to end.
            Self::Conflict => matches!(desired, Desired::Stopped),
            // Nothing is known of what an earlier request came to.
            Self::NotNow => asked_before || matches!(desired, Desired::Stopped),
            _ => false,
        }
    }

    /// Whether a start with this outcome left nothing on the board.
    const fn left_nothing(self) -> bool {
        matches!(
            self,
            Self::Invalid
                | Self::UnknownType
                | Self::Conflict
                | Self::NoRoom
                | Self::Denied
                | Self::NoSpace
                | Self::NotNow
                | Self::NotAnAgent
        )
    }
}

/// What came of one request, or of the attempt to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// How it ended.
    pub outcome: Outcome,
    /// What the instance is known by.
    pub id: Option<InstanceId>,
    /// For people.
    pub message: String,
}

impl Reply {
    /// A reply that the manager gives itself.
    pub fn own(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, id: None, message: message.into() }
    }
}

/// One deployment, as this manager wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The component instance.
    pub uuid: String,
    /// Where.
    pub board: BoardId,
    /// Which backend; unknown for what a plain agent reported and somebody stopped.
    pub kind: Option<String>,
    /// What is to run; none if somebody else started it, and it was only stopped here.
    pub order: Option<Order>,
    /// What is wanted.
    pub desired: Desired,
    /// The outcome is not known.
    pub open: bool,
    /// What the instance is known by, as the board last said.
    pub id: Option<InstanceId>,
    /// The latest answer since it was last ordered or stopped.
    pub outcome: Option<Outcome>,
    /// Its message.
    pub message: String,
    /// When it was last ordered or stopped, in milliseconds since 1970.
    pub ordered: i64,
    /// When this process was answered last, the same way; 0 if it was not. Not kept: what is reported after a restart is
    /// later.
    pub answered: i64,
    /// Where its agent answered for it last; until then, where its board was when it was ordered. Kept, since what is said
    /// of a board later may be forged.
    pub agent: Option<SocketAddrV4>,
}

/// Why an order is not taken: another one has this uuid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Taken {
    /// On another board.
    #[error("uuid {uuid} belongs to a deployment on board {board}; leave the uuid out and a new one is made")]
    Elsewhere {
        /// The uuid.
        uuid: String,
        /// The other board.
        board: BoardId,
    },
    /// With other contents.
    #[error(
        "uuid {0} was ordered with other contents; stop it first, or leave the uuid out and a new one is made"
    )]
    Otherwise(String),
    /// Its stop is not confirmed yet.
    #[error("uuid {0} is being stopped; order it again when that is done")]
    Stopping(String),
}

impl Deployment {
    /// An order for a uuid that may be known.
    pub fn start(
        known: Option<&Self>,
        uuid: &str,
        board: &BoardId,
        order: Order,
        now: i64,
    ) -> Result<Self, Taken> {
        if let Some(known) = known {
            known.admits(board, &order)?;
        }
        let same = known.filter(|known| known.board == *board && !known.is_over());
        Ok(Self {
            uuid: uuid.to_owned(),
            board: board.clone(),
            kind: Some(order.kind.clone()),
            order: Some(order),
            desired: Desired::Running,
            open: true,
            id: known.and_then(|known| known.id.clone()),
            outcome: None,
            message: String::new(),
            ordered: now,
            answered: 0,
            agent: same.and_then(|known| known.agent),
        })
    }

    fn admits(&self, board: &BoardId, order: &Order) -> Result<(), Taken> {
        let is_over = match self.desired {
            Desired::Stopped if self.open => return Err(Taken::Stopping(self.uuid.clone())),
            Desired::Stopped => self.outcome == Some(Outcome::Done),
            Desired::Running => !self.open && self.outcome.is_some_and(Outcome::left_nothing),
        };
        if is_over {
            return Ok(());
        }
        if self.board != *board {
            return Err(Taken::Elsewhere { uuid: self.uuid.clone(), board: self.board.clone() });
        }
        // What was stopped here without having been ordered here has no order to compare; its board compares.
        match &self.order {
            Some(known) if known != order => Err(Taken::Otherwise(self.uuid.clone())),
            _ => Ok(()),
        }
    }

    /// The same, to be stopped. One that is stopped stays as it is.
    #[must_use]
    pub fn stop(&self, now: i64) -> Self {
        let is_stopped = self.desired == Desired::Stopped && self.outcome == Some(Outcome::Done);
        if is_stopped {
            return self.clone();
        }
        Self {
            desired: Desired::Stopped,
            open: true,
            outcome: None,
            message: String::new(),
            ordered: now,
            answered: 0,
            ..self.clone()
        }
    }

    /// One that somebody else started, to be stopped.
    pub fn stop_stranger(uuid: &str, board: &BoardId, kind: Option<String>, now: i64) -> Self {
        Self {
            uuid: uuid.to_owned(),
            board: board.clone(),
            kind,
            order: None,
            desired: Desired::Stopped,
            open: true,
            id: None,
            outcome: None,
            message: String::new(),
            ordered: now,
            answered: 0,
            agent: None,
        }
    }

    /// The same, with where its board is now, if nothing is known of where its agent answered.
    #[must_use]
    pub fn at(self, agent: Option<SocketAddrV4>) -> Self {
        Self { agent: self.agent.or(agent), ..self }
    }

    /// Notes that this agent gave this reply. One that has nothing of it is not its agent.
    pub fn answered_by(&mut self, agent: SocketAddrV4, reply: &Reply) {
        let has_it = reply.outcome.code().is_some() && reply.outcome != Outcome::WrongInstance;
        if has_it && !reply.outcome.left_nothing() {
            self.agent = Some(agent);
        }
    }

    /// Notes what came of a request.
    pub fn settle(&mut self, reply: &Reply) {
        let asked_before = self.outcome.is_some();
        self.open = reply.outcome.leaves_open(self.desired, asked_before);
        self.outcome = Some(reply.outcome);
        self.message.clone_from(&reply.message);
        if let Some(id) = &reply.id {
            self.id = Some(id.clone());
        }
    }

    /// Whether its board has it, as far as this manager knows.
    pub fn is_held(&self) -> bool {
        self.desired == Desired::Running && self.outcome == Some(Outcome::Done)
    }

    /// Whether nobody needs it any more: it is stopped for good.
    pub fn is_over(&self) -> bool {
        self.desired == Desired::Stopped && !self.open && self.outcome == Some(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn order(file: &str) -> Order {
        Order {
            kind: "docker".into(),
            url: "u".into(),
            file: file.into(),
            cpu: 1,
            memory: 0,
            gpu: 0,
            instance_id: None,
            index: None,
            name: None,
            options: "{}".into(),
        }
    }

    fn start(known: Option<&Deployment>, file: &str) -> Result<Deployment, Taken> {
        Deployment::start(known, "u", &BoardId::from("b"), order(file), 7)
    }

    fn answered(mut deployment: Deployment, outcome: Outcome) -> Deployment {
        deployment.settle(&Reply::own(outcome, "m"));
        deployment
    }

    #[test]
    fn the_numbers_are_those_of_the_document_and_the_words_are_found() {
        assert_eq!(Outcome::ALL.map(Outcome::code)[..2], [Some(0), Some(1)]);
        assert_eq!((Outcome::NotNow.code(), Outcome::NoAnswer.code()), (Some(12), None));
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_name(outcome.name()), Some(outcome));
        }
    }

    #[test]
    fn the_same_order_is_taken_again_and_another_is_not() {
        let running = answered(start(None, "f").unwrap(), Outcome::Done);
        assert!(!running.open && start(Some(&running), "f").unwrap().open);
        assert_eq!(start(Some(&running), "g"), Err(Taken::Otherwise("u".into())));
        let elsewhere = Deployment::start(Some(&running), "u", &BoardId::from("c"), order("f"), 7);
        assert!(matches!(elsewhere, Err(Taken::Elsewhere { .. })));
        let refused = answered(start(None, "f").unwrap(), Outcome::NoRoom);
        assert!(start(Some(&refused), "g").is_ok(), "nothing came of the first");
        let failed = answered(start(None, "f").unwrap(), Outcome::Failed);
        assert!(!failed.open && start(Some(&failed), "g").is_err() && start(Some(&failed), "f").is_ok());
    }

    #[test]
    fn a_uuid_is_free_when_its_stop_is_confirmed_and_not_before() {
        let stopping = answered(start(None, "f").unwrap(), Outcome::Done).stop(8);
        assert_eq!(start(Some(&stopping), "f"), Err(Taken::Stopping("u".into())));
        let stopped = answered(stopping, Outcome::Done);
        assert!(stopped.is_over() && stopped.stop(9) == stopped);
        assert!(start(Some(&stopped), "g").is_ok());
    }

    #[test]
    fn where_its_agent_answered_is_kept_until_another_has_it() {
        let at = |last| SocketAddrV4::new([10, 0, 0, last].into(), 23980);
        let mut one = start(None, "f").unwrap().at(Some(at(1))).at(Some(at(2)));
        for outcome in [Outcome::NoRoom, Outcome::Denied, Outcome::NoAnswer, Outcome::WrongInstance] {
            one.answered_by(at(3), &Reply::own(outcome, "m"));
        }
        assert_eq!(one.agent, Some(at(1)), "whoever has nothing of it is not its agent");
        one.answered_by(at(5), &Reply::own(Outcome::UnderWay, "m"));
        let running = answered(one, Outcome::Done);
        assert_eq!(start(Some(&running), "f").unwrap().agent, Some(at(5)));
        let over = answered(running.stop(8), Outcome::Done);
        assert_eq!((over.agent, start(Some(&over), "f").unwrap().agent), (Some(at(5)), None));
    }

    #[test]
    fn an_agent_that_is_about_to_end_decides_a_first_request_and_no_later_one() {
        let first = answered(start(None, "f").unwrap(), Outcome::NotNow);
        assert!(!first.open);
        let later = answered(answered(start(None, "f").unwrap(), Outcome::NoAnswer), Outcome::NotNow);
        assert!(later.open);
    }

    proptest! {
        /// Whatever happens: only an answer settles, no refusal is asked again, and a stop is never forgotten.
        #[test]
        fn open_is_what_nobody_knows(steps in prop::collection::vec((0..3_u8, 0..Outcome::ALL.len()), 1..30)) {
            let mut now: Option<Deployment> = None;
            for (step, outcome) in steps {
                match (step, &now) {
                    (0, known) => if let Ok(next) = start(known.as_ref(), "f") {
                        prop_assert!(next.open && next.desired == Desired::Running && next.outcome.is_none());
                        now = Some(next);
                    } else {
                        prop_assert!(known.as_ref().is_some_and(|known| known.desired == Desired::Stopped && known.open));
                    },
                    (1, Some(known)) => {
                        let next = known.stop(9);
                        prop_assert!(next.desired == Desired::Stopped && (next.open || next.is_over()));
                        now = Some(next);
                    }
                    (2, Some(known)) if known.open => {
                        let outcome = Outcome::ALL[outcome];
                        let next = answered(known.clone(), outcome);
                        prop_assert_eq!(next.desired, known.desired);
                        prop_assert!(!(next.open && matches!(outcome, Outcome::Done | Outcome::Failed | Outcome::NoRoom | Outcome::Denied)));
                        prop_assert!(next.open || !matches!(outcome, Outcome::NoAnswer | Outcome::UnderWay | Outcome::Unreachable));
                        now = Some(next);
                    }
                    _ => {}
                }
            }
        }
    }
}
