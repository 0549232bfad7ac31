//! Every deployment that is wanted or was, and which of them are to be asked about. Plain state: no I/O, and every moment
//! is handed in.
//!
//! A change is made before it is recorded, and taken back if it cannot be: no other is made in between that knows nothing
//! of it.
//!
//! A change gets a revision. An answer is noted only if it is the answer to the latest change: what is said to a start
//! that was stopped meanwhile decides nothing.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::model::{Deployment, Desired, Outcome, Reply};

/// The pause before the second attempt. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The state.
pub(super) struct Book {
    slots: BTreeMap<String, Slot>,
    limit: usize,
    revision: u64,
}

struct Slot {
    deployment: Deployment,
    revision: u64,
    /// Attempts since the latest change.
    attempts: u32,
    /// When it may be asked about again.
    due: Instant,
    /// Somebody asks about it, or is about to.
    scheduled: bool,
    /// It is being forgotten: nobody asks, and no answer counts, until that is on the disk or turns out to be impossible.
    leaving: bool,
    /// Held by whoever asks.
    turn: Arc<Mutex<()>>,
    /// Breaks off whoever asks.
    interrupt: CancellationToken,
}

/// A change, to be taken back if it cannot be recorded.
pub(super) struct Change {
    uuid: String,
    revision: u64,
    before: Option<Deployment>,
}

/// One that made room, to be put back if that cannot be recorded.
pub(super) struct Dropped(Slot);

impl Dropped {
    pub(super) fn uuid(&self) -> &str {
        &self.0.deployment.uuid
    }
}

/// One that is being forgotten.
pub(super) struct Leaving {
    uuid: String,
    revision: u64,
}

/// A request that begins.
pub(super) struct Mark {
    pub(super) revision: u64,
    pub(super) interrupt: CancellationToken,
}

/// What there is to ask.
pub(super) enum Begun {
    Open(Box<Deployment>, Mark),
    /// Somebody got the answer meanwhile.
    Settled(Reply),
    Gone,
}

/// No room.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} deployments are kept and none of them is over; stop some, or forget those of boards that are gone"
)]
pub(super) struct Full(usize);

impl Book {
    pub(super) fn new(restored: Vec<Deployment>, limit: usize, now: Instant) -> Self {
        let mut book = Self { slots: BTreeMap::new(), limit, revision: 0 };
        for deployment in restored {
            let change = book.intend(deployment);
            if let Some(slot) = book.slots.get_mut(&change.uuid) {
                (slot.scheduled, slot.due) = (false, now);
            }
        }
        book
    }

    pub(super) fn get(&self, uuid: &str) -> Option<&Deployment> {
        self.slots.get(uuid).map(|slot| &slot.deployment)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Deployment> {
        self.slots.values().map(|slot| &slot.deployment)
    }

    pub(super) fn count(&self) -> (usize, usize) {
        (self.slots.len(), self.all().filter(|deployment| deployment.open).count())
    }

    /// Drops so many that are over, the oldest first, that there is room for these. Returns which.
    pub(super) fn make_room<'a>(
        &mut self,
        nexts: impl Iterator<Item = &'a Deployment>,
    ) -> Result<Vec<Dropped>, Full> {
        let (known, new): (Vec<_>, Vec<_>) =
            nexts.map(|next| next.uuid.as_str()).partition(|uuid| self.slots.contains_key(*uuid));
        let known: HashSet<&str> = known.into_iter().collect();
        let surplus = self.slots.len().saturating_add(new.len()).saturating_sub(self.limit);
        if surplus == 0 {
            return Ok(Vec::new());
        }
        let mut over: Vec<_> = self
            .all()
            .filter(|one| one.is_over() && !known.contains(one.uuid.as_str()))
            .map(|one| (one.ordered, one.uuid.clone()))
            .collect();
        if over.len() < surplus {
            return Err(Full(self.slots.len()));
        }
        over.sort_unstable();
        over.truncate(surplus);
        Ok(over.into_iter().filter_map(|(_, uuid)| self.slots.remove(&uuid)).map(Dropped).collect())
    }

    /// Puts back what made room, unless it was ordered again meanwhile.
    pub(super) fn put_back(&mut self, dropped: Vec<Dropped>) {
        for Dropped(slot) in dropped {
            self.slots.entry(slot.deployment.uuid.clone()).or_insert(slot);
        }
    }

    /// Notes what is wanted from now on. Whoever does that asks about it, too.
    pub(super) fn intend(&mut self, next: Deployment) -> Change {
        self.revision += 1;
        let (uuid, revision) = (next.uuid.clone(), self.revision);
        let Some(slot) = self.slots.get_mut(&uuid) else {
            let slot = Slot {
                deployment: next,
                revision,
                attempts: 0,
                due: Instant::now(),
                scheduled: true,
                leaving: false,
                turn: Arc::default(),
                interrupt: CancellationToken::new(),
            };
            self.slots.insert(uuid.clone(), slot);
            return Change { uuid, revision, before: None };
        };
        if next.desired == Desired::Stopped && slot.deployment.desired == Desired::Running {
            slot.interrupt.cancel();
        }
        let before = Some(std::mem::replace(&mut slot.deployment, next));
        (slot.revision, slot.attempts, slot.scheduled, slot.leaving) = (revision, 0, true, false);
        Change { uuid, revision, before }
    }

    /// Takes a change back, unless there was a later one.
    pub(super) fn revert(&mut self, change: Change, now: Instant) {
        let Some(slot) = self.slots.get_mut(&change.uuid).filter(|slot| slot.revision == change.revision)
        else {
            return;
        };
        match change.before {
            Some(before) => {
                slot.deployment = before;
                (slot.scheduled, slot.due) = (false, now + FIRST_PAUSE);
            }
            None => {
                self.slots.remove(&change.uuid);
            }
        }
    }

    /// Where to wait for the right to ask.
    pub(super) fn turn(&self, uuid: &str) -> Option<Arc<Mutex<()>>> {
        self.slots.get(uuid).map(|slot| Arc::clone(&slot.turn))
    }

    /// Begins to ask. The caller has the turn.
    pub(super) fn begin(&mut self, uuid: &str) -> Begun {
        let Some(slot) = self.slots.get_mut(uuid).filter(|slot| !slot.leaving) else { return Begun::Gone };
        if !slot.deployment.open {
            slot.scheduled = false;
            let Deployment { outcome, id, message, .. } = slot.deployment.clone();
            return Begun::Settled(Reply { outcome: outcome.unwrap_or(Outcome::Done), id, message });
        }
        slot.interrupt = CancellationToken::new();
        let mark = Mark { revision: slot.revision, interrupt: slot.interrupt.clone() };
        Begun::Open(Box::new(slot.deployment.clone()), mark)
    }

    /// Notes an answer to what was wanted then, and who gave it. Returns what is to be saved.
    pub(super) fn settle(
        &mut self,
        uuid: &str,
        revision: u64,
        (reply, agent): (&Reply, Option<SocketAddrV4>),
        now: Instant,
    ) -> Option<Deployment> {
        let slot = self.slots.get_mut(uuid).filter(|slot| slot.revision == revision && !slot.leaving)?;
        slot.deployment.settle(reply);
        if let Some(agent) = agent {
            slot.deployment.answered_by(agent, reply);
        }
        slot.deployment.answered = super::millis();
        slot.scheduled = false;
        slot.due = now + pause(slot.attempts);
        slot.attempts = slot.attempts.saturating_add(1);
        Some(slot.deployment.clone())
    }

    /// Up to so many that are to be asked about now. They are taken for scheduled.
    pub(super) fn due(&mut self, now: Instant, most: usize) -> Vec<String> {
        let is_due =
            |slot: &&mut Slot| slot.deployment.open && !slot.scheduled && !slot.leaving && slot.due <= now;
        let take = |slot: &mut Slot| {
            slot.scheduled = true;
            slot.deployment.uuid.clone()
        };
        self.slots.values_mut().filter(is_due).take(most).map(take).collect()
    }

    /// Begins to forget one, and breaks off whoever asks about it.
    pub(super) fn leave(&mut self, uuid: &str) -> Option<Leaving> {
        let slot = self.slots.get_mut(uuid)?;
        slot.leaving = true;
        slot.interrupt.cancel();
        Some(Leaving { uuid: uuid.to_owned(), revision: slot.revision })
    }

    /// Ends that: it is gone, unless it was ordered again meanwhile; or it stays, since that could not be recorded.
    pub(super) fn left(&mut self, leaving: &Leaving, recorded: bool, now: Instant) {
        let Some(slot) = self.slots.get_mut(&leaving.uuid).filter(|slot| slot.revision == leaving.revision)
        else {
            return;
        };
        if recorded {
            self.slots.remove(&leaving.uuid);
        } else {
            (slot.leaving, slot.scheduled, slot.due) = (false, false, now + FIRST_PAUSE);
        }
    }
}

fn pause(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts.min(16))).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{BoardId, Order};

    fn order() -> Order {
        Order {
            kind: "docker".into(),
            url: "u".into(),
            file: "f".into(),
            cpu: 1,
            memory: 0,
            gpu: 0,
            instance_id: None,
            index: None,
            name: None,
            options: "{}".into(),
        }
    }

    fn started(uuid: &str) -> Deployment {
        Deployment::start(None, uuid, &BoardId::from("b"), order(), 1).unwrap()
    }

    fn book(limit: usize) -> Book {
        Book::new(Vec::new(), limit, Instant::now())
    }

    fn begin(book: &mut Book, uuid: &str) -> Mark {
        match book.begin(uuid) {
            Begun::Open(_, mark) => mark,
            Begun::Settled(_) | Begun::Gone => panic!("{uuid} is not open"),
        }
    }

    #[test]
    fn a_stop_breaks_off_the_start_and_its_late_answer_decides_nothing() {
        let (mut book, now) = (book(9), Instant::now());
        book.intend(started("u"));
        let start = begin(&mut book, "u");
        let stop = book.get("u").unwrap().stop(2);
        book.intend(stop);
        assert!(start.interrupt.is_cancelled());
        assert_eq!(book.settle("u", start.revision, (&Reply::own(Outcome::Done, ""), None), now), None);
        assert!(book.get("u").unwrap().open && book.get("u").unwrap().desired == Desired::Stopped);
        let stop = begin(&mut book, "u");
        assert!(!stop.interrupt.is_cancelled());
        assert!(
            book.settle("u", stop.revision, (&Reply::own(Outcome::Done, ""), None), now).unwrap().is_over()
        );
    }

    #[test]
    fn what_is_open_is_due_after_a_pause_that_grows_and_only_once() {
        let (mut book, mut now) = (book(9), Instant::now());
        book.intend(started("u"));
        assert!(book.due(now + LONGEST_PAUSE, 9).is_empty(), "who ordered it asks");
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            let mark = begin(&mut book, "u");
            book.settle("u", mark.revision, (&Reply::own(Outcome::NoAnswer, ""), None), now);
            let pause = Duration::from_secs(pause);
            assert!(book.due(now + pause - Duration::from_millis(1), 9).is_empty());
            now += pause;
            assert_eq!(book.due(now, 9), ["u"]);
            assert!(book.due(now + LONGEST_PAUSE, 9).is_empty(), "it is being asked about");
        }
        let mark = begin(&mut book, "u");
        book.settle("u", mark.revision, (&Reply::own(Outcome::Failed, ""), None), now);
        assert!(book.due(now + LONGEST_PAUSE, 9).is_empty(), "what failed stays so");
    }

    #[test]
    fn a_change_that_was_not_recorded_is_taken_back_unless_there_was_another() {
        let (mut book, now) = (book(9), Instant::now());
        let first = book.intend(started("u"));
        let second = book.intend(started("u").stop(2));
        book.revert(first, now);
        assert_eq!(book.get("u").unwrap().desired, Desired::Stopped);
        book.revert(second, now);
        assert_eq!(book.get("u").unwrap().desired, Desired::Running);
        let new = book.intend(started("v"));
        book.revert(new, now);
        assert!(book.get("v").is_none());
    }

    #[test]
    fn restored_ones_are_due_at_once_if_they_are_open() {
        let now = Instant::now();
        let mut settled = started("s");
        settled.settle(&Reply::own(Outcome::Done, ""));
        let mut book = Book::new(vec![started("o"), settled], 9, now);
        assert_eq!((book.due(now, 9), book.count()), (vec!["o".to_owned()], (2, 1)));
    }

    #[test]
    fn a_full_book_drops_what_is_over_and_nothing_else() {
        let mut book = book(2);
        let mut over = started("a").stop(1);
        over.settle(&Reply::own(Outcome::Done, ""));
        book.intend(over);
        book.intend(started("b"));
        let room = |book: &mut Book, uuids: &[&str]| {
            let nexts: Vec<_> = uuids.iter().map(|uuid| started(uuid)).collect();
            book.make_room(nexts.iter())
        };
        let dropped = room(&mut book, &["c"]).unwrap();
        assert_eq!(dropped.iter().map(Dropped::uuid).collect::<Vec<_>>(), ["a"]);
        book.put_back(dropped);
        assert!(book.get("a").unwrap().is_over(), "that could not be recorded");
        assert!(room(&mut book, &["a", "c"]).is_err(), "one that is ordered again makes no room");
        let dropped = room(&mut book, &["c"]).unwrap();
        book.intend(started("a"));
        book.put_back(dropped);
        assert!(book.get("a").unwrap().open, "it was ordered again meanwhile");
        assert!(room(&mut book, &["c"]).is_err() && room(&mut book, &["a"]).unwrap().is_empty());
    }

    #[test]
    fn what_is_forgotten_goes_once_that_is_recorded_and_stays_if_it_cannot_be() {
        let (mut book, now) = (book(9), Instant::now());
        book.intend(started("u"));
        let asking = begin(&mut book, "u");
        let leaving = book.leave("u").unwrap();
        assert!(asking.interrupt.is_cancelled() && matches!(book.begin("u"), Begun::Gone));
        let done = Reply::own(Outcome::Done, "");
        assert_eq!(book.settle("u", asking.revision, (&done, None), now), None, "it would be written again");
        assert!(book.due(now + LONGEST_PAUSE, 9).is_empty());
        book.left(&leaving, false, now);
        assert!(book.get("u").unwrap().open);
        assert_eq!(book.due(now + LONGEST_PAUSE, 9), ["u"]);

        let leaving = book.leave("u").unwrap();
        book.intend(started("u").stop(2));
        book.left(&leaving, true, now);
        assert_eq!(book.get("u").unwrap().desired, Desired::Stopped, "that came later");
        let leaving = book.leave("u").unwrap();
        book.left(&leaving, true, now);
        assert!(book.get("u").is_none() && book.leave("u").is_none());
    }

    proptest! {
        /// In any order of orders, stops, answers and ticks nobody asks twice at once, and nothing open is left alone.
        #[test]
        fn every_open_deployment_is_asked_about_by_one(
            steps in prop::collection::vec((0..5_u8, 0..Outcome::ALL.len()), 1..60)
        ) {
            let (mut book, mut now) = (book(9), Instant::now());
            let mut asking: Option<Mark> = None;
            for (step, outcome) in steps {
                match step {
                    0 => if let Ok(next) = Deployment::start(book.get("u"), "u", &BoardId::from("b"), order(), 1) {
                        book.intend(next);
                    },
                    1 => if let Some(next) = book.get("u").map(|known| known.stop(2)) {
                        book.intend(next);
                    },
                    2 if asking.is_none() => if let Begun::Open(_, mark) = book.begin("u") {
                        asking = Some(mark);
                    },
                    3 => if let Some(mark) = asking.take() {
                        let was = book.get("u").cloned();
                        let settled = book.settle("u", mark.revision, (&Reply::own(Outcome::ALL[outcome], ""), None), now);
                        if settled.is_none() {
                            prop_assert_eq!(book.get("u"), was.as_ref());
                        }
                    },
                    _ => {
                        now += LONGEST_PAUSE;
                        let scheduled = book.slots.get("u").is_some_and(|slot| slot.scheduled);
                        let open = book.get("u").is_some_and(|known| known.open);
                        prop_assert_eq!(book.due(now, 9).len(), usize::from(open && !scheduled));
                    }
                }
            }
        }
    }
}
