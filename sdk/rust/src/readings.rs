//! What a probe can say about a board, with short ways to say it.
//!
//! The records are those of `wit/types/readings.wit`. Most have a `Default` in which everything is unknown, so that a
//! probe names what it knows and ends with `..Default::default()`.

use alloc::string::{String, ToString as _};

pub use crate::bindings::cardcage::types::errors::Error;
pub use crate::bindings::cardcage::types::readings::{
    Cpu, Disk, Extras, Gpu, Identity, Limits, Memory, Network, Place, Sample, Sensor, Value,
};

/// What a sensor measures, and with it the unit of its value and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quantity {
    /// Degrees Celsius (`Cel`).
    Temperature,
    /// Volts.
    Voltage,
    /// Amperes.
    Current,
    /// Watts.
    Power,
    /// Joules, counted up.
    Energy,
    /// Revolutions a minute.
    Fan,
    /// Relative humidity in percent.
    Humidity,
    /// Hertz.
    Frequency,
}

impl Quantity {
    /// The word for [`Sensor::kind`].
    pub fn kind(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::Voltage => "voltage",
            Self::Current => "current",
            Self::Power => "power",
            Self::Energy => "energy",
            Self::Fan => "fan",
            Self::Humidity => "humidity",
            Self::Frequency => "frequency",
        }
    }

    /// The word for [`Sensor::unit`].
    pub fn unit(self) -> &'static str {
        match self {
            Self::Temperature => "Cel",
            Self::Voltage => "V",
            Self::Current => "A",
            Self::Power => "W",
            Self::Energy => "J",
            Self::Fan => "RPM",
            Self::Humidity => "%",
            Self::Frequency => "Hz",
        }
    }
}

/// What a sensor says: a value, or why there is none. A sensor without a value never says 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// The measured value, in the unit of the sensor.
    Value(f64),
    /// The part is off or not fitted.
    Unavailable,
    /// The sensor reports a fault or cannot be read.
    Failed,
}

impl Reading {
    /// [`Sensor::status`] and [`Sensor::value`]. A value that is not finite is a failed sensor.
    fn parts(self) -> (&'static str, Option<f64>) {
        match self {
            Self::Value(value) if value.is_finite() => ("ok", Some(value)),
            Self::Unavailable => ("unavailable", None),
            Self::Value(_) | Self::Failed => ("failed", None),
        }
    }
}

impl From<f64> for Reading {
    fn from(value: f64) -> Self {
        Self::Value(value)
    }
}

impl Place {
    /// The board itself.
    pub fn board() -> Self {
        Self::new("board", "")
    }

    /// The processor package of that number.
    pub fn cpu(package: u32) -> Self {
        Self::new("cpu", package.to_string())
    }

    /// The accelerator of that device name, the same as [`Gpu::device`].
    pub fn gpu(device: impl Into<String>) -> Self {
        Self::new("gpu", device)
    }

    /// A part (`board`, `cpu`, `gpu`, `memory`, `disk`, `network`, `rail`, `fan`, `psu`, or a word of the vendor's own),
    /// and which one of them.
    pub fn new(part: &str, name: impl Into<String>) -> Self {
        Self { part: part.into(), name: name.into() }
    }
}

impl Sensor {
    /// A sensor of any quantity. The name must be the same after a restart, and unique for its place and quantity.
    pub fn new(
        quantity: Quantity,
        place: Place,
        name: impl Into<String>,
        reading: impl Into<Reading>,
    ) -> Self {
        let (status, value) = reading.into().parts();
        Self {
            place,
            kind: quantity.kind().into(),
            name: name.into(),
            role: None,
            value,
            unit: quantity.unit().into(),
            status: status.into(),
            limits: Limits::default(),
        }
    }

    /// A temperature in degrees Celsius.
    pub fn temperature(place: Place, name: impl Into<String>, celsius: impl Into<Reading>) -> Self {
        Self::new(Quantity::Temperature, place, name, celsius)
    }

    /// A voltage in volts.
    pub fn voltage(place: Place, name: impl Into<String>, volts: impl Into<Reading>) -> Self {
        Self::new(Quantity::Voltage, place, name, volts)
    }

    /// A current in amperes.
    pub fn current(place: Place, name: impl Into<String>, amperes: impl Into<Reading>) -> Self {
        Self::new(Quantity::Current, place, name, amperes)
    }

    /// A power in watts.
    pub fn power(place: Place, name: impl Into<String>, watts: impl Into<Reading>) -> Self {
        Self::new(Quantity::Power, place, name, watts)
    }

    /// An energy in joules, counted up.
    pub fn energy(place: Place, name: impl Into<String>, joules: impl Into<Reading>) -> Self {
        Self::new(Quantity::Energy, place, name, joules)
    }

    /// The speed of a fan in revolutions a minute.
    pub fn fan(place: Place, name: impl Into<String>, rpm: impl Into<Reading>) -> Self {
        Self::new(Quantity::Fan, place, name, rpm)
    }

    /// A relative humidity in percent.
    pub fn humidity(place: Place, name: impl Into<String>, percent: impl Into<Reading>) -> Self {
        Self::new(Quantity::Humidity, place, name, percent)
    }

    /// A frequency in hertz.
    pub fn frequency(place: Place, name: impl Into<String>, hertz: impl Into<Reading>) -> Self {
        Self::new(Quantity::Frequency, place, name, hertz)
    }

    /// Marks the sensor that speaks for its place as a whole: one for each place and quantity.
    #[must_use]
    pub fn primary(self) -> Self {
        Self { role: Some("primary".into()), ..self }
    }

    /// Adds thresholds, in the unit of the sensor.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same sensor with another reading: for probes that describe their sensors once.
    #[must_use]
    pub fn reading(&self, reading: impl Into<Reading>) -> Self {
        let (status, value) = reading.into().parts();
        Self { value, status: status.into(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensor_carries_its_kind_unit_and_status() {
        let sensor = Sensor::fan(Place::board(), "front", 2_400.0);
        assert_eq!(
            (sensor.kind.as_str(), sensor.unit.as_str(), sensor.status.as_str()),
            ("fan", "RPM", "ok")
        );
        assert_eq!(sensor.value, Some(2_400.0));
    }

    #[test]
    fn a_sensor_without_a_value_does_not_say_zero() {
        for (reading, status) in [
            (Reading::Failed, "failed"),
            (Reading::Unavailable, "unavailable"),
            (Reading::Value(f64::NAN), "failed"),
            (Reading::Value(f64::INFINITY), "failed"),
        ] {
            let sensor = Sensor::voltage(Place::cpu(0), "core", reading);
            assert_eq!((sensor.status.as_str(), sensor.value), (status, None));
        }
    }

    #[test]
    fn a_described_sensor_takes_new_readings() {
        let limits = Limits { upper_critical: Some(100.0), ..Limits::default() };
        let described =
            Sensor::temperature(Place::cpu(1), "die", Reading::Unavailable).primary().with_limits(limits);
        let read = described.reading(48.5);
        assert_eq!((read.value, read.status.as_str()), (Some(48.5), "ok"));
        assert_eq!((read.place, read.role.as_deref(), read.limits), (Place::cpu(1), Some("primary"), limits));
    }
}
