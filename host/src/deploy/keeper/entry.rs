//! One deployment in the keeper's hands.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::LINGER;
use crate::deploy::Reply;
use crate::deploy::backend::Found;
use crate::deploy::cell::Cell;
use crate::deploy::compare::Outage;
use crate::deploy::driver::Driving;
use crate::deploy::order::Order;
use crate::deploy::record::{Outcome, Phase, Record};

/// Those who wait for one deployment.
const WAITING: usize = 64;

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Start,
    Stop,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) cell: Arc<Cell>,
    /// Of the order.
    pub(super) digest: String,
    /// The record of the run before, until this one is written down.
    pub(super) before: Option<Record>,
    pub(super) driving: Option<Driving>,
    pub(super) waiting: Vec<(Wish, oneshot::Sender<Reply>)>,
    /// Orders that wait for the end of what is under way.
    pub(super) then: Vec<(Order, oneshot::Sender<Reply>)>,
    /// What a survey or the driver saw last.
    pub(super) live: Option<Found>,
    /// Nothing is known of it now.
    pub(super) unknown: bool,
    /// What was down since it was seen running.
    pub(super) outage: Outage,
    /// The survey before found it ended.
    pub(super) seen_ended: bool,
    /// When something was done about it, on the keeper's clock.
    pub(super) touched: u64,
}

impl Entry {
    pub(super) fn new(cell: Cell, outage: Outage) -> Self {
        Self {
            digest: cell.with(|record| record.order.digest()),
            cell: Arc::new(cell),
            before: None,
            driving: None,
            waiting: Vec::new(),
            then: Vec::new(),
            live: None,
            // Until the first survey.
            unknown: true,
            outage,
            seen_ended: false,
            touched: 0,
        }
    }

    pub(super) fn is_told_to_stop(&self) -> bool {
        self.driving.as_ref().is_some_and(|driving| driving.stop.is_cancelled())
    }

    /// Lets somebody wait for the end of what is under way. Those who are gone make room; there is an end to how many wait.
    pub(super) fn wait(&mut self, wish: Wish, reply: oneshot::Sender<Reply>) {
        self.waiting.retain(|(_, waiting)| !waiting.is_closed());
        match self.waiting.len() < WAITING {
            true => self.waiting.push((wish, reply)),
            false => crowded(reply),
        }
    }

    /// The same, with an order for afterwards.
    pub(super) fn wait_with(&mut self, order: Order, reply: oneshot::Sender<Reply>) {
        self.then.retain(|(_, waiting)| !waiting.is_closed());
        match self.then.len() < WAITING {
            true => self.then.push((order, reply)),
            false => crowded(reply),
        }
    }

    /// Answers everybody who waits.
    pub(super) fn tell_all(&mut self, reply: impl Fn(Wish) -> Reply) {
        for (wish, waiting) in self.waiting.drain(..) {
            // Whoever asked may be gone.
            let _gone = waiting.send(reply(wish)).is_err();
        }
    }

    /// The backend that must be asked for its sake.
    pub(super) fn surveyed_kind(&self) -> Option<String> {
        let needed = |record: &Record| match record.phase {
            Phase::Stopped => record.age() < LINGER,
            _ => true,
        };
        self.cell.with(|record| needed(record).then(|| record.order.kind.clone()))
    }
}

fn crowded(reply: oneshot::Sender<Reply>) {
    // Whoever asked may be gone.
    let _gone = reply.send(Reply::new(Outcome::UnderWay, "under way, and many wait for it already")).is_err();
}
