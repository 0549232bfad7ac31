//! What a probe can say about a board: the records of `wit/types/readings.wit`, checked and bounded.

use std::collections::BTreeMap;

/// A value of a field that has no place of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// UTF-8.
    Text(String),
    /// Yes or no.
    Truth(bool),
    /// Whole.
    Whole(i64),
    /// Finite.
    Real(f64),
}

/// Fields beyond the named ones.
pub type Extras = BTreeMap<String, Value>;

/// The processors, taken together. Percent and counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cpu {
    pub usage: Option<f64>,
    pub load_1m: Option<f64>,
    pub load_5m: Option<f64>,
    pub load_15m: Option<f64>,
    pub cores: Option<u32>,
    pub model: Option<String>,
    pub extra: Extras,
}

/// The main memory. Bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    pub total: Option<u64>,
    pub used: Option<u64>,
    pub free: Option<u64>,
    pub swap_total: Option<u64>,
    pub swap_free: Option<u64>,
    pub extra: Extras,
}

/// One network interface, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    pub name: String,
    pub rx_bytes: Option<u64>,
    pub tx_bytes: Option<u64>,
    pub rx_packets: Option<u64>,
    pub tx_packets: Option<u64>,
    pub rx_errors: Option<u64>,
    pub tx_errors: Option<u64>,
    pub rx_dropped: Option<u64>,
    pub tx_dropped: Option<u64>,
    pub address: Option<String>,
    pub state: Option<String>,
    /// Bits a second.
    pub speed: Option<u64>,
    pub mtu: Option<u32>,
    pub extra: Extras,
}

/// One mounted file system, by mount point. Bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Disk {
    pub mount_point: String,
    pub device: Option<String>,
    pub file_system: Option<String>,
    pub total: Option<u64>,
    pub used: Option<u64>,
    pub free: Option<u64>,
    pub read_only: Option<bool>,
    pub extra: Extras,
}

/// One accelerator, by its stable device name. Percent and bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gpu {
    pub device: String,
    pub name: Option<String>,
    pub vendor: Option<String>,
    pub driver: Option<String>,
    pub compute_usage: Option<f64>,
    pub memory_usage: Option<f64>,
    pub memory_used: Option<u64>,
    pub memory_total: Option<u64>,
    pub extra: Extras,
}

/// Where a sensor sits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub part: String,
    pub name: String,
}

/// Thresholds, in the unit of the sensor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    pub lower_caution: Option<f64>,
    pub lower_critical: Option<f64>,
    pub upper_caution: Option<f64>,
    pub upper_critical: Option<f64>,
    pub upper_fatal: Option<f64>,
}

/// How far a sensor's value can be trusted. The set grows, so a word that is not known here is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Ok,
    /// The part is off or not fitted.
    Unavailable,
    /// The sensor reports a fault or cannot be read.
    Failed,
    /// The probe stopped answering; set by the agent only.
    Stale,
    /// A later word.
    Other(String),
}

impl Status {
    /// As it stands in WIT and in reports.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ok => "ok",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
            Self::Stale => "stale",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for Status {
    fn from(word: String) -> Self {
        match word.as_str() {
            "ok" => Self::Ok,
            "unavailable" => Self::Unavailable,
            "failed" => Self::Failed,
            "stale" => Self::Stale,
            _ => Self::Other(word),
        }
    }
}

/// One sensor, by place, kind and name.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    pub place: Place,
    pub kind: String,
    pub name: String,
    pub role: Option<String>,
    pub value: Option<f64>,
    pub unit: String,
    pub status: Status,
    pub limits: Limits,
}

/// What the board is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Identity {
    pub hostname: Option<String>,
    pub box_id: Option<u32>,
    pub slot_id: Option<u32>,
    pub cpu_id: Option<u32>,
    pub srio_id: Option<u32>,
    pub box_type: Option<String>,
    pub board_type: Option<String>,
    pub resource_type: Option<String>,
    pub os: Option<String>,
    pub kernel: Option<String>,
    pub architecture: Option<String>,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub serial: Option<String>,
    pub extra: Extras,
}

/// Everything that one probe found in one sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readings {
    pub cpu: Option<Cpu>,
    pub memory: Option<Memory>,
    pub networks: Vec<Network>,
    pub disks: Vec<Disk>,
    pub gpus: Vec<Gpu>,
    pub sensors: Vec<Sensor>,
    pub identity: Option<Identity>,
}

impl Readings {
    /// How many things they are about.
    pub fn count(&self) -> usize {
        let single = usize::from(self.cpu.is_some()) + usize::from(self.memory.is_some());
        let single = single + usize::from(self.identity.is_some());
        single + self.networks.len() + self.disks.len() + self.gpus.len() + self.sensors.len()
    }
}
