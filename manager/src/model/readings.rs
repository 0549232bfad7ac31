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

impl Readings {
    /// Bytes of the items, without their text.
    pub fn weight(&self) -> usize {
        size_of_val(self.networks.as_slice())
            + size_of_val(self.disks.as_slice())
            + size_of_val(self.gpus.as_slice())
            + size_of_val(self.sensors.as_slice())
    }

    /// The sensors of one kind at one part of the board that have a good value, and their values.
    fn values<'a>(&'a self, part: &'a str, kind: &'a str) -> impl Iterator<Item = (&'a Sensor, f64)> {
        self.sensors
            .iter()
            .filter(move |sensor| sensor.place.part.as_str() == part && sensor.kind.as_str() == kind)
            .filter_map(|sensor| Some((sensor, sensor.good_value()?)))
    }

    /// How warm the processors are: the highest good reading at one of them, in degrees Celsius.
    pub fn cpu_temperature(&self) -> Option<f64> {
        self.values("cpu", "temperature").map(|(_, value)| value).reduce(f64::max)
    }

    /// What the board draws, in watts: its own primary sensor if it has one, else processors and accelerators together.
    pub fn power(&self) -> Option<f64> {
        let whole = self.values("board", "power").find(|(sensor, _)| sensor.is_primary());
        let parts = || self.values("cpu", "power").chain(self.values("gpu", "power")).map(|(_, value)| value);
        whole.map(|(_, value)| value).or_else(|| parts().reduce(|sum, value| sum + value))
    }
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

    /// Speaks for its place as a whole.
    fn is_primary(&self) -> bool {
        self.role.as_ref().is_some_and(|role| role.as_str() == "primary")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sensor(part: &str, kind: &str, status: &str, value: f64) -> Sensor {
        Sensor {
            place: Place { part: part.into(), name: None },
            kind: kind.into(),
            status: status.into(),
            value: Some(value),
            ..Sensor::default()
        }
    }

    #[test]
    fn the_warmest_good_sensor_speaks_for_the_processors() {
        let sensors = vec![
            sensor("cpu", "temperature", "ok", 51.0),
            sensor("cpu", "temperature", "ok", 58.5),
            sensor("cpu", "temperature", "failed", 255.0),
            sensor("board", "temperature", "ok", 70.0),
        ];
        assert_eq!(Readings { sensors, ..Readings::default() }.cpu_temperature(), Some(58.5));
    }

    #[test]
    fn the_boards_own_power_sensor_is_preferred_to_the_sum_of_its_parts() {
        let mut sensors = vec![sensor("cpu", "power", "ok", 35.0), sensor("gpu", "power", "ok", 150.0)];
        assert_eq!(Readings { sensors: sensors.clone(), ..Readings::default() }.power(), Some(185.0));
        sensors.push(Sensor { role: Some("primary".into()), ..sensor("board", "power", "ok", 240.0) });
        assert_eq!(Readings { sensors, ..Readings::default() }.power(), Some(240.0));
    }

    #[test]
    fn no_sensor_is_no_reading() {
        assert_eq!((Readings::default().power(), Readings::default().cpu_temperature()), (None, None));
    }
}
