//! Orders and a backend for the tests of this folder.

use super::order::{Order, Requirements};

pub(super) fn order(uuid: &str) -> Order {
    Order {
        uuid: uuid.to_owned(),
        kind: "fake".to_owned(),
        instance_id: String::new(),
        index: 0,
        name: uuid.to_owned(),
        url: "http://repo".to_owned(),
        file: "app".to_owned(),
        options: "{}".to_owned(),
        requirements: Requirements { cores: 1, shared: false, memory: 64 << 20, gpus: 0 },
    }
}

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::backend::{Backends, Fault, Found, Work};
use super::keeper::Attached;
use super::order::Id;
use crate::model::{InstanceState, Usage};

/// Something that runs, or ran, outside of the agent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thing {
    pub(super) id: u64,
    pub(super) state: InstanceState,
    pub(super) attached: String,
    pub(super) order: String,
}

/// What outlives the agent: an engine, and what it runs. Like a real one it makes one thing of a name, takes its time, and
/// finishes what it was asked although whoever asked is gone.
#[derive(Debug, Default)]
pub(super) struct Engine {
    pub(super) things: BTreeMap<String, Thing>,
    /// Asked for and not there yet.
    pub(super) pending: Vec<(String, Thing)>,
    pub(super) down: bool,
    /// Starts fail for these uuids.
    pub(super) broken: Vec<String>,
    pub(super) made: u64,
    /// How long each step takes.
    pub(super) pace: Duration,
    /// How long a backend thinks about an order.
    pub(super) slow_check: Duration,
}

/// A backend over that engine.
#[derive(Debug, Clone, Default)]
pub(super) struct Fake(Arc<Mutex<Engine>>);

impl Fake {
    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn step(&self) -> Result<(), Fault> {
        let pace = self.engine().pace;
        sleep(pace).await;
        match self.engine().down {
            true => Err(Fault::new("unreachable", "the engine does not answer")),
            false => Ok(()),
        }
    }

    /// What was asked for comes to be, unless the name is taken.
    pub(super) fn finish_pending(&self) {
        let mut engine = self.engine();
        for (uuid, thing) in std::mem::take(&mut engine.pending) {
            engine.things.entry(uuid).or_insert(thing);
        }
    }
}

fn found(uuid: &str, thing: &Thing) -> Found {
    Found {
        uuid: uuid.to_owned(),
        id: Id::Number(thing.id),
        name: uuid.to_owned(),
        state: thing.state,
        reason: None,
        usage: Usage::default(),
        record: Some(thing.attached.clone()),
    }
}

impl Backends for Fake {
    async fn kinds(&self) -> Vec<String> {
        vec!["fake".to_owned()]
    }

    async fn check(&self, order: &Order) -> Result<(), Fault> {
        let slow = self.engine().slow_check;
        sleep(slow).await;
        match order.file.as_str() {
            "" => Err(Fault::new("invalid", "file is empty")),
            _ => Ok(()),
        }
    }

    async fn start(&self, work: Work) -> Result<Found, Fault> {
        let record = work.cell.get();
        let uuid = record.order.uuid.clone();
        self.step().await?;
        let there = self.engine().things.get(&uuid).cloned();
        if there.is_none() {
            let attached = Attached { order: record.order.clone(), allocation: record.allocation.clone() };
            let thing = {
                let mut engine = self.engine();
                engine.made += 1;
                let attached = serde_json::to_string(&attached).unwrap();
                let order = record.order.digest();
                let thing = Thing { id: engine.made, state: InstanceState::Stopped, attached, order };
                engine.pending.push((uuid.clone(), thing.clone()));
                thing
            };
            // Whoever asked may be gone by now.
            self.step().await?;
            let mut engine = self.engine();
            engine.pending.retain(|(_, pending)| pending.id != thing.id);
            engine.things.entry(uuid.clone()).or_insert(thing);
        }
        self.step().await?;
        if self.engine().broken.contains(&uuid) {
            return Err(Fault::new("failed", "no such command"));
        }
        let mut engine = self.engine();
        let thing = engine.things.get_mut(&uuid).ok_or_else(|| Fault::new("failed", "it is gone"))?;
        thing.state = InstanceState::Running;
        Ok(found(&uuid, thing))
    }

    async fn stop(&self, work: Work) -> Result<(), Fault> {
        let uuid = work.cell.with(|record| record.order.uuid.clone());
        self.step().await?;
        if let Some(thing) = self.engine().things.get_mut(&uuid) {
            thing.state = InstanceState::Stopped;
        }
        self.step().await?;
        self.engine().things.remove(&uuid);
        self.step().await
    }

    async fn survey(&self, _kind: &str) -> Result<Vec<Found>, Fault> {
        self.step().await?;
        Ok(self.engine().things.iter().map(|(uuid, thing)| found(uuid, thing)).collect())
    }
}
