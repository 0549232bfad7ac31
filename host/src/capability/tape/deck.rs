//! Where a recording is made or played.

use std::any::type_name;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::to_raw_value;
use wasmtime::component::Resource;

use super::fault::{Fault, Thing};
use super::player::{Index, Player};
use super::recording::{Call, Header, Outcome, Recording, Stage};
use crate::plugin::bindings::cardcage::types::errors::Error;

/// What an instance is recorded on or played from, if anything: the agent itself does neither.
#[derive(Debug, Clone, Default)]
pub struct Tape(Option<Arc<Mutex<Deck>>>);

#[derive(Debug)]
struct Deck {
    mode: Mode,
    /// What was asked for the resources that are open.
    opened: HashMap<(&'static str, u32), Value>,
    /// Of the next resource, where no capability numbers them.
    next: u32,
}

#[derive(Debug)]
enum Mode {
    Recording(Recording),
    Playing(Player, Option<Fault>),
}

/// What a host call answers.
pub trait Answer: Serialize + DeserializeOwned {
    /// What is answered where there is no answer, to a question after so many things.
    fn failed(error: Error, things: usize) -> Self;
    /// Makes the part fail that belongs to one of the things.
    fn strike(&mut self, thing: usize, error: Error);
}

impl<T: Serialize + DeserializeOwned> Answer for Result<T, Error> {
    fn failed(error: Error, _: usize) -> Self {
        Err(error)
    }

    fn strike(&mut self, _: usize, error: Error) {
        *self = Err(error);
    }
}

impl<T: Serialize + DeserializeOwned> Answer for Vec<Result<T, Error>> {
    fn failed(error: Error, things: usize) -> Self {
        (0..things).map(|_| Err(error.clone())).collect()
    }

    fn strike(&mut self, thing: usize, error: Error) {
        if let Some(part) = self.get_mut(thing) {
            *part = Err(error);
        }
    }
}

impl Tape {
    pub fn recording(header: Header) -> Self {
        Self::new(Mode::Recording(Recording::new(header)))
    }

    /// Plays a recording, in which something may fail that did not.
    pub fn playing(index: Arc<Index>, fault: Option<Fault>) -> Self {
        Self::new(Mode::Playing(Player::new(index), fault))
    }

    fn new(mode: Mode) -> Self {
        Self(Some(Arc::new(Mutex::new(Deck { mode, opened: HashMap::new(), next: 0 }))))
    }

    pub const fn is_off(&self) -> bool {
        self.0.is_none()
    }

    fn deck(&self) -> Option<MutexGuard<'_, Deck>> {
        self.0.as_ref().map(|deck| deck.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A stage begins.
    pub fn begin(&self, stage: Stage) {
        match self.deck().as_deref_mut().map(|deck| &mut deck.mode) {
            Some(Mode::Recording(recording)) => recording.begin(stage),
            Some(Mode::Playing(player, _)) => player.begin(stage),
            None => {}
        }
    }

    /// The stage under way ended. What with is only asked where somebody wants to know.
    pub fn end(&self, outcome: impl FnOnce() -> Outcome) {
        match self.deck().as_deref_mut().map(|deck| &mut deck.mode) {
            Some(Mode::Recording(recording)) => recording.end(outcome()),
            Some(Mode::Playing(player, _)) => player.end(outcome()),
            None => {}
        }
    }

    /// What the latest stage that ended was ended with, while playing.
    pub fn latest(&self) -> Option<Outcome> {
        match self.deck().as_deref().map(|deck| &deck.mode) {
            Some(Mode::Playing(player, _)) => player.latest().cloned(),
            _ => None,
        }
    }

    /// What was recorded. From here on it is recorded anew.
    pub fn take(&self) -> Option<Recording> {
        match &mut self.deck()?.mode {
            Mode::Recording(recording) => {
                let header = recording.header.clone();
                Some(std::mem::replace(recording, Recording::new(header)))
            }
            Mode::Playing(..) => None,
        }
    }

    /// What was asked for while playing and is not in the recording.
    pub fn misses(&self) -> Vec<String> {
        match self.deck().as_deref().map(|deck| &deck.mode) {
            Some(Mode::Playing(player, _)) => player.misses().iter().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// What random numbers are made of.
    pub fn seed(&self) -> Option<uuid::Uuid> {
        Some(match &self.deck()?.mode {
            Mode::Recording(recording) => recording.header.seed,
            Mode::Playing(player, _) => player.header().seed,
        })
    }

    /// What a call asks, where anybody wants to know.
    pub fn asked(&self, asked: impl Serialize) -> Option<Value> {
        self.0.as_ref().and_then(|_| serde_json::to_value(asked).ok())
    }

    /// One call of a capability. It is not made while a recording is played.
    pub async fn call<T: Answer>(
        &self,
        name: &'static str,
        asked: Option<Value>,
        live: impl Future<Output = T>,
    ) -> T {
        let Some(asked) = asked else { return live.await };
        if let Some(answer) = self.play(name, &asked) {
            return answer;
        }
        let answer = live.await;
        self.keep(name, asked, &answer);
        answer
    }

    fn play<T: Answer>(&self, name: &'static str, asked: &Value) -> Option<T> {
        let mut deck = self.deck()?;
        let Mode::Playing(player, fault) = &mut deck.mode else { return None };
        let things = Thing::of(name, asked);
        let absent = || Error::new("absent", format!("{name} {asked} is not in the recording"));
        let answer = player.answer(name, asked);
        let answer = answer.and_then(|answer| serde_json::from_str(answer.get()).ok());
        let mut answer = answer.unwrap_or_else(|| T::failed(absent(), things.len()));
        for (number, thing) in things.iter().enumerate() {
            if let Some(error) = fault.as_ref().and_then(|fault| fault.strikes(thing)) {
                answer.strike(number, error);
            }
        }
        Some(answer)
    }

    fn keep<T: Serialize>(&self, name: &'static str, asked: Value, answer: &T) {
        let Some(mut deck) = self.deck() else { return };
        if let (Mode::Recording(recording), Ok(answer)) = (&mut deck.mode, to_raw_value(answer)) {
            recording.add(Call { name: name.to_owned(), asked, answer });
        }
    }

    /// One look at a clock.
    pub(super) fn time(&self, clock: &'static str, live: impl FnOnce() -> Duration) -> Duration {
        if let Some(Mode::Playing(player, _)) = self.deck().as_deref_mut().map(|deck| &mut deck.mode) {
            return player.time(clock);
        }
        let now = live();
        self.keep(clock, Value::Null, &u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        now
    }

    /// A call that opens a resource. Recordings hold what it was opened for, and no numbers of handles.
    pub(super) async fn open<T: 'static>(
        &self,
        name: &'static str,
        asked: Option<Value>,
        live: impl Future<Output = Result<Resource<T>, Error>>,
    ) -> Result<Resource<T>, Error> {
        let Some(for_what) = asked.clone() else { return live.await };
        let mut opened = None;
        let live = async { live.await.map(|resource| opened = Some(resource)) };
        self.call::<Result<(), Error>>(name, asked, live).await?;
        let Some(mut deck) = self.deck() else { return Err(Error::new("io", "no recording")) };
        let resource = opened.unwrap_or_else(|| {
            deck.next += 1;
            Resource::new_own(deck.next)
        });
        deck.opened.insert((type_name::<T>(), resource.rep()), for_what);
        Ok(resource)
    }

    /// What a resource was opened for.
    pub(super) fn of<T: 'static>(&self, resource: &Resource<T>) -> Option<Value> {
        let deck = self.deck()?;
        Some(deck.opened.get(&(type_name::<T>(), resource.rep())).cloned().unwrap_or_default())
    }

    /// Forgets a resource. Whether the capability has it to forget, too.
    pub(super) fn close<T: 'static>(&self, resource: &Resource<T>) -> bool {
        let Some(mut deck) = self.deck() else { return true };
        deck.opened.remove(&(type_name::<T>(), resource.rep()));
        matches!(deck.mode, Mode::Recording(_))
    }
}
