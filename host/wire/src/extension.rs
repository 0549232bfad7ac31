//! What Cardcage adds to v1.1, where the query says that the manager understands it: one object, `data.cardcage`.
//!
//! The query names [`NAME`] in `extensions`; without it an agent sends exactly the document's fields. Unknown is absent:
//! every reading is optional, and 0 means a measured zero. Every reading has an age. Units are those of
//! `wit/types/readings.wit`, whose records these types mirror. The agent bounds every list as that text says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bounded;

/// The word in a query's `extensions`.
pub const NAME: &str = "cardcage/1";

/// `data.cardcage` of a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeartbeatExtension {
    /// The agent's own identity, a UUID that it keeps for good.
    pub agent_id: String,
    /// The query that this answers, as the query gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// Version of the agent.
    pub agent_version: String,
    /// The board beyond v1.1's fields.
    pub identity: Identity,
    /// The plugins and how they are, at most 256.
    #[serde(deserialize_with = "bounded::list::<_, _, 256>")]
    pub plugins: Vec<Plugin>,
}

/// `data.cardcage` of a resource report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceExtension {
    /// The agent's own identity.
    pub agent_id: String,
    /// The query that this answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// The readings, with what v1.1 has no field for.
    pub readings: Readings,
    /// The deployed instances beyond v1.1's `component`, in its order, at most 4,096.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "bounded::list::<_, _, 4096>")]
    pub deployments: Vec<Deployment>,
}

/// What v1.1's `component` has no field for. What the instance uses is absent where it was not measured, and then stands
/// there as 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deployment {
    /// The component instance.
    pub uuid: String,
    /// Which backend: the `type` of the request.
    #[serde(rename = "type")]
    pub kind: String,
    /// SHA-256 over the order, lower-case hexadecimal: two instances of one digest were ordered alike.
    pub order: String,
    /// Why it is in its state, or how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who runs it does not answer: the state is the last one that was known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// The logical cores that it has, at most 4,096; none where it holds nothing.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "bounded::list::<_, _, 4096>")]
    pub cores: Vec<u32>,
    /// Whether it shares these cores.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// Memory that it was admitted with, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The accelerators that it has, by their device, at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "bounded::list::<_, _, 256>")]
    pub gpus: Vec<String>,
    /// Percent of one core; absent where it is not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_load: Option<f64>,
    /// Bytes; absent where it is not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Bytes; absent where it is not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_rx: Option<u64>,
    /// Bytes; absent where it is not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_tx: Option<u64>,
}

/// One plugin of the agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plugin {
    /// Name in its manifest.
    pub name: String,
    /// Version in its manifest.
    pub version: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub digest: String,
    /// Comes with the agent.
    pub built_in: bool,
    /// `compiling`, `starting`, `ready`, `idle` (nothing to do on this board), `backoff`, `quarantined`, `refused`.
    pub state: String,
    /// Why, where the state needs a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the board is, beyond v1.1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// Kernel release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Who made the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Model of the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Serial number of the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Fields that only this board's probe knows.
    #[serde(skip_serializing_if = "Extras::is_empty", deserialize_with = "bounded::extras")]
    pub extra: Extras,
}

/// Fields beyond the named ones: text, truth values and numbers, at most 64. Others are passed over.
pub type Extras = BTreeMap<String, serde_json::Value>;

/// All readings of one snapshot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Readings {
    /// The processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// The main memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Network interfaces, at most 1,024.
    #[serde(deserialize_with = "bounded::list::<_, _, 1024>")]
    pub network: Vec<Network>,
    /// Mounted file systems, at most 1,024.
    #[serde(deserialize_with = "bounded::list::<_, _, 1024>")]
    pub disk: Vec<Disk>,
    /// Accelerators, at most 256.
    #[serde(deserialize_with = "bounded::list::<_, _, 256>")]
    pub gpu: Vec<Gpu>,
    /// Sensors, at most 4,096.
    #[serde(deserialize_with = "bounded::list::<_, _, 4096>")]
    pub sensors: Vec<Sensor>,
}

/// The processors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Time since it was read, in milliseconds.
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
    pub cores: Option<u32>,
    /// Further fields.
    #[serde(skip_serializing_if = "Extras::is_empty", deserialize_with = "bounded::extras")]
    pub extra: Extras,
}

/// The main memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Time since it was read, in milliseconds.
    pub age_ms: u64,
    /// In all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// In use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Swap in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_total: Option<u64>,
    /// Swap not in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_free: Option<u64>,
    /// Further fields.
    #[serde(skip_serializing_if = "Extras::is_empty", deserialize_with = "bounded::extras")]
    pub extra: Extras,
}

/// One network interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Its name.
    pub interface: String,
    /// Time since it was read, in milliseconds.
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
    /// Errors on receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_errors: Option<u64>,
    /// Errors on sending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_errors: Option<u64>,
    /// Dropped on receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_dropped: Option<u64>,
    /// Dropped on sending.
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
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Further fields.
    #[serde(skip_serializing_if = "Extras::is_empty", deserialize_with = "bounded::extras")]
    pub extra: Extras,
}

/// One mounted file system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// Where it is mounted.
    pub mount_point: String,
    /// Time since it was read, in milliseconds.
    pub age_ms: u64,
    /// What is mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Kind of file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Mounted for reading only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Further fields.
    #[serde(skip_serializing_if = "Extras::is_empty", deserialize_with = "bounded::extras")]
    pub extra: Extras,
}

/// One accelerator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    /// Its number, as in the v1.1 fields.
    pub index: u32,
    /// Its stable name on the bus.
    pub device: String,
    /// Time since it was read, in milliseconds.
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
    /// Percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_usage: Option<f64>,
    /// Percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_usage: Option<f64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<u64>,
    /// Further fields.
    #[serde(skip_serializing_if = "Extras::is_empty", deserialize_with = "bounded::extras")]
    pub extra: Extras,
}

/// Where a sensor sits.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The part: `board`, `cpu`, `gpu`, …
    pub part: String,
    /// Which one; empty for the board.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// Thresholds, in the unit of the sensor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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

/// One sensor, with Redfish's meaning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sensor {
    /// Where it sits.
    pub place: Place,
    /// What it measures.
    pub kind: String,
    /// Stable name.
    pub name: String,
    /// What it is to its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The measured value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Unit of the value and the limits.
    pub unit: String,
    /// `ok`, `unavailable`, `failed`, `stale`.
    pub status: String,
    /// Thresholds.
    pub limits: Limits,
    /// Time since it was read, in milliseconds.
    pub age_ms: u64,
    /// The plugin that read it.
    pub plugin: String,
}
