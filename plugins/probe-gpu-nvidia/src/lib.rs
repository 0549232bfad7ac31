//! Probe of NVIDIA's accelerators, through NVML, the library that their driver comes with.
//!
//! ```text
//! open, and again after a crash:  library -> functions -> nvmlInit
//! every sample:                   count -> a device, identified once -> one Gpu and its sensors each
//! ```
//!
//! The library may crash or hang: it does so in a process of its own, and what it was asked is an error. That costs one
//! sample; the next opens the library anew. A device that does it again and again is asked last, so that it does not cost
//! the others theirs.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::vec::Vec;

use cardcage_sdk::native::Library;
use cardcage_sdk::{Error, Probe, Sample, Settings, Support, code};

use crate::device::Device;
use crate::nvml::{LIBRARY, Nvml, Trouble};

mod device;
mod nvml;

/// A sample carries at most this many accelerators, and faults.
const MOST_DEVICES: u32 = 256;
const MOST_FAULTS: usize = 64;

/// The accelerators of the board.
pub struct NvidiaProbe {
    support: Support,
    /// None before the first sample, and after one in which the library was lost.
    board: Option<Board>,
    /// The device that the library was lost with.
    sick: Option<u32>,
}

/// What was opened.
struct Board {
    nvml: Nvml,
    /// By index, those that could be identified.
    devices: Vec<Option<Device>>,
}

impl Probe for NvidiaProbe {
    fn configure(_: &Settings) -> Result<Self, Error> {
        let support = match Library::open(LIBRARY) {
            Err(error) if error.is(code::ABSENT) => Support::Nothing,
            // What else may be wrong with it can pass: each sample tries.
            _ => Support::Family,
        };
        Ok(Self { support, board: None, sick: None })
    }

    fn support(&self) -> Support {
        self.support
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        // Taken out: what is not put back is opened anew by the next sample.
        let mut board = match self.board.take() {
            Some(board) => board,
            None => Board { nvml: Nvml::open()?, devices: Vec::new() },
        };
        let mut sample = Sample::default();
        let lost = board.read(&mut self.sick, &mut sample)?;
        self.board = if lost { None } else { Some(board) };
        sample.faults.truncate(MOST_FAULTS);
        Ok(sample)
    }
}

impl Board {
    /// Reads all devices. Back is whether the library was lost with the last of them; where it is lost before, there is no
    /// sample.
    fn read(&mut self, sick: &mut Option<u32>, sample: &mut Sample) -> Result<bool, Error> {
        let count = self.nvml.count()?.min(MOST_DEVICES);
        if self.devices.len() != count as usize {
            self.devices.drain(..).flatten().for_each(Device::forget);
            self.devices.resize_with(count as usize, || None);
        }
        for index in order(count, *sick) {
            let Some(device) = self.devices.get_mut(index as usize) else { continue };
            let Err(error) = read(&self.nvml, index, device, sample) else { continue };
            let last = Some(index) == order(count, *sick).last();
            *sick = Some(index);
            return match last && !sample.gpus.is_empty() {
                true => {
                    sample.faults.push(error);
                    Ok(true)
                }
                false => Err(error),
            };
        }
        Ok(false)
    }
}

/// Every index, that of the sick device last.
fn order(count: u32, sick: Option<u32>) -> impl Iterator<Item = u32> {
    let sick = sick.filter(|sick| *sick < count);
    (0..count).filter(move |index| Some(*index) != sick).chain(sick)
}

/// Adds one device to the sample, or why not. An error means that the library is lost.
fn read(nvml: &Nvml, index: u32, device: &mut Option<Device>, sample: &mut Sample) -> Result<(), Error> {
    if device.is_none() {
        *device = match Device::identify(nvml, index, &mut sample.faults) {
            Err(Trouble::Failed(error)) => {
                sample.faults.push(error);
                None
            }
            Err(Trouble::Lost(error)) => return Err(error),
            Err(Trouble::Missing) => None,
            Ok(device) => Some(device),
        };
    }
    match device {
        Some(device) => device.read(nvml, sample),
        None => Ok(()),
    }
}

cardcage_sdk::export_probe!(NvidiaProbe, no_std);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_the_library_was_lost_with_is_asked_last() {
        let of = |count, sick| order(count, sick).collect::<Vec<_>>();
        assert_eq!(of(3, None), [0, 1, 2]);
        assert_eq!(of(3, Some(0)), [1, 2, 0]);
        assert_eq!(of(3, Some(7)), [0, 1, 2]);
        assert!(of(0, Some(0)).is_empty());
    }
}
