//! Readings. The names are those of the reports, the units those of `wit/types/readings.wit`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Fields beyond the named ones: text, truth values and numbers.
pub type Extras = BTreeMap<String, Extra>;

/// The value of such a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Extra {
    /// Yes or no.
    Truth(bool),
    /// A whole number.
    Whole(i64),
    /// A real number.
    Real(f64),
    /// Text.
    Text(String),
}

/// The latest readings of a board.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resource {
    /// When they came.
    #[schema(format = DateTime)]
    pub received: String,
    /// Milliseconds since they came.
    pub age_ms: u64,
    /// The processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// The main memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Network interfaces.
    pub network: Vec<Network>,
    /// Mounted file systems.
    pub disk: Vec<Disk>,
    /// Accelerators.
    pub gpu: Vec<Gpu>,
    /// Sensors.
    pub sensors: Vec<Sensor>,
    /// Deployed instances.
    pub component: Vec<Component>,
}

/// The processors, taken together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cpu {
    /// Milliseconds since it was read.
    pub age_ms: u64,
    /// Percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_percent: Option<f64>,
    /// Load over one minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_avg_1m: Option<f64>,
    /// Load over five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_avg_5m: Option<f64>,
    /// Load over fifteen minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_avg_15m: Option<f64>,
    /// Logical cores online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_count: Option<u32>,
    /// Cores promised to deployed instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_allocated: Option<u32>,
    /// Fields that have no name of their own.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extra: Extras,
}

/// The main memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Memory {
    /// Milliseconds since it was read.
    pub age_ms: u64,
    /// Bytes in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Bytes in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Bytes available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Bytes of swap in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_total: Option<u64>,
    /// Bytes of swap not in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_free: Option<u64>,
    /// Fields that have no name of their own.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extra: Extras,
}

/// One network interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Network {
    /// Its name.
    pub interface: String,
    /// Milliseconds since it was read.
    pub age_ms: u64,
    /// Bytes received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_bytes: Option<u64>,
    /// Bytes sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_bytes: Option<u64>,
    /// Packets received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_packets: Option<u64>,
    /// Packets sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_packets: Option<u64>,
    /// Packets received with an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_errors: Option<u64>,
    /// Packets that could not be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_errors: Option<u64>,
    /// Packets dropped on receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_dropped: Option<u64>,
    /// Packets dropped on sending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_dropped: Option<u64>,
    /// Hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Operational state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Bits a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<u64>,
    /// Largest payload of a frame, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Fields that have no name of their own.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extra: Extras,
}

/// One mounted file system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Disk {
    /// Where it is mounted.
    pub mount_point: String,
    /// Milliseconds since it was read.
    pub age_ms: u64,
    /// What is mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Kind of file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<String>,
    /// Bytes in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Bytes in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Bytes that users may still write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Mounted for reading only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Fields that have no name of their own.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extra: Extras,
}

/// One accelerator. Its sensors are among the sensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Gpu {
    /// Its number.
    pub index: u32,
    /// Its stable name on the bus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Milliseconds since it was read.
    pub age_ms: u64,
    /// Product name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The driver that serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Percent of time in which it was busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_usage: Option<f64>,
    /// Percent of its memory in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_usage: Option<f64>,
    /// Bytes of its memory in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_used: Option<u64>,
    /// Bytes of its memory in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_total: Option<u64>,
    /// Fields that have no name of their own.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extra: Extras,
}

/// One sensor, with Redfish's meaning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sensor {
    /// Where it sits.
    pub place: Place,
    /// What it measures.
    #[schema(example = "temperature")]
    pub kind: String,
    /// Stable name.
    pub name: String,
    /// What it is to its place; `primary` speaks for the place as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The measured value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Unit of the value and of the limits.
    #[schema(example = "Cel")]
    pub unit: String,
    /// `ok`, or why there is no good value.
    #[schema(example = "ok")]
    pub status: String,
    /// Thresholds.
    pub limits: Limits,
    /// Milliseconds since it was read.
    pub age_ms: u64,
    /// The plugin that read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
}

/// Where a sensor sits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// The part of the board.
    #[schema(example = "cpu")]
    pub part: String,
    /// Which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Thresholds of a sensor, in its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Attention at or below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower_caution: Option<f64>,
    /// Action at or below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower_critical: Option<f64>,
    /// Attention at or above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper_caution: Option<f64>,
    /// Action at or above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper_critical: Option<f64>,
    /// Damage at or above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper_fatal: Option<f64>,
}

/// One deployed instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Component {
    /// The business instance it belongs to.
    pub instance_id: String,
    /// The component instance.
    pub uuid: String,
    /// Its number within the business instance.
    pub index: i32,
    /// Name of what runs.
    pub name: String,
    /// Id of what runs.
    pub id: String,
    /// Its state.
    #[schema(example = "RUNNING")]
    pub state: String,
    /// Load of the processors, in percent of one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_load: Option<f64>,
    /// Bytes of memory in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_used: Option<u64>,
    /// Bytes of memory that it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_limit: Option<u64>,
    /// Bytes sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_bytes: Option<u64>,
    /// Bytes received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_bytes: Option<u64>,
    /// What an agent of ours says beyond v1.1.
    #[serde(flatten)]
    pub placement: Placement,
}

/// What v1.1 cannot say of a deployed instance. Absent from a board whose agent speaks v1.1 alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Placement {
    /// Which backend runs it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(example = "docker")]
    pub kind: Option<String>,
    /// SHA-256 over its order, lower-case hexadecimal: two of one digest were ordered alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Why it is in its state, or how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who runs it does not answer: its state is the last one that was known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// The logical cores that it has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cores: Vec<u32>,
    /// It shares them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// Bytes of memory that it was admitted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Its accelerators, by their device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<String>,
}
