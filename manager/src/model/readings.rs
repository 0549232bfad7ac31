//! The readings of a board. The meaning and the unit of each field are those of `wit/types/readings.wit`.

use std::time::Duration;

use super::Text;

/// Fields beyond the named ones.
pub type Extras = Vec<(Text, Extra)>;

/// The value of one such field.
#[derive(Debug, Clone, PartialEq)]
pub enum Extra {
    /// Text.
    Text(Text),
    /// Yes or no.
    Truth(bool),
    /// A whole number.
    Whole(i64),
    /// A real number.
    Real(f64),
}

/// All readings of one report. Every one has the age that it had when the agent sent it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readings {
    /// The processors.
    pub cpu: Option<Cpu>,
    /// The main memory.
    pub memory: Option<Memory>,
    /// Network interfaces.
    pub networks: Vec<Network>,
    /// Mounted file systems.
    pub disks: Vec<Disk>,
    /// Accelerators.
    pub gpus: Vec<Gpu>,
    /// Sensors.
    pub sensors: Vec<Sensor>,
}

/// The processors, taken together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cpu {
    /// Since it was read, when it was sent.
    pub age: Duration,
    /// Percent.
    pub usage_percent: Option<f64>,
    /// Load over one minute.
    pub load_avg_1m: Option<f64>,
    /// Load over five minutes.
    pub load_avg_5m: Option<f64>,
    /// Load over fifteen minutes.
    pub load_avg_15m: Option<f64>,
    /// Logical cores online.
    pub cores: Option<u32>,
    /// Further fields.
    pub extra: Extras,
}

/// The main memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// Since it was read, when it was sent.
    pub age: Duration,
    /// In all.
    pub total: Option<u64>,
    /// In use.
    pub used: Option<u64>,
    /// Available.
    pub free: Option<u64>,
    /// Swap in all.
    pub swap_total: Option<u64>,
    /// Swap not in use.
    pub swap_free: Option<u64>,
    /// Further fields.
    pub extra: Extras,
}

/// One network interface.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    /// Its name.
    pub interface: Text,
    /// Since it was read, when it was sent.
    pub age: Duration,
    /// Bytes received.
    pub rx_bytes: Option<u64>,
    /// Bytes sent.
    pub tx_bytes: Option<u64>,
    /// Packets received.
    pub rx_packets: Option<u64>,
    /// Packets sent.
    pub tx_packets: Option<u64>,
    /// Errors on receipt.
    pub rx_errors: Option<u64>,
    /// Errors on sending.
    pub tx_errors: Option<u64>,
    /// Dropped on receipt.
    pub rx_dropped: Option<u64>,
    /// Dropped on sending.
    pub tx_dropped: Option<u64>,
    /// Hardware address.
    pub address: Option<Text>,
    /// Operational state.
    pub state: Option<Text>,
    /// Bits a second.
    pub speed: Option<u64>,
    /// Bytes.
    pub mtu: Option<u32>,
    /// Further fields.
    pub extra: Extras,
}

/// One mounted file system.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Disk {
    /// Where it is mounted.
    pub mount_point: Text,
    /// Since it was read, when it was sent.
    pub age: Duration,
    /// What is mounted.
    pub device: Option<Text>,
    /// Kind of file system.
    pub file_system: Option<Text>,
    /// Bytes.
    pub total: Option<u64>,
    /// Bytes.
    pub used: Option<u64>,
    /// Bytes.
    pub free: Option<u64>,
    /// Mounted for reading only.
    pub read_only: Option<bool>,
    /// Further fields.
    pub extra: Extras,
}

/// One accelerator.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gpu {
    /// Its number.
    pub index: u32,
    /// Its stable name on the bus; v1.1 has none.
    pub device: Option<Text>,
    /// Since it was read, when it was sent.
    pub age: Duration,
    /// Product name.
    pub name: Option<Text>,
    /// Who made it.
    pub vendor: Option<Text>,
    /// The driver that serves it.
    pub driver: Option<Text>,
    /// Percent.
    pub compute_usage: Option<f64>,
    /// Percent.
    pub memory_usage: Option<f64>,
    /// Bytes.
    pub memory_used: Option<u64>,
    /// Bytes.
    pub memory_total: Option<u64>,
    /// Further fields.
    pub extra: Extras,
}

/// One sensor, with Redfish's meaning.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sensor {
    /// Where it sits.
    pub place: Place,
    /// What it measures.
    pub kind: Text,
    /// Stable name.
    pub name: Text,
    /// What it is to its place.
    pub role: Option<Text>,
    /// The measured value.
    pub value: Option<f64>,
    /// Unit of the value and the limits.
    pub unit: Text,
    /// `ok`, or why there is no good value.
    pub status: Text,
    /// Thresholds.
    pub limits: Limits,
    /// Since it was read, when it was sent.
    pub age: Duration,
    /// The plugin that read it; v1.1 does not say.
    pub plugin: Option<Text>,
}

impl Sensor {
    /// The value, if the sensor is well.
    pub fn good_value(&self) -> Option<f64> {
        self.value.filter(|_| self.status.as_str() == "ok")
    }
}

/// Where a sensor sits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The part: `board`, `cpu`, `gpu`, …
    pub part: Text,
    /// Which one; unknown for the board.
    pub name: Option<Text>,
}

/// Thresholds, in the unit of the sensor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Attention at or below.
    pub lower_caution: Option<f64>,
    /// Action at or below.
    pub lower_critical: Option<f64>,
    /// Attention at or above.
    pub upper_caution: Option<f64>,
    /// Action at or above.
    pub upper_critical: Option<f64>,
    /// Damage at or above.
    pub upper_fatal: Option<f64>,
}
