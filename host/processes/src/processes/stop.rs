//! Stopping: the supervisor is told to, and does it within the grace. If it is gone, or does not answer in that time and
//! ten seconds more, the same is done without it.

use std::thread;
use std::time::{Duration, Instant};

use super::Processes;
use crate::Error;
use crate::control;
use crate::crash;
use crate::files::{self, Found};
use crate::lock::Lock;
use crate::model::State;
use crate::place::Place;
use crate::status::{self, Status};

/// What a supervisor needs beyond the grace.
const MARGIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

impl Processes {
    /// Ends the program and its supervisor. Ended already: nothing happens.
    pub fn stop(&self, uuid: &str) -> Result<(), Error> {
        let (place, definition) = self.demand(uuid)?;
        let grace = Duration::from_secs(definition.program.stop_grace.into());
        let deadline = Instant::now() + grace + MARGIN;
        let mut told = false;
        while Instant::now() < deadline {
            if let Some(lock) = Lock::take(&place)? {
                return self.finish(&place, &lock);
            }
            // The one that was told is gone, and somebody has started another since: that one was not meant.
            if told && control::status(&place).is_some_and(|status| !status.state.ended()) {
                return Ok(());
            }
            crash::point("stop: asking");
            if told {
                thread::sleep(PAUSE);
            } else if let Some(stream) = control::stop(&place) {
                crash::point("stop: asked");
                told = control::gone(&stream, deadline);
            } else {
                thread::sleep(PAUSE);
            }
        }
        let lock = self.put_down(&place)?;
        self.finish(&place, &lock)
    }

    // Nobody else can start it now.
    fn finish(&self, place: &Place, _lock: &Lock) -> Result<(), Error> {
        crash::point("stop: locked");
        self.clear(place)?;
        let path = place.status();
        if let Found::Good(mut status) = files::read::<Status>(&path)?
            && status.boot == self.boot
            && !status.state.ended()
        {
            status.state = State::Stopped;
            status.program = None;
            status.changed = status::now();
            files::write(&path, &status, false)?;
        }
        Ok(())
    }
}
