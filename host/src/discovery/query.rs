//! A query as the agent understands it.

use std::net::SocketAddrV4;
use std::time::Duration;

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Who the board is.
    Heartbeat,
    /// How the board is.
    Resource,
}

impl Subject {
    /// The path that the report is posted to.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Heartbeat => "/heartbeat",
            Self::Resource => "/resource",
        }
    }
}

/// What a manager asks, and where it wants the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub manager: SocketAddrV4,
    pub subject: Subject,
    /// The manager understands `data.cardcage`.
    pub extended: bool,
    /// The same for every copy of one query.
    pub query_id: Option<Box<str>>,
    /// The fleet's answers are wanted spread over this time.
    pub spread: Duration,
}
