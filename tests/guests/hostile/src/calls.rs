//! Abuse of what the agent offers.

use std::io::Write as _;

use cardcage_sdk::files::{self, Batch};
use cardcage_sdk::{Sample, kernel};

/// Asks for the memory's size for ever.
pub(crate) fn forever() -> ! {
    loop {
        let _again = std::hint::black_box(kernel::memory());
    }
}

pub(crate) fn flood_log() {
    for line in 0..100_000 {
        cardcage_sdk::error!("flood {line}\nERROR a line that the agent never wrote");
    }
}

pub(crate) fn flood_standard_error() {
    let mut stderr = std::io::stderr();
    for line in 0..100_000 {
        let _closed = writeln!(stderr, "flood {line}").is_err();
    }
}

/// Each attempt becomes a fault: `denied`, or what was found there.
pub(crate) fn read_outside_grant() -> Sample {
    let attempts = [
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/self/mem",
        "/proc/kmsg",
        "/sys/class/hwmon/../../kernel/notes",
        "/sys/class/hwmon2/x",
        "/sys/kernel/notes",
        "/dev/mem",
    ];
    let mut sample = crate::readings::fine();
    for path in attempts {
        let fault = match files::read(path) {
            Err(error) => error,
            Ok(found) => cardcage_sdk::Error::new("leaked", format!("{path}: {found}")),
        };
        sample.faults.push(fault);
    }
    sample
}

/// The error that ends the hoarding becomes a fault.
pub(crate) fn hoard_handles() -> Sample {
    let mut sample = crate::readings::fine();
    let mut hoard = Vec::new();
    let refused = loop {
        match Batch::open(&[]) {
            Ok(batch) => hoard.push(batch),
            Err(error) => break error,
        }
    };
    std::mem::forget(hoard);
    sample.faults.push(refused);
    sample
}
