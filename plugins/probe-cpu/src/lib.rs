//! Probe of the processors: usage, load, cores and type. It needs the kernel's facts alone.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use cardcage_sdk::{Cpu, Error, Probe, Sample, Settings, kernel};

use crate::usage::UsageMeter;

mod usage;

/// The processors of the board, taken together.
#[derive(Default)]
pub struct CpuProbe {
    usage: UsageMeter,
    /// Does not change while the system runs: asked until the kernel has answered once. The inner option is its answer.
    model: Option<Option<String>>,
}

impl Probe for CpuProbe {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self::default())
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        let mut faults = Vec::new();
        let mut cpu = Cpu { model: self.model(&mut faults), ..Cpu::default() };
        match kernel::times() {
            Ok(times) => {
                cpu.usage = self.usage.update(&times);
                cpu.cores = Some(times.cores);
            }
            Err(error) => faults.push(error),
        }
        match kernel::load() {
            Ok(load) => {
                cpu.load_1m = Some(load.one);
                cpu.load_5m = Some(load.five);
                cpu.load_15m = Some(load.fifteen);
            }
            Err(error) => faults.push(error),
        }
        Ok(Sample { cpu: Some(cpu), faults, ..Sample::default() })
    }
}

impl CpuProbe {
    fn model(&mut self, faults: &mut Vec<Error>) -> Option<String> {
        if self.model.is_none() {
            match kernel::system() {
                Ok(system) => self.model = Some(system.cpu_model),
                Err(error) => faults.push(error),
            }
        }
        self.model.clone().flatten()
    }
}

cardcage_sdk::export_probe!(CpuProbe, no_std);
