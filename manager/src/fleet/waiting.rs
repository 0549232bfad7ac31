//! Resource reports whose board is not known yet.
//!
//! The manager asks for heartbeats first, but after its start, or when a board joins between two queries, the readings
//! can come before the identity. They wait here for it: few, for a short time, and the oldest makes room.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::model::{BoardId, ResourceHead};

/// Reports that wait at the same time.
const LIMIT: usize = 1024;

/// Memory for them.
const WEIGHT_LIMIT: usize = 32 << 20;

/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who sent a resource report.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Sender {
    /// An agent of ours.
    Agent(BoardId),
    /// A plain agent, of which the report says no more.
    Address(Ipv4Addr),
}

/// A report that waits, with what came with it.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) head: ResourceHead,
    pub(super) at: Moment,
    pub(super) via: Option<Ipv4Addr>,
    pub(super) body: Arc<[u8]>,
}

impl Waiter {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.body.len()
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_sender: HashMap<Sender, Waiter>,
    /// In the order of their coming.
    order: VecDeque<Sender>,
    weight: usize,
}

impl Waiting {
    /// Keeps a report, in place of an older one of the same sender.
    pub(super) fn put(&mut self, sender: Sender, waiter: Waiter) {
        self.take(&sender);
        self.weight += waiter.weight();
        self.order.push_back(sender.clone());
        self.by_sender.insert(sender, waiter);
        while self.order.len() > LIMIT || self.weight > WEIGHT_LIMIT {
            let Some(oldest) = self.order.front().cloned() else {
                break;
            };
            self.take(&oldest);
        }
    }

    /// Gives out the report of a sender.
    pub(super) fn take(&mut self, sender: &Sender) -> Option<Waiter> {
        let waiter = self.by_sender.remove(sender)?;
        self.order.retain(|other| other != sender);
        self.weight -= waiter.weight();
        Some(waiter)
    }

    /// Drops what nobody came for.
    pub(super) fn expire(&mut self, now: Moment) {
        while let Some(oldest) = self.order.front().cloned() {
            if self.by_sender.get(&oldest).is_some_and(|waiter| now.since(waiter.at) <= PATIENCE) {
                break;
            }
            self.take(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Summary;

    fn waiter(at: i64) -> Waiter {
        let head = ResourceHead { host_ip: Ipv4Addr::LOCALHOST, agent: None, summary: Summary::default() };
        Waiter { head, at: Moment::from_millis(at), via: None, body: Arc::from(&b"{}"[..]) }
    }

    fn address(number: usize) -> Sender {
        Sender::Address(Ipv4Addr::from(u32::try_from(number).unwrap()))
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut waiting = Waiting::default();
        (0..LIMIT + 1).for_each(|number| waiting.put(address(number), waiter(0)));
        assert!(waiting.take(&address(0)).is_none());
        assert!(waiting.take(&address(LIMIT)).is_some());
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut waiting = Waiting::default();
        waiting.put(address(1), waiter(0));
        waiting.put(address(2), waiter(50_000));
        waiting.expire(Moment::from_millis(60_001));
        assert!(waiting.take(&address(1)).is_none());
        assert!(waiting.take(&address(2)).is_some());
        assert_eq!((waiting.order.len(), waiting.weight), (0, 0));
    }

    #[test]
    fn a_newer_report_takes_the_place_of_the_older() {
        let mut waiting = Waiting::default();
        waiting.put(address(1), waiter(1));
        waiting.put(address(1), waiter(2));
        assert_eq!(waiting.take(&address(1)).unwrap().at, Moment::from_millis(2));
        assert!(waiting.take(&address(1)).is_none());
    }
}
