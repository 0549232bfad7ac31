//! Facts that the kernel knows, typed, so that no probe parses `/proc`.
//!
//! Granted to every plugin. Every call reads afresh. Where the agent runs against recorded roots, every answer comes
//! from the recording. A fact that this kernel does not offer is an error [`ABSENT`](crate::code::ABSENT), or an absent
//! field.

pub use crate::bindings::cardcage::host::kernel::{
    CpuTimes, LoadAverage, MemoryInfo, Mount, NetworkInterface, Space, SystemInfo, load, memory, mounts,
    networks, spaces, system, times,
};
