//! Probe of the sensors that the kernel shows in sysfs: chips (`hwmon`), thermal zones and counters of energy
//! (`powercap`).
//!
//! ```text
//! search, rarely:  discovery -> chips | powercap | zones -> channels -> plan
//! every sample:    plan's files, one batch -> plan -> sensors
//! until known:     thresholds, in the same batch after the values -> plan
//! ```
//!
//! A sensor is named by the device that it is part of and its label, so that it keeps its name over restarts; the
//! numbers of `hwmon3` or `thermal_zone5` are dealt out anew each time.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use cardcage_sdk::files::{Batch, Board, Contents};
use cardcage_sdk::{Error, Probe, Sample, Search, Settings, Step, clock};

use crate::discovery::Classes;
use crate::plan::Plan;

mod attribute;
mod channel;
mod chips;
mod discovery;
mod meter;
mod place;
mod plan;
mod powercap;
mod role;
mod zones;

/// The sensors of the board.
pub struct HwmonProbe {
    search: Search,
    classes: Classes,
    plan: Plan,
    /// The files of the plan; none before the first search, and on a board without sensors.
    batch: Option<Batch>,
}

impl Probe for HwmonProbe {
    // Generic on a board without sensors too: a card or a module may bring some later.
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self {
            search: Search::default(),
            classes: Classes::default(),
            plan: Plan::default(),
            batch: None,
        })
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        self.look()?;
        let contents = match self.plan.with_thresholds() {
            Some(paths) => {
                let contents = paths.read(&Board)?;
                self.plan.learn(&paths, &contents);
                contents
            }
            None => self.batch.as_ref().map(|batch| Contents::from(batch.read())).unwrap_or_default(),
        };
        let read = clock::now();
        let readings = self.plan.readings(&contents, read);
        if readings.missing {
            self.search.missing();
        }
        Ok(Sample { sensors: readings.sensors, faults: readings.faults, ..Sample::default() })
    }
}

impl HwmonProbe {
    /// Searches the board if it is time to.
    fn look(&mut self) -> Result<(), Error> {
        let step = self.search.next_sample();
        if step == Step::Keep {
            return Ok(());
        }
        let classes = Classes::list(&Board);
        if step == Step::Compare && classes == self.classes {
            return Ok(());
        }
        let (channels, faults) = classes.search(&Board);
        let mut plan = Plan::new(channels, faults);
        self.batch = if plan.paths.is_empty() { None } else { Some(plan.paths.open()?) };
        plan.continue_from(core::mem::take(&mut self.plan));
        self.plan = plan;
        self.classes = classes;
        self.search.searched();
        Ok(())
    }
}

cardcage_sdk::export_probe!(HwmonProbe, no_std);
