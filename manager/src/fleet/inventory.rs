//! Every board there is, and the rules by which reports, queries and time change them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::board::{Entry, PerSubject, Received, Round};
use super::claims::{Claims, Thing};
use super::event::Event;
use super::identity::Answer;
use super::room::Limits;
use super::waiting::{Sender, Waiter, Waiting};
use crate::clock::Moment;
use crate::model::{BoardId, Heartbeat, ResourceHead, State, Subject};

/// How and when a report came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receipt<'a> {
    /// When.
    pub at: Moment,
    /// The address of ours that it came in on.
    pub via: Option<Ipv4Addr>,
    /// Its bytes.
    pub body: &'a Arc<[u8]>,
}

/// What became of a report that is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is the board's latest.
    Kept,
    /// Its board is not known yet; it waits.
    Waiting,
    /// Several boards have its address. Readings of the wrong board would be worse than none, so nobody gets it.
    Ambiguous,
}

/// Why a report that follows the protocol is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// One board too many.
    #[error("the inventory has its {0} boards, and no lost one makes room")]
    Boards(usize),
    /// Too much memory.
    #[error("the boards' reports need more than {0} bytes, and no lost board makes room")]
    Weight(usize),
}

/// The state behind [`super::Fleet`].
#[derive(Debug)]
pub(super) struct Inventory {
    pub(super) heartbeat_every: Duration,
    pub(super) limits: Limits,
    pub(super) boards: HashMap<BoardId, Entry>,
    /// The same boards, for those who go through them in pages.
    pub(super) order: BTreeSet<BoardId>,
    /// Memory for what all of them said.
    pub(super) weight: usize,
    pub(super) claims: Claims,
    waiting: Waiting,
    /// The latest query on each subject, while it can still be answered.
    rounds: PerSubject<Option<Round>>,
    /// Every address that a query was ever sent from.
    asked_from: Vec<Ipv4Addr>,
    /// Boards that are gone, but not yet from the store. One that never came there is not among them, so they are no more
    /// than the store has, however long it fails.
    pub(super) forgotten: HashSet<BoardId>,
    /// Boards that made room for others, until somebody asks.
    pub(super) evicted: usize,
    /// It is known that no board is lost.
    pub(super) nobody_lost: bool,
}

impl Inventory {
    /// An empty one.
    pub(super) fn new(heartbeat_every: Duration, limits: Limits) -> Self {
        Self {
            heartbeat_every,
            limits,
            boards: HashMap::new(),
            order: BTreeSet::new(),
            weight: 0,
            claims: Claims::default(),
            waiting: Waiting::default(),
            rounds: PerSubject::default(),
            asked_from: Vec::new(),
            forgotten: HashSet::new(),
            evicted: 0,
            nobody_lost: false,
        }
    }

    /// Takes a heartbeat, and what it answers. That a board answers counts also where there is no room for what it says.
    pub(super) fn heartbeat(
        &mut self,
        report: &Arc<Heartbeat>,
        answer: Option<Answer>,
        receipt: Receipt<'_>,
    ) -> (Vec<Event>, Result<(), Refused>) {
        let id = BoardId::of(report);
        let via = self.queried(receipt.via);
        let Some(entry) = self.boards.get_mut(&id) else {
            return match self.admit(id, report, answer, receipt) {
                Ok(new) => (vec![new], Ok(())),
                Err(refused) => (Vec::new(), Err(refused)),
            };
        };
        let before = self.claims.follow(entry, |entry| {
            entry.heard_at(report.host_ip, receipt.at);
            entry.answered(Subject::Heartbeat, receipt.at, via)
        });
        let mut events = changed(&id, Some(before), State::Up);
        if answer.is_some_and(|answer| entry.identity.answered(answer, receipt.at)) {
            let addresses = entry.identity.claimants().map(|claimant| claimant.host_ip).collect();
            events.push(Event::CopiedIdentity { id: id.clone(), addresses });
        }
        let changes = *entry.board.heartbeat != **report;
        let taken = if changes { self.replace(&id, report, receipt.body) } else { Ok(()) };
        (events, taken)
    }

    /// Keeps what a known board says of itself now.
    fn replace(&mut self, id: &BoardId, report: &Arc<Heartbeat>, body: &Arc<[u8]>) -> Result<(), Refused> {
        self.reweigh(id, Subject::Heartbeat, report.weight(body.len()))?;
        if let Some(entry) = self.boards.get_mut(id) {
            self.claims.follow(entry, |entry| entry.board.heartbeat = Arc::clone(report));
            entry.unsaved.heartbeat = Some(Arc::clone(body));
        }
        Ok(())
    }

    /// Takes the first heartbeat of a board.
    fn admit(
        &mut self,
        id: BoardId,
        report: &Arc<Heartbeat>,
        answer: Option<Answer>,
        receipt: Receipt<'_>,
    ) -> Result<Event, Refused> {
        let weight = report.weight(receipt.body.len());
        self.room_for_board(&id)?;
        self.room_for_bytes(weight, &id)?;
        let mut entry = Entry::new(id.clone(), Arc::clone(report), receipt.at);
        entry.weight.heartbeat = weight;
        self.weight += weight;
        if let Some(answer) = answer {
            entry.identity.answered(answer, receipt.at);
        }
        entry.answered(Subject::Heartbeat, receipt.at, self.queried(receipt.via));
        entry.unsaved.heartbeat = Some(Arc::clone(receipt.body));
        self.insert(id.clone(), entry, receipt.at);
        self.receive_waiting(&id, report);
        let (hostname, position) = (report.hostname.to_string(), report.position);
        Ok(Event::New { id, hostname, position, address: report.host_ip })
    }

    pub(super) fn insert(&mut self, id: BoardId, mut entry: Entry, at: Moment) {
        entry.heard_at(entry.board.heartbeat.host_ip, at);
        self.claims.enter(&entry.board);
        self.order.insert(id.clone());
        self.boards.insert(id, entry);
    }

    /// Gives a new board the readings that came before it.
    fn receive_waiting(&mut self, id: &BoardId, heartbeat: &Heartbeat) {
        let sender = match heartbeat.agent {
            Some(_) => Sender::Agent(id.clone()),
            None => Sender::Address(heartbeat.host_ip),
        };
        if let Some(Waiter { head, at, via, body }) = self.waiting.take(&sender) {
            // If there is no room for it now, the next one comes soon.
            let _ = self.resource(head, Receipt { at, via, body: &body });
        }
    }

    /// Takes a resource report. An answer counts as for a heartbeat.
    pub(super) fn resource(&mut self, head: ResourceHead, receipt: Receipt<'_>) -> Result<Taken, Refused> {
        let Receipt { at, body, .. } = receipt;
        let via = self.queried(receipt.via);
        let id = match self.owner(&head) {
            Owner::Board(id) => id,
            Owner::Ambiguous => return Ok(Taken::Ambiguous),
            Owner::Unknown(sender) => {
                self.waiting.put(sender, Waiter { head, at, via: receipt.via, body: Arc::clone(body) });
                return Ok(Taken::Waiting);
            }
        };
        if let Some(entry) = self.boards.get_mut(&id) {
            entry.answered(Subject::Resource, at, via);
            self.claims.follow(entry, |entry| entry.heard_at(head.host_ip, at));
        }
        self.reweigh(&id, Subject::Resource, body.len())?;
        if let Some(entry) = self.boards.get_mut(&id) {
            entry.unsaved.resource = true;
            entry.board.resource = Some(Received { body: Arc::clone(body), at, summary: head.summary });
        }
        Ok(Taken::Kept)
    }

    /// Whose report it is. A plain one says only an address, so it belongs to the one board there: best to a live and
    /// plain one, since agents of ours sign theirs.
    fn owner(&self, head: &ResourceHead) -> Owner {
        if let Some(agent) = head.agent {
            let id = BoardId::of_agent(agent);
            return if self.boards.contains_key(&id) {
                Owner::Board(id)
            } else {
                Owner::Unknown(Sender::Agent(id))
            };
        }
        // They stand in this order, so the first of them decides, unless the second counts as much.
        let mut holders = self.claims.holders(Thing::Address(head.host_ip));
        match (holders.next(), holders.next()) {
            (None, _) => Owner::Unknown(Sender::Address(head.host_ip)),
            (Some((first, _)), Some((second, _))) if first == second => Owner::Ambiguous,
            (Some((_, id)), _) => Owner::Board(id.clone()),
        }
    }

    /// The address, if our queries come from it. Behind a translation of addresses they do not, and then nothing is
    /// known of the way to that board.
    fn queried(&self, via: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        via.filter(|via| self.asked_from.contains(via))
    }

    /// Ends the open round of a subject, and judges everybody.
    pub(super) fn close(&mut self, subject: Subject, now: Moment) -> Vec<Event> {
        let (round, period) = (self.rounds.of(subject).take(), self.heartbeat_every);
        let mut events = Vec::new();
        for (id, entry) in &mut self.boards {
            if let Some(round) = &round {
                entry.round_over(subject, round);
            }
            if subject == Subject::Heartbeat {
                let before = self.claims.follow(entry, |entry| {
                    entry.give_up_addresses(now, period);
                    entry.judge(now, period)
                });
                events.extend(changed(id, before, entry.board.state));
                if entry.identity.review(now, period) {
                    events.push(Event::SettledIdentity(id.clone()));
                }
            }
        }
        if subject == Subject::Heartbeat {
            self.nobody_lost = false;
            self.waiting.expire(now);
            events.extend(self.claims.review().into_iter().map(Event::Claims));
        }
        events
    }

    /// Begins a round. One that could be sent from nowhere is none: nobody can miss it.
    pub(super) fn asked(&mut self, subject: Subject, sent_at: Moment, from: Vec<Ipv4Addr>) {
        for address in &from {
            if !self.asked_from.contains(address) {
                self.asked_from.push(*address);
            }
        }
        *self.rounds.of(subject) = (!from.is_empty()).then_some(Round { sent_at, from });
    }

    /// Drops a board.
    pub(super) fn forget(&mut self, id: &str) -> bool {
        let Some((id, entry)) = self.boards.remove_entry(id) else {
            return false;
        };
        self.order.remove(&id);
        self.weight -= entry.weight.heartbeat + entry.weight.resource;
        self.claims.leave(&entry.board);
        if entry.stored {
            self.forgotten.insert(id);
        }
        true
    }
}

/// Whose a resource report is.
enum Owner {
    Board(BoardId),
    Unknown(Sender),
    Ambiguous,
}

fn changed(id: &BoardId, before: Option<State>, now: State) -> Vec<Event> {
    let before = before.filter(|before| *before != now);
    before.map(|from| Event::Changed { id: id.clone(), from, to: now }).into_iter().collect()
}
