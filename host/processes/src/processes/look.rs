//! How programs are: what the supervisor wrote, as far as the lock, the boot and the control group agree.
//!
//! | lock | status | it is |
//! |---|---|---|
//! | held | of this boot | as it says; frozen, where its group is |
//! | held | none, damaged, or of another boot | as the supervisor says when asked; not started yet, if it does not |
//! | free | none, or of another boot | `created` |
//! | free | ended | as it says |
//! | free | not ended | `lost`: what is left of it is killed, and that is written down |

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Instant;

use tracing::warn;

use super::Processes;
use crate::Error;
use crate::cgroup::{Cage, PROGRAM};
use crate::control;
use crate::crash;
use crate::files::{self, Found};
use crate::lock::Lock;
use crate::model::{Definition, Info, State, Usage};
use crate::place::{Place, is_key};
use crate::status::{self, Process, Status};

impl Processes {
    /// The program of a deployment.
    pub fn info(&self, uuid: &str) -> Result<Option<Info>, Error> {
        self.look(&self.place(uuid)).map(|found| found.map(|(_, info)| info))
    }

    /// Every program that a plugin made. One that cannot be looked at is logged, and silences no other.
    pub fn survey(&self, backend: &str) -> Result<Vec<Info>, Error> {
        let entries = fs::read_dir(&self.root).map_err(|error| Error::io("list", &self.root, error))?;
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Error::io("list", &self.root, error))?;
            let Some(key) = entry.file_name().to_str().filter(|name| is_key(name)).map(str::to_owned) else {
                continue;
            };
            match self.look(&Place::new(&self.root, &key)) {
                Ok(Some((definition, info))) if definition.owner.backend == backend => all.push(info),
                Ok(_) => {}
                Err(error) => warn!(error = error.text(), folder = key, "a program cannot be looked at"),
            }
        }
        all.sort_by(|a, b| a.uuid.cmp(&b.uuid));
        Ok(all)
    }

    fn look(&self, place: &Place) -> Result<Option<(Definition, Info)>, Error> {
        let Some(definition) = self.definition(place)? else { return Ok(None) };
        let held = Lock::held(place)?;
        let status = if held { self.alive(place)? } else { self.ended(place)? };
        let status = status.unwrap_or_else(|| Status::new(self.boot.clone(), Process { pid: 0, start: 0 }));
        let mut usage = Usage { memory_limit: Some(definition.limits.memory), ..Usage::default() };
        let mut state = status.state;
        if held && let Some(cage) = self.cages(place)?.into_iter().find(Cage::is_populated) {
            if state == State::Running && cage.is_frozen(PROGRAM) {
                state = State::Frozen;
            }
            usage.memory_used = cage.memory_used();
            usage.cpu_load = cage.cpu_time().and_then(|time| self.load(&place.key, time));
        }
        let info = Info {
            uuid: definition.owner.uuid.clone(),
            order: definition.owner.order.clone(),
            pid: status.shim.pid,
            name: definition.program.name.clone(),
            state,
            exit_code: status.exit_code,
            signal: status.signal,
            error: status.error,
            restarts: status.restarts,
            usage,
        };
        Ok(Some((definition, info)))
    }

    // A supervisor replaces the file whole; one that is damaged or missing was not its doing, and it knows better.
    fn alive(&self, place: &Place) -> Result<Option<Status>, Error> {
        let path = place.status();
        match files::read::<Status>(&path)? {
            Found::Good(status) if status.boot == self.boot => Ok(Some(status)),
            found => {
                let status = control::status(place);
                if status.is_some() && matches!(found, Found::Damaged(_)) {
                    found.or_set_aside(&path);
                }
                Ok(status)
            }
        }
    }

    fn ended(&self, place: &Place) -> Result<Option<Status>, Error> {
        // Taken in the meantime: it is being started.
        let Some(_lock) = Lock::take(place)? else { return self.alive(place) };
        let path = place.status();
        let mut status = match files::read::<Status>(&path)? {
            Found::Nothing => return Ok(None),
            Found::Good(status) if status.boot != self.boot => return Ok(None),
            Found::Good(status) => status,
            damaged @ Found::Damaged(_) => {
                damaged.or_set_aside(&path);
                Status::new(self.boot.clone(), Process { pid: 0, start: 0 })
            }
        };
        // Also where it ended well: the supervisor could not remove the group that it was in.
        crash::point("look: locked");
        self.clear(place)?;
        if !status.state.ended() {
            status.state = State::Lost;
            status.program = None;
            status.error = Some("its supervisor was killed, and what was left of it with it".to_owned());
            status.changed = status::now();
            files::write(&path, &status, false)?;
            warn!(folder = %place.dir.display(), "a program lost its supervisor");
        }
        Ok(Some(status))
    }

    fn load(&self, key: &str, time: u64) -> Option<f64> {
        let now = Instant::now();
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let before = measured.insert(key.to_owned(), (now, time));
        forget(&mut measured, &self.root);
        let (then, before) = before?;
        share(time.checked_sub(before)?, now.duration_since(then).as_nanos())
    }
}

// Of programs that are gone: there are never many more than there are.
fn forget(measured: &mut HashMap<String, (Instant, u64)>, root: &Path) {
    if measured.len() > 1024 {
        measured.retain(|key, _| root.join(key).exists());
    }
}

fn share(used: u64, passed: u128) -> Option<f64> {
    // Too short a time says nothing.
    #[expect(clippy::cast_precision_loss, reason = "a share of processor time needs no 53 bits")]
    (passed > 1_000_000).then(|| used as f64 / passed as f64 * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_one_core() {
        assert_eq!(share(2_500_000_000, 1_000_000_000), Some(250.0));
        assert_eq!(share(1, 0), None);
    }
}
