//! Who transfers what. The first who asks for something leads and transfers it on its own thread; the others wait for
//! what comes of it, each with its own deadline and its own way to give up. When a leader gives up, the first of those
//! who wait leads on, from the partial that is there.
//!
//! A lock and a condition instead of a task: callers are threads that block anyway.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::locked;
use crate::http::Hop;
use crate::url::Url;
use crate::{Artifact, Digest, Error, Progress};

/// How long a caller who gives up may wait to be heard.
const SLICE: Duration = Duration::from_millis(50);

/// The artifact, and over which hosts it came.
pub(super) type Outcome = Result<(Artifact, Vec<Hop>), Error>;

#[derive(Default)]
pub(super) struct Flights {
    flying: Mutex<HashMap<Digest, Arc<Flight>>>,
}

pub(super) struct Flight {
    /// Of whoever leads: what others with other credentials may get is for the repository to say.
    credentials: Option<String>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    progress: Option<Progress>,
    /// `Some(None)`: it ended without a word.
    landed: Option<Option<Outcome>>,
}

pub(super) enum Ticket<'a> {
    Lead(Lead<'a>),
    Wait(Waiting),
}

impl Flights {
    pub(super) fn join(&self, key: Digest, credentials: Option<&str>) -> Ticket<'_> {
        let mut flying = locked(&self.flying);
        if let Some(flight) = flying.get(&key) {
            let same = flight.credentials.as_deref() == credentials;
            return Ticket::Wait(Waiting { flight: Arc::clone(flight), same });
        }
        let credentials = credentials.map(str::to_owned);
        let flight = Arc::new(Flight { credentials, state: Mutex::default(), changed: Condvar::new() });
        flying.insert(key, Arc::clone(&flight));
        Ticket::Lead(Lead { flights: self, key, flight })
    }

    /// While it runs, nobody starts a transfer.
    pub(super) fn with_keys<T>(&self, run: impl FnOnce(&[Digest]) -> T) -> T {
        let flying = locked(&self.flying);
        run(&flying.keys().copied().collect::<Vec<_>>())
    }
}

/// The one who transfers. Dropped without a landing (a panic), those who wait go on themselves.
pub(super) struct Lead<'a> {
    flights: &'a Flights,
    key: Digest,
    flight: Arc<Flight>,
}

impl Lead<'_> {
    pub(super) fn publish(&self, progress: Progress) {
        // Nobody is woken for it: they look now and then, and a transfer has many steps.
        locked(&self.flight.state).progress = Some(progress);
    }

    pub(super) fn land(self, outcome: Outcome) {
        locked(&self.flight.state).landed = Some(Some(outcome));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        // Off the board first: whoever finds that it landed for nothing must be able to lead.
        locked(&self.flights.flying).remove(&self.key);
        locked(&self.flight.state).landed.get_or_insert(None);
        self.flight.changed.notify_all();
    }
}

/// One who waits.
pub(super) struct Waiting {
    flight: Arc<Flight>,
    same: bool,
}

impl Waiting {
    /// What came of it; nothing if it is of no use to this caller.
    pub(super) fn wait(
        &self,
        url: &Url,
        cancelled: &AtomicBool,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<Outcome>, Error> {
        let mut told = None;
        loop {
            let (state, _) = self
                .flight
                .changed
                .wait_timeout_while(locked(&self.flight.state), SLICE, |state| state.landed.is_none())
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(landed) = &state.landed {
                return Ok(if self.same { landed.clone() } else { None });
            }
            let news = state.progress.filter(|_| state.progress != told);
            told = state.progress;
            // The callback is the caller's; it must not run under the lock.
            drop(state);
            if let Some(news) = news {
                progress(news);
            }
            if cancelled.load(Ordering::Relaxed) {
                return Err(Error::Cancelled { what: url.to_string() });
            }
            if Instant::now() >= deadline {
                let reason = "not finished within the deadline for a whole transfer".to_owned();
                return Err(Error::Unreachable { what: url.to_string(), reason });
            }
        }
    }
}
