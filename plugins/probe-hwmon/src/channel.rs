//! One sensor as it was found: what is said of it at every sample, and the files that say how it is.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use cardcage_sdk::{Limits, Place, Quantity, Reading, Sensor};

use crate::attribute::{self, Threshold};
use crate::meter::Meter;

/// A sensor and its files.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) quantity: Quantity,
    /// All but the reading.
    pub(crate) sensor: Sensor,
    /// Path of the value.
    pub(crate) value: String,
    /// Path of a file that says 1 while the sensor is broken.
    pub(crate) fault: Option<String>,
    /// Path of a file that says 0 while the sensor is switched off.
    pub(crate) enable: Option<String>,
    /// The power that a counter of energy tells besides.
    pub(crate) power: Option<(Meter, Sensor)>,
    /// Thresholds that are not read yet.
    pub(crate) thresholds: Vec<Unread>,
}

/// A threshold that is not read yet.
#[derive(Debug, Clone)]
pub(crate) struct Unread {
    /// `max`
    pub(crate) name: &'static str,
    pub(crate) limit: Threshold,
    pub(crate) path: String,
}

impl Channel {
    /// A sensor with nothing but a value.
    pub(crate) fn new(quantity: Quantity, place: Place, name: String, value: String) -> Self {
        let sensor = Sensor::new(quantity, place, name, Reading::Unavailable);
        Self { quantity, sensor, value, fault: None, enable: None, power: None, thresholds: Vec::new() }
    }

    pub(crate) fn with_limits(mut self, limits: Limits) -> Self {
        self.sensor.limits = limits;
        self
    }

    /// Notes what the file of a threshold says.
    pub(crate) fn learn(&mut self, unread: &Unread, raw: Option<i64>) {
        *(unread.limit)(&mut self.sensor.limits) =
            raw.and_then(|raw| attribute::threshold(self.quantity, unread.name, raw));
    }

    /// Makes it the one that speaks for its place, if it is.
    pub(crate) fn primary(mut self, is: bool) -> Self {
        for sensor in self.sensors_mut().filter(|_| is) {
            sensor.role = Some("primary".to_owned());
        }
        self
    }

    /// All that it says: the sensor, and the power that its energy tells.
    pub(crate) fn sensors_mut(&mut self) -> impl Iterator<Item = &mut Sensor> {
        [&mut self.sensor].into_iter().chain(self.power.iter_mut().map(|(_, power)| power))
    }

    /// Adds the power that the counter of energy tells, under the same name.
    pub(crate) fn metered(mut self, range: Option<i64>) -> Self {
        let power = Sensor::power(self.sensor.place.clone(), self.sensor.name.clone(), Reading::Unavailable);
        self.power = Some((Meter::new(range), power));
        self
    }
}
