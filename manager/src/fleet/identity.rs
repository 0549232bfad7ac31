//! One identity of two agents: what a copied disk image makes.
//!
//! An agent of ours answers a query once, from the one address that the query came in on. So two heartbeats that have one
//! agent id and answer one query, and do not say the same of where they come from, are of two agents. Nothing else proves
//! it: a board on two networks answers one query from here and the next one from there, and boards move.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::board::LOST_AFTER_PERIODS;
use crate::clock::Moment;
use crate::model::{Heartbeat, Position, QueryId, Text};

/// Queries of which a board's answer is remembered. The latest is not enough: a manager on several networks sends a query
/// into each, and the answers of two boards to them come in any order.
const ANSWERS: usize = 4;

/// Agents of one identity that are told apart.
const CLAIMANTS: usize = 8;

/// An agent, as far as it is known without its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// Where it was asked.
    pub host_ip: Ipv4Addr,
    /// The name of its host.
    pub hostname: Text,
    /// Where it says it is.
    pub position: Position,
}

impl Claimant {
    /// Who sent this heartbeat.
    pub(super) fn of(heartbeat: &Heartbeat) -> Self {
        Self {
            host_ip: heartbeat.host_ip,
            hostname: heartbeat.hostname.clone(),
            position: heartbeat.position,
        }
    }
}

/// A heartbeat as the answer to a query.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) query: QueryId,
    pub(super) by: Claimant,
}

/// Who has the identity of one board.
#[derive(Debug, Default)]
pub(super) struct Identity {
    /// The first answer to each of the latest queries, the oldest first.
    answers: VecDeque<Answer>,
    /// More than one, or none. When it was last proved that they have it.
    claimants: Vec<(Claimant, Moment)>,
}

impl Identity {
    /// Takes an answer. Returns true if it is the first proof that two agents have this identity.
    pub(super) fn answered(&mut self, answer: Answer, at: Moment) -> bool {
        let Some(first) = self.answers.iter().find(|other| other.query == answer.query) else {
            if self.answers.len() >= ANSWERS {
                self.answers.pop_front();
            }
            self.answers.push_back(answer);
            return false;
        };
        if first.by == answer.by {
            return false;
        }
        let begins = self.claimants.is_empty();
        for claimant in [first.by.clone(), answer.by] {
            self.claimants.retain(|(other, _)| *other != claimant);
            self.claimants.insert(0, (claimant, at));
        }
        self.claimants.truncate(CLAIMANTS);
        begins
    }

    /// Forgets who was not proved to have it for long. Returns true if that settles it.
    pub(super) fn review(&mut self, now: Moment, period: Duration) -> bool {
        let lately = period.saturating_mul(LOST_AFTER_PERIODS);
        let before = self.claimants.len();
        self.claimants.retain(|(_, proved)| now.since(*proved) <= lately);
        // One that is left has nobody to share it with.
        if self.claimants.len() < 2 {
            self.claimants.clear();
        }
        before > 0 && self.claimants.is_empty()
    }

    /// The agents that have it, if there is more than one.
    pub(super) fn claimants(&self) -> impl Iterator<Item = &Claimant> {
        self.claimants.iter().map(|(claimant, _)| claimant)
    }
}
