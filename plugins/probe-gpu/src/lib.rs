//! Probe of AMD's and Intel's accelerators, from sysfs.
//!
//! ```text
//! search, rarely:  cards -> files to read
//! every sample:    one batch -> one Gpu a card, and the clocks as sensors
//! ```

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use cardcage_sdk::files::{Batch, Board, Contents, Paths, Slot};
use cardcage_sdk::{Error, Gpu, Probe, Reading, Sample, Search, Settings, Step, code, units};

use crate::cards::Card;

mod cards;

/// A sample carries at most this many faults.
const MOST_FAULTS: usize = 64;

/// The accelerators of the board.
#[derive(Default)]
pub struct GpuProbe {
    search: Search,
    entries: Vec<String>,
    cards: Vec<Card>,
    /// The files of the cards; none before the first search, and on a board without cards.
    batch: Option<Batch>,
}

impl Probe for GpuProbe {
    // Generic on a board without cards too: one that is plugged in later, or whose driver is loaded later, is found.
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self::default())
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        self.look()?;
        let contents = self.batch.as_ref().map(|batch| Contents::from(batch.read())).unwrap_or_default();
        let mut sample = Sample::default();
        for card in &self.cards {
            card.read(&contents, &mut sample);
        }
        sample.faults.truncate(MOST_FAULTS);
        Ok(sample)
    }
}

impl GpuProbe {
    /// Searches the board if it is time to.
    fn look(&mut self) -> Result<(), Error> {
        let step = self.search.next_sample();
        if step == Step::Keep {
            return Ok(());
        }
        let entries = cards::list(&Board)?;
        if step == Step::Compare && entries == self.entries {
            return Ok(());
        }
        let mut paths = Paths::default();
        self.cards = cards::discover(&Board, &entries, &mut paths)?;
        self.batch = if paths.is_empty() { None } else { Some(paths.open()?) };
        self.entries = entries;
        self.search.searched();
        Ok(())
    }
}

impl Card {
    /// Adds the card and its clocks to the sample.
    fn read(&self, contents: &Contents, sample: &mut Sample) {
        let mut bytes = |slot| u64::try_from(number(contents, slot, &mut sample.faults)?).ok();
        let (used, total) = (bytes(self.memory_used), bytes(self.memory_total));
        let busy = number(contents, self.busy, &mut sample.faults);
        sample.gpus.push(Gpu {
            compute_usage: busy.and_then(|percent| units::percent(percent as f64, 100.0)),
            memory_usage: used.zip(total).and_then(|(used, total)| units::percent(used as f64, total as f64)),
            memory_used: used,
            memory_total: total,
            ..self.gpu.clone()
        });
        for (sensor, slot) in &self.frequencies {
            let reading = match (contents.number(*slot), contents.get(*slot)) {
                (Some(megahertz), _) => Reading::Value(units::mega(megahertz)),
                (None, Some(Err(error))) if error.is(code::ABSENT) => continue,
                (None, Some(Err(error))) if error.is(code::UNAVAILABLE) => Reading::Unavailable,
                (None, _) => Reading::Failed,
            };
            sample.sensors.push(sensor.reading(reading));
        }
    }
}

/// The number of a file. What is not there, or has no value while the card sleeps, is not a fault.
fn number(contents: &Contents, slot: Option<Slot>, faults: &mut Vec<Error>) -> Option<i64> {
    let error =
        contents.get(slot?)?.err().filter(|error| !error.is(code::ABSENT) && !error.is(code::UNAVAILABLE));
    faults.extend(error.cloned());
    contents.number(slot?)
}

cardcage_sdk::export_probe!(GpuProbe, no_std);

#[cfg(test)]
mod tests {
    use super::*;
    use cardcage_sdk::{Place, Sensor};
    use proptest::prelude::*;

    /// A card with every counter, and what its files say: busy, memory used, memory in all, clock.
    fn sample(read: [Result<&str, &str>; 4]) -> Sample {
        let mut paths = Paths::default();
        let [busy, used, total, clock] = ["/busy", "/used", "/total", "/clock"].map(|path| paths.add(path));
        let sensor = Sensor::frequency(Place::gpu("0000:03:00.0"), "gt0", Reading::Unavailable);
        let card = Card {
            gpu: Gpu { device: "0000:03:00.0".into(), ..Gpu::default() },
            busy: Some(busy),
            memory_used: Some(used),
            memory_total: Some(total),
            frequencies: vec![(sensor, clock)],
        };
        let owned =
            |content: Result<&str, &str>| content.map(str::to_owned).map_err(|code| Error::new(code, "/it"));
        let mut sample = Sample::default();
        card.read(&Contents::from(Vec::from(read.map(owned))), &mut sample);
        sample
    }

    #[test]
    fn usage_is_in_percent_and_memory_in_bytes() {
        let sample = sample([Ok("37"), Ok("1073741824"), Ok("4294967296"), Ok("1300")]);
        let gpu = &sample.gpus[0];
        assert_eq!((gpu.compute_usage, gpu.memory_usage), (Some(37.0), Some(25.0)));
        assert_eq!((gpu.memory_used, gpu.memory_total), (Some(1 << 30), Some(4 << 30)));
        assert_eq!(sample.sensors[0].value, Some(1.3e9));
        assert!(sample.faults.is_empty());
    }

    #[test]
    fn a_card_that_sleeps_is_there_without_numbers() {
        let sample = sample([Err("unavailable"), Err("absent"), Ok("4294967296"), Err("unavailable")]);
        let gpu = &sample.gpus[0];
        assert_eq!((gpu.compute_usage, gpu.memory_usage, gpu.memory_used), (None, None, None));
        assert_eq!(gpu.memory_total, Some(4 << 30));
        assert_eq!(sample.sensors[0].status, "unavailable");
        assert!(sample.faults.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_a_fault() {
        let sample = sample([Err("blocked"), Ok("1"), Ok("2"), Err("io")]);
        assert_eq!(sample.faults.len(), 1);
        assert_eq!(sample.sensors[0].status, "failed");
    }

    proptest! {
        #[test]
        fn shares_are_percentages_whatever_the_files_say(texts in prop::array::uniform3("\\PC{0,8}|-?[0-9]{1,20}")) {
            let [busy, used, total] = texts.each_ref().map(|text| Ok(text.as_str()));
            let sample = sample([busy, used, total, Ok("0")]);
            for share in [sample.gpus[0].compute_usage, sample.gpus[0].memory_usage].into_iter().flatten() {
                prop_assert!((0.0..=100.0).contains(&share));
            }
        }
    }
}
