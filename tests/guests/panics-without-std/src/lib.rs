//! A plugin without std that panics in every sample. Its panic handler and its allocator are the SDK's.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![expect(clippy::panic, reason = "hostility")]

extern crate alloc;

use alloc::string::{String, ToString as _};

use cardcage_sdk::{Error, Probe, Sample, Settings};

/// What it has in memory when it panics.
pub struct Panics(String);

impl Probe for Panics {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self("the bus".to_string()))
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        panic!("{} is on fire", self.0)
    }
}

cardcage_sdk::export_probe!(Panics, no_std);
