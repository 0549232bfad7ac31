//! What the board has, asked of the real kernel: deploys are never a replay.

use std::collections::BTreeSet;
use std::path::Path;

use super::admission::Capacity;
use super::order::Gpu;
use crate::capability::kernel::memory_total;
use crate::config;
use crate::model::GpuReading;

/// Which boot of the board this is: what ran in another one does not run.
pub fn boot() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// What the board has for instances, within what the operator gives; or why nothing can be deployed.
pub fn capacity(config: &config::Deploy, replay: bool, gpus: &[GpuReading]) -> Result<Capacity, String> {
    if replay {
        return Err(
            "this agent runs against a recorded board ([kernel] proc or sys), so nothing can be deployed"
                .into(),
        );
    }
    let usable =
        usable_cores().map_err(|error| format!("the cores of this board cannot be counted: {error}"))?;
    let shared_cores: BTreeSet<u32> =
        config.shared_cores.iter().filter(|core| usable.contains(core)).collect();
    let given = |core: &u32| config.cores.as_ref().is_none_or(|cores| cores.contains(core));
    let cores = usable.iter().filter(|core| given(core) && !shared_cores.contains(core)).copied().collect();
    let total = memory_total(Path::new("/proc/meminfo"))
        .ok_or("the memory of this board cannot be read from /proc/meminfo")?;
    let memory = config.memory.map_or(total, |memory| memory.min(total));
    let gpus = gpus.iter().map(|numbered| Gpu {
        index: numbered.index,
        device: numbered.gpu.reading.device.clone(),
        vendor: numbered.gpu.reading.vendor.clone(),
    });
    Ok(Capacity { cores, shared_cores, overcommit: config.shared_overcommit, memory, gpus: gpus.collect() })
}

/// The cores that this process may run on: those that are online and not taken by whoever started it.
fn usable_cores() -> nix::Result<BTreeSet<u32>> {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::this())?;
    let cores = 0..nix::sched::CpuSet::count();
    Ok(cores
        .filter(|core| set.is_set(*core).unwrap_or(false))
        .filter_map(|core| u32::try_from(core).ok())
        .collect())
}
