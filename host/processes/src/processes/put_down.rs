//! What is done where no supervisor does it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;

use super::Processes;
use crate::Error;
use crate::cgroup::{PROGRAM, SHIM};
use crate::files;
use crate::holders;
use crate::lock::Lock;
use crate::place::Place;

/// How long SIGKILL may take to be obeyed.
const DYING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

impl Processes {
    /// Kills what is left of a program, and removes its control groups. The caller has the lock.
    pub(super) fn clear(&self, place: &Place) -> Result<(), Error> {
        for cage in self.cages(place)?.into_iter().filter(|cage| cage.exists()) {
            cage.kill(&[SHIM, PROGRAM], DYING, || {})?;
            // A supervisor leaves its group a moment after its lock.
            let deadline = Instant::now() + DYING;
            while let Err(error) = cage.remove_all() {
                if Instant::now() >= deadline {
                    return Err(error);
                }
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// Kills a supervisor and its program, and takes the lock.
    pub(super) fn put_down(&self, place: &Place) -> Result<Lock, Error> {
        let deadline = Instant::now() + DYING;
        loop {
            holders::kill(place);
            for cage in self.cages(place)? {
                cage.kill(&[SHIM, PROGRAM], DYING, || {})?;
            }
            if let Some(lock) = Lock::take(place)? {
                return Ok(lock);
            }
            if Instant::now() >= deadline {
                return Err(Error::Unkillable { what: format!("the supervisor in {}", place.dir.display()) });
            }
            thread::sleep(PAUSE);
        }
    }

    /// Ends whatever runs in a folder that nobody knows, and sets it aside: the last one of each name, without its package.
    pub(super) fn quarantine(&self, place: &Place) -> Result<(), Error> {
        let lock = self.put_down(place)?;
        self.clear(place)?;
        let aside = self.root.join(format!(".damaged-{}", place.key));
        files::remove_folder(&aside)?;
        files::remove_folder(&place.folder())?;
        fs::rename(&place.dir, &aside).map_err(|error| Error::io("set aside", &place.dir, error))?;
        drop(lock);
        warn!(folder = %aside.display(), "a program whose order is lost was ended and set aside");
        Ok(())
    }
}
