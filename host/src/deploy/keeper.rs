//! The one owner of all deployments: admits, starts drivers, compares what should be with what is.
//!
//! Everything here is decided at once, in memory, from records and surveys; what takes long is in drivers and surveys, which
//! send news. So two requests are never admitted against the same free cores.

mod adopt;
mod entry;
mod room;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::admission::{Capacity, Holder, admit};
use super::backend::{Backends, Fault, Found, Work};
use super::cell::Cell;
use super::compare::{Outage, Verdict, compare, ended as ended_phase};
use super::driver::{Driver, Driving, Intent, News};
use super::ledger::Ledger;
use super::order::{Allocation, Id, Order};
use super::record::{Outcome, Phase, Record};
use super::{Ends, Job, Reply};
use crate::model::{InstanceState, Progress};
use entry::{Entry, Wish};

/// How often it is looked what is really there.
const SURVEY: Duration = Duration::from_secs(2);
/// The same, for a backend that never answered and has nothing to do: most boards have no container engine.
const SELDOM: Duration = Duration::from_secs(30);
/// What was stopped is still looked for this long: an engine may finish what a killed agent had asked of it.
const LINGER: u64 = 120;
/// Deployments that are known at once. A report carries all of them.
pub(super) const MOST: usize = if cfg!(test) { 64 } else { 1024 };
/// Stopped ones that are remembered.
const STOPPED: usize = 256;
/// To whoever waits for a start.
const STOPPED_MEANWHILE: &str = "it was stopped while it was being started";
/// Orders that backends are asked about at once.
const CHECKS: usize = 256;

/// Owns the deployments.
pub struct Keeper<B, C> {
    backends: B,
    capacity: C,
    ledger: Arc<Ledger>,
    /// Which boot of the board this is.
    boot: String,
    damaged: usize,
    entries: BTreeMap<String, Entry>,
    /// Orders that their backend is asked about: a stop takes them back.
    checking: BTreeMap<u64, Order>,
    /// By backend: when it was asked last, whether it is being asked, whether it ever answered.
    surveys: BTreeMap<String, Surveyed>,
    /// Counts what changes, so that a survey from before a change is not held against it.
    clock: u64,
    news: (mpsc::UnboundedSender<News>, mpsc::UnboundedReceiver<News>),
    found: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    tasks: TaskTracker,
    ends: Ends,
}

#[derive(Debug, Default)]
struct Surveyed {
    asked: Option<Instant>,
    under_way: bool,
    answered: bool,
    complained: bool,
    /// The most instances without a record that were complained of.
    strangers: usize,
}

/// What comes back from tasks that are not drivers.
enum Event {
    Checked { check: u64, checked: Result<(), Fault>, reply: oneshot::Sender<Reply> },
    Surveyed { kind: String, began: u64, found: Result<Vec<Found>, Fault> },
}

impl<B, C> Keeper<B, C>
where
    B: Backends,
    C: Fn() -> Result<Capacity, String> + Send + 'static,
{
    /// Reads the records. `capacity` is asked at each admission; its error says why nothing can be deployed here.
    pub fn new(backends: B, capacity: C, ledger: Ledger, boot: String, ends: Ends) -> std::io::Result<Self> {
        let (records, damaged) = ledger.load()?;
        let ledger = Arc::new(ledger);
        let entry = |record: Record| {
            let outage = if record.boot == boot { Outage::Agent } else { Outage::Board };
            let uuid = record.order.uuid.clone();
            (uuid, Entry::new(Cell::new(record, Arc::clone(&ledger)), outage))
        };
        let entries = records.into_iter().map(entry).collect();
        let keeper = Self {
            backends,
            capacity,
            boot,
            damaged,
            entries,
            checking: BTreeMap::new(),
            surveys: BTreeMap::new(),
            clock: 0,
            news: mpsc::unbounded_channel(),
            found: mpsc::unbounded_channel(),
            tasks: TaskTracker::new(),
            ends,
            ledger,
        };
        // What was deployed is known from the first report on.
        keeper.publish();
        Ok(keeper)
    }

    /// Lets everybody know how they are. Before anybody is answered, so that whoever is answered sees what he was told.
    fn publish(&self) {
        self.ends.views.send_replace(Arc::new(self.views()));
    }

    /// Keeps them until told to stop. What is under way then is left as it is: the next start goes on from there.
    pub async fn run(mut self, stop: CancellationToken) {
        self.resume();
        self.publish();
        let kinds = tokio::select! {
            kinds = self.backends.kinds() => kinds,
            () = stop.cancelled() => return,
        };
        self.surveys.extend(kinds.into_iter().map(|kind| (kind, Surveyed::default())));
        let mut tick = interval(SURVEY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(news) = self.news.1.recv() => self.hear(news),
                Some(event) = self.found.1.recv() => self.happen(event),
                Some(job) = self.ends.jobs.recv() => self.take(job),
                _ = tick.tick() => self.survey(),
            }
            self.publish();
        }
    }

    /// Instead of running: answers everybody with the reason why nothing is deployed here.
    pub async fn refuse(mut self, reason: &str, stop: CancellationToken) {
        while let Some(Some(job)) = stop.run_until_cancelled(self.ends.jobs.recv()).await {
            let (Job::Start { reply, .. } | Job::Stop { reply, .. }) = job;
            answer(reply, Reply::new(Outcome::NotNow, reason));
        }
    }

    /// Goes on with what was under way when the agent ended.
    fn resume(&mut self) {
        let unfinished: Vec<String> = self
            .entries
            .iter()
            .filter(|(_, entry)| {
                entry.cell.with(|record| !record.phase.over() && record.phase != Phase::Running)
            })
            .map(|(uuid, _)| uuid.clone())
            .collect();
        for uuid in &unfinished {
            info!(uuid, "a deployment was under way when the agent ended; it goes on");
            self.drive(uuid, Intent::Resume, false);
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Start { order, reply } => self.check(order, reply),
            Job::Stop { kind, uuid, id, reply } => self.stop(&kind, &uuid, &id, reply),
        }
    }

    /// Asks the backend about the order, before anything is admitted.
    fn check(&mut self, order: Order, reply: oneshot::Sender<Reply>) {
        if !self.surveys.contains_key(&order.kind) {
            let known: Vec<_> = self.surveys.keys().map(String::as_str).collect();
            let message =
                format!("type {:?} is not served here; known are: {}", order.kind, known.join(", "));
            return answer(reply, Reply::new(Outcome::UnknownType, message));
        }
        if self.checking.len() >= CHECKS {
            let message = format!("{CHECKS} orders are looked at already; ask again");
            return answer(reply, Reply::new(Outcome::NotNow, message));
        }
        self.clock += 1;
        let check = self.clock;
        self.checking.insert(check, order.clone());
        let (backends, events) = (self.backends.clone(), self.found.0.clone());
        self.tasks.spawn(async move {
            let checked = backends.check(&order).await;
            // The keeper is gone when the agent stops.
            let _stopping = events.send(Event::Checked { check, checked, reply }).is_err();
        });
    }

    /// Takes back what is only being looked at yet: nothing but its uuid can mean it. Whether there was anything.
    fn take_back(&mut self, kind: &str, uuid: &str, id: &Id) -> bool {
        let before = self.checking.len();
        let meant =
            |order: &Order| order.uuid == uuid && order.kind == kind && *id == Id::Text(uuid.to_owned());
        self.checking.retain(|_, order| !meant(order));
        self.checking.len() < before
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Checked { check, checked, reply } => {
                let order = self.checking.remove(&check);
                self.publish();
                match (order, checked) {
                    (Some(order), Ok(())) => self.start(order, reply),
                    (Some(_), Err(fault)) => answer(reply, Reply::new(fault.outcome(), fault.detail)),
                    (None, _) => answer(reply, Reply::new(Outcome::Conflict, STOPPED_MEANWHILE)),
                }
            }
            Event::Surveyed { kind, began, found } => {
                let surveyed = self.surveys.entry(kind.clone()).or_default();
                surveyed.under_way = false;
                match found {
                    Ok(found) => {
                        surveyed.answered = true;
                        surveyed.complained = false;
                        self.compare(&kind, began, found);
                    }
                    Err(fault) => self.nothing_known(&kind, &fault),
                }
            }
        }
    }

    fn start(&mut self, order: Order, reply: oneshot::Sender<Reply>) {
        let uuid = order.uuid.clone();
        let mut again = false;
        if let Some(entry) = self.entries.get_mut(&uuid) {
            let record = entry.cell.get();
            let stopping = record.phase == Phase::Stopping || entry.is_told_to_stop();
            let same = record.order == order;
            again = record.phase.over() && entry.driving.is_none();
            match () {
                () if again => {}
                // Something is written down, or cleared away: that is soon over.
                () if record.phase.over() && !stopping => return entry.wait_with(order, reply),
                () if stopping => {
                    let message = "it is being stopped; order it again when it is STOPPED";
                    return answer(reply, Reply::new(Outcome::Conflict, message));
                }
                () if !same => {
                    let message = format!(
                        "{uuid} is deployed with other contents ({} from {}); stop it first",
                        record.order.file, record.order.url
                    );
                    return answer(reply, Reply::new(Outcome::Conflict, message));
                }
                () => {
                    entry.wait(Wish::Start, reply);
                    // What ran a moment ago is looked at again: the answer is about now.
                    if entry.driving.is_none() {
                        self.drive(&uuid, Intent::Resume, false);
                    }
                    return;
                }
            }
        }
        if !again && self.entries.len() >= MOST && !self.make_room() {
            let message = format!("{MOST} deployments are known here; stop some that ended");
            return answer(reply, Reply::new(Outcome::NoRoom, message));
        }
        let allocation = match self.admit(&order) {
            Ok(allocation) => allocation,
            Err(refusal) => return answer(reply, refusal),
        };
        let phase = if again { Phase::Clearing } else { Phase::Starting };
        let mut record = Record::new(order, allocation, phase);
        let before = self.entries.remove(&uuid).map(|entry| entry.cell.get());
        if let Some(before) = &before {
            // Earlier ids of the uuid go on to mean it.
            record.ids.clone_from(&before.ids);
            // What the backend wrote down is about what the earlier run left, among other things.
            record.notes.clone_from(&before.notes);
        }
        let mut entry = Entry::new(Cell::new(record.clone(), Arc::clone(&self.ledger)), Outage::None);
        entry.before = before;
        entry.wait(Wish::Start, reply);
        self.entries.insert(uuid.clone(), entry);
        self.drive(&uuid, Intent::Begin(Box::new(record)), false);
    }

    fn admit(&self, order: &Order) -> Result<Allocation, Reply> {
        let capacity = (self.capacity)().map_err(|reason| Reply::new(Outcome::NotNow, reason))?;
        let held: Vec<Record> = self
            .entries
            .values()
            .map(|entry| entry.cell.get())
            .filter(|record| record.phase.holds())
            .collect();
        let holders: Vec<Holder<'_>> = held.iter().map(holder).collect();
        admit(&capacity, order.requirements, &holders)
            .map_err(|refusal| Reply::new(Outcome::NoRoom, refusal.to_string()))
    }

    fn stop(&mut self, kind: &str, uuid: &str, id: &Id, reply: oneshot::Sender<Reply>) {
        let taken_back = self.take_back(kind, uuid, id);
        let Some(entry) = self.entries.get_mut(uuid) else {
            if taken_back {
                self.publish();
                return answer(reply, Reply::new(Outcome::Done, "stopped before it was begun"));
            }
            let message = format!("{uuid} is not deployed here");
            return answer(reply, Reply::new(Outcome::WrongInstance, message));
        };
        let record = entry.cell.get();
        let wrong = match () {
            () if record.order.kind != kind => format!("{uuid} is of type {:?}", record.order.kind),
            () if !record.is_meant_by(id) => format!("the id is not that of {uuid}; nothing was stopped"),
            () => String::new(),
        };
        if !wrong.is_empty() {
            return answer(reply, Reply::new(Outcome::WrongInstance, wrong));
        }
        if record.phase == Phase::Stopped && entry.driving.is_none() {
            return answer(reply, stopped(&record, "stopped already"));
        }
        entry.wait(Wish::Stop, reply);
        match &entry.driving {
            Some(driving) => driving.stop.cancel(),
            None => self.drive(uuid, Intent::Resume, true),
        }
    }

    /// Starts a driver; there must be none.
    fn drive(&mut self, uuid: &str, intent: Intent, to_stop: bool) {
        self.clock += 1;
        let Some(entry) = self.entries.get_mut(uuid) else { return };
        entry.touched = self.clock;
        let (stop, progress) = (CancellationToken::new(), Progress::default());
        if to_stop {
            stop.cancel();
        }
        let starts = !matches!(intent, Intent::Settle(_));
        entry.driving = Some(Driving { stop: stop.clone(), progress: progress.clone(), starts });
        let work = Work { cell: Arc::clone(&entry.cell), progress, cancelled: stop.clone() };
        let driver = Driver {
            backends: self.backends.clone(),
            work,
            stop,
            news: self.news.0.clone(),
            boot: self.boot.clone(),
        };
        self.tasks.spawn(driver.run(intent));
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Trouble { uuid, outcome, message } => {
                if let Some(entry) = self.entries.get_mut(&uuid) {
                    entry.unknown = outcome == Outcome::Unreachable;
                    entry.tell_all(|_| Reply::new(outcome, message.clone()));
                }
            }
            News::NotBegun { uuid, reason } => self.not_begun(&uuid, reason),
            News::Over { uuid, found } => self.over(&uuid, found),
        }
    }

    /// Nothing was done, so nothing is left of it; nor may there be a record of it, which could have been written all the same.
    fn not_begun(&mut self, uuid: &str, reason: String) {
        let Some(entry) = self.entries.get_mut(uuid) else { return };
        warn!(uuid, reason, "a deployment cannot be written down, so it is not begun");
        entry.tell_all(|_| Reply::new(Outcome::NoSpace, reason.clone()));
        let before = entry.before.take();
        let undone = self.ledger.undo(uuid, before.as_ref());
        if let Err(reason) = undone {
            warn!(uuid, reason, "nor can that be undone, so it is stopped for as long as it takes");
            entry.driving = None;
            return self.drive(uuid, Intent::Resume, true);
        }
        self.entries.remove(uuid);
        if let Some(before) = before {
            let cell = Cell::new(before, Arc::clone(&self.ledger));
            let entry = Entry { unknown: false, ..Entry::new(cell, Outage::None) };
            self.entries.insert(uuid.to_owned(), entry);
        }
    }

    fn over(&mut self, uuid: &str, found: Option<Found>) {
        self.clock += 1;
        let clock = self.clock;
        let Some(entry) = self.entries.get_mut(uuid) else { return };
        let told_to_stop = entry.is_told_to_stop();
        let record = entry.cell.get();
        entry.touched = clock;
        entry.driving = None;
        entry.before = None;
        entry.outage = Outage::None;
        entry.unknown = false;
        entry.seen_ended = false;
        entry.live = found;
        if told_to_stop && record.phase != Phase::Stopped {
            // The order to stop came when the driver had looked for the last time.
            return self.drive(uuid, Intent::Resume, true);
        }
        let waiting = std::mem::take(&mut entry.waiting);
        let then = std::mem::take(&mut entry.then);
        if record.phase == Phase::Stopped {
            info!(uuid, "stopped");
            self.forget();
        }
        self.publish();
        for (wish, waiting) in waiting {
            answer(waiting, over_reply(&record, wish));
        }
        for (order, reply) in then {
            self.start(order, reply);
        }
    }

    /// Asks every backend that may have something, each on its own, so that one that hangs delays no other.
    fn survey(&mut self) {
        let busy: BTreeSet<String> = self.entries.values().filter_map(Entry::surveyed_kind).collect();
        for (kind, surveyed) in &mut self.surveys {
            let due = match (busy.contains(kind), surveyed.asked) {
                (_, None) | (true, _) => true,
                (false, Some(asked)) => !surveyed.answered && asked.elapsed() >= SELDOM,
            };
            if !due || surveyed.under_way {
                continue;
            }
            surveyed.under_way = true;
            surveyed.asked = Some(Instant::now());
            let (backends, events) = (self.backends.clone(), self.found.0.clone());
            let (kind, began) = (kind.clone(), self.clock);
            self.tasks.spawn(async move {
                let found = backends.survey(&kind).await;
                let _stopping = events.send(Event::Surveyed { kind, began, found }).is_err();
            });
        }
    }

    /// A backend that does not answer changes nothing, but that nothing is known.
    fn nothing_known(&mut self, kind: &str, fault: &Fault) {
        let mut concerned = 0;
        for entry in self.entries.values_mut() {
            let runs = entry.cell.with(|record| record.order.kind == kind && record.phase == Phase::Running);
            if runs && entry.driving.is_none() {
                entry.unknown = true;
                if fault.unreachable() {
                    entry.outage = Outage::Engine;
                }
                concerned += 1;
            }
        }
        let surveyed = self.surveys.entry(kind.to_owned()).or_default();
        if concerned > 0 && !surveyed.complained {
            surveyed.complained = true;
            warn!(
                backend = kind,
                reason = fault.detail,
                deployments = concerned,
                "nothing is known of its deployments now"
            );
        }
    }

    fn compare(&mut self, kind: &str, began: u64, found: Vec<Found>) {
        let mut found: BTreeMap<String, Found> =
            found.into_iter().map(|found| (found.uuid.clone(), found)).collect();
        let mut verdicts = Vec::new();
        for (uuid, entry) in &mut self.entries {
            let record = entry.cell.get();
            if record.order.kind != kind {
                continue;
            }
            let there = found.remove(uuid);
            if entry.driving.is_some() || entry.touched > began {
                continue;
            }
            entry.unknown = false;
            verdicts.push((uuid.clone(), compare(&record, there.as_ref(), entry.outage)));
            entry.live = there;
        }
        for (uuid, verdict) in verdicts {
            self.follow(&uuid, verdict);
        }
        let strangers: Vec<Found> = found.into_values().filter_map(|lost| self.adopt(kind, lost)).collect();
        self.complain(kind, &strangers);
    }

    fn follow(&mut self, uuid: &str, verdict: Verdict) {
        let Some(entry) = self.entries.get_mut(uuid) else { return };
        match verdict {
            Verdict::Agreed => {
                entry.outage = Outage::None;
                entry.seen_ended = false;
            }
            Verdict::StartAgain => {
                info!(uuid, "it went down with the board or its engine; it is started again");
                self.drive(uuid, Intent::Resume, false);
            }
            // Somebody may be starting it again at this moment: it is looked at once more.
            Verdict::Ended(_) if !entry.seen_ended => entry.seen_ended = true,
            Verdict::Ended(phase) => {
                let reason = entry.live.as_ref().and_then(|live| live.reason.clone());
                warn!(uuid, reason, "it ended by itself");
                let mut record = entry.cell.get();
                record.enter(phase);
                // What it holds is free when that is written down, not before: a restart must not find it held twice.
                self.drive(uuid, Intent::Settle(Box::new(record)), false);
            }
            Verdict::Runs => self.take_in(uuid),
            Verdict::Remove => {
                warn!(uuid, "something is there that should not be; it is removed");
                self.drive(uuid, Intent::Resume, false);
            }
        }
    }
}

/// What is attached to everything that is made, so that it can be known without its record.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Attached {
    pub order: Order,
    pub allocation: Allocation,
}

fn holder(record: &Record) -> Holder<'_> {
    Holder {
        name: &record.order.name,
        uuid: &record.order.uuid,
        cores: record.order.requirements.cores,
        allocation: &record.allocation,
    }
}

/// To somebody who waited for the end of a driver.
fn over_reply(record: &Record, wish: Wish) -> Reply {
    match (&record.phase, wish) {
        (Phase::Running, _) => running(record),
        (Phase::Ended { outcome, reason, .. }, _) => {
            Reply::new(*outcome, reason.clone().unwrap_or_else(|| "it ended".to_owned()))
        }
        (_, Wish::Stop) => stopped(record, "stopped"),
        (_, Wish::Start) => Reply::new(Outcome::Conflict, STOPPED_MEANWHILE),
    }
}

fn running(record: &Record) -> Reply {
    Reply { outcome: Outcome::Done, message: "running".to_owned(), id: record.ids.last().cloned() }
}

fn stopped(record: &Record, message: &str) -> Reply {
    Reply { outcome: Outcome::Done, message: message.to_owned(), id: record.ids.last().cloned() }
}

fn answer(reply: oneshot::Sender<Reply>, with: Reply) {
    // Whoever asked may be gone; the deployment goes on.
    let _gone = reply.send(with).is_err();
}
