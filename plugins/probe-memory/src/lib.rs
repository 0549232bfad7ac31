//! Probe of the main memory and swap. It needs the kernel's facts alone.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::vec::Vec;

use cardcage_sdk::kernel::{self, MemoryInfo};
use cardcage_sdk::{Error, Memory, Probe, Sample, Settings};

/// The main memory of the board.
pub struct MemoryProbe;

impl Probe for MemoryProbe {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        Ok(Sample { memory: Some(memory(&kernel::memory()?)), ..Sample::default() })
    }
}

fn memory(info: &MemoryInfo) -> Memory {
    let free = info.available.or_else(|| estimate(info));
    Memory {
        total: Some(info.total),
        used: free.and_then(|free| info.total.checked_sub(free)),
        free,
        swap_total: info.swap_total,
        swap_free: info.swap_free,
        extra: Vec::new(),
    }
}

/// What is available, for kernels before 3.14 that do not say: what is unused and what the caches would give back.
fn estimate(info: &MemoryInfo) -> Option<u64> {
    let caches =
        info.buffers?.checked_add(info.cached?)?.checked_add(info.reclaimable.unwrap_or_default())?;
    info.unused.checked_add(caches)
}

cardcage_sdk::export_probe!(MemoryProbe, no_std);

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: MemoryInfo = MemoryInfo {
        total: 1000,
        unused: 100,
        available: Some(600),
        buffers: Some(20),
        cached: Some(300),
        reclaimable: Some(30),
        swap_total: Some(500),
        swap_free: Some(400),
    };

    fn used_and_free(info: MemoryInfo) -> (Option<u64>, Option<u64>) {
        let memory = memory(&info);
        (memory.used, memory.free)
    }

    #[test]
    fn used_is_what_is_not_available() {
        assert_eq!(used_and_free(INFO), (Some(400), Some(600)));
    }

    #[test]
    fn an_old_kernel_is_asked_for_what_its_caches_would_give_back() {
        assert_eq!(used_and_free(MemoryInfo { available: None, ..INFO }), (Some(550), Some(450)));
        assert_eq!(
            used_and_free(MemoryInfo { available: None, reclaimable: None, ..INFO }),
            (Some(580), Some(420))
        );
    }

    #[test]
    fn what_cannot_be_is_unknown() {
        assert_eq!(used_and_free(MemoryInfo { available: Some(1001), ..INFO }), (None, Some(1001)));
        assert_eq!(
            used_and_free(MemoryInfo { available: None, cached: Some(u64::MAX), ..INFO }),
            (None, None)
        );
    }

    #[test]
    fn swap_and_total_are_passed_on() {
        let memory = memory(&INFO);
        assert_eq!((memory.total, memory.swap_total, memory.swap_free), (Some(1000), Some(500), Some(400)));
    }
}
