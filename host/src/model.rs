//! What the agent knows, in its own words. No wire format, no serde, no WIT: `protocol/` turns this into reports,
//! `plugin/` turns what a probe says into this.
//!
//! Units are those of `wit/types/readings.wit`. Unknown is absent, never 0.

mod deployment;
mod fair;
mod merge;
mod plugin;
mod readings;

pub use deployment::{Accelerator, Deployment, InstanceId, InstanceState, Progress, Usage};
pub use merge::{Aged, Contribution, GpuReading, Snapshot, most};
pub use plugin::{Digest, PluginName, PluginState, PluginStatus, Replacement, Support};
pub use readings::{
    Cpu, Disk, Extras, Gpu, Identity, Limits, Memory, Network, Place, Readings, Sensor, Status, Value,
};
