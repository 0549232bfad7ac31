//! Every way to be a bad plugin that starts. The setting `mode` says which; each has a test in `tests/cases/hostile.rs`.

#![expect(clippy::panic, clippy::infinite_loop, reason = "hostility")]

mod calls; // abuse of what the agent offers
mod memory; // too much of it, and what is not there
mod readings; // what no board has

use std::time::Duration;

use cardcage_sdk::{Error, Probe, Sample, Settings, Support};
use serde::Deserialize;

/// What it does to the agent.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// Nothing bad: the same file with another setting.
    Behaves,
    /// Has nothing to do on this board.
    HasNothingToDo,
    /// Refuses its settings.
    Declines,
    /// Never returns from `configure`.
    LoopsInConfigure,
    /// Traps in `configure`.
    PanicsInConfigure,
    /// Never returns from `sample`.
    LoopsInSample,
    /// Never returns from `sample`, and spends its time in the agent.
    LoopsInHostCalls,
    /// Waits on a clock for a year.
    SleepsInSample,
    /// Traps in `sample`.
    PanicsInSample,
    /// Ends its process, as it thinks.
    ExitsInSample,
    /// Calls itself until the stack is full.
    Recurses,
    /// Has an error in place of every sample.
    ErrorsInSample,
    /// Takes all memory there is.
    GrowsMemory,
    /// Builds a string of a gigabyte.
    GigabyteString,
    /// Hands over a string that is said to have a gigabyte, at an address near the end of its memory.
    StringOutsideMemory,
    /// Hands over a string of 32 MiB, which it does have.
    LongString,
    /// Hands over a million sensors.
    MillionSensors,
    /// Hands over a million fields of one item, which do fit into its memory.
    MillionFields,
    /// Hands over a few more sensors than are taken.
    FiveThousandSensors,
    /// Hands over sensors with names that together are longer than a report may be.
    LongNames,
    /// Hands over numbers that are none.
    NotFinite,
    /// Hands over names that would write over an operator's terminal.
    TerminalCodes,
    /// Writes a hundred thousand lines into the log.
    FloodsLog,
    /// Writes them to its standard error.
    FloodsStandardError,
    /// Reads what it was not granted.
    ReadsOutsideGrant,
    /// Opens files and never closes them.
    HoardsHandles,
    /// Tries what every program may do, but no plugin: files, environment, network.
    ReachesOut,
    /// Says what no two runs have in common: the time, and random numbers.
    TellsTime,
    /// Counts on files that a board may not have.
    TrustsFiles,
    /// Keeps a little more after each sample.
    Hoards,
    /// Gives numbers that cannot be, in units that nobody expects.
    WrongUnits,
}

/// The guest, and what it keeps.
pub struct Hostile(Mode, Vec<Vec<u8>>);

#[derive(Deserialize)]
struct HostileSettings {
    mode: Mode,
}

impl Probe for Hostile {
    fn configure(settings: &Settings) -> Result<Self, Error> {
        let HostileSettings { mode } = settings.parse()?;
        match mode {
            Mode::Declines => Err(Error::invalid("this board is beneath me")),
            Mode::LoopsInConfigure => forever(),
            Mode::PanicsInConfigure => panic!("panics in configure"),
            mode => Ok(Self(mode, Vec::new())),
        }
    }

    fn support(&self) -> Support {
        match self.0 {
            Mode::HasNothingToDo => Support::Nothing,
            _ => Support::Board,
        }
    }

    fn note(&self) -> Option<String> {
        match self.0 {
            Mode::HasNothingToDo => Some("there is no fuse to light".into()),
            _ => None,
        }
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        match self.0 {
            Mode::LoopsInSample => forever(),
            Mode::LoopsInHostCalls => calls::forever(),
            Mode::SleepsInSample => std::thread::sleep(Duration::from_secs(365 * 24 * 3600)),
            Mode::PanicsInSample => panic!("panics in sample"),
            Mode::ExitsInSample => std::process::exit(0),
            Mode::Recurses => drop(recurse(0)),
            Mode::ErrorsInSample => return Err(Error::new("io", "the bus is on fire")),
            Mode::GrowsMemory => memory::grow(),
            Mode::GigabyteString => return Ok(memory::gigabyte_string()),
            Mode::StringOutsideMemory => return Ok(memory::string_outside()),
            Mode::LongString => return Ok(memory::long_string()),
            Mode::MillionSensors => return Ok(readings::sensors(1_000_000)),
            Mode::MillionFields => return Ok(readings::fields(1_000_000)),
            Mode::FiveThousandSensors => return Ok(readings::sensors(5_000)),
            Mode::LongNames => return Ok(readings::long_names()),
            Mode::NotFinite => return Ok(readings::not_finite()),
            Mode::TerminalCodes => return Ok(readings::terminal_codes()),
            Mode::FloodsLog => calls::flood_log(),
            Mode::FloodsStandardError => calls::flood_standard_error(),
            Mode::ReadsOutsideGrant => return Ok(calls::read_outside_grant()),
            Mode::HoardsHandles => return Ok(calls::hoard_handles()),
            Mode::ReachesOut => return Ok(calls::reach_out()),
            Mode::TellsTime => return Ok(readings::time()),
            Mode::TrustsFiles => return Ok(calls::trust_files()),
            Mode::Hoards => self.1.push(vec![1; 1024]),
            Mode::WrongUnits => return Ok(readings::wrong_units()),
            // Those that are over before a sample.
            Mode::Behaves
            | Mode::HasNothingToDo
            | Mode::Declines
            | Mode::LoopsInConfigure
            | Mode::PanicsInConfigure => {}
        }
        Ok(readings::fine())
    }
}

fn forever() -> ! {
    loop {
        std::hint::black_box(());
    }
}

#[expect(unconditional_recursion, reason = "hostility")]
fn recurse(depth: u64) -> u64 {
    std::hint::black_box(recurse(std::hint::black_box(depth + 1)) + 1)
}

cardcage_sdk::export_probe!(Hostile);
