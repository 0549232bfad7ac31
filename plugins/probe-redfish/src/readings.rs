//! What resources of Redfish say, as sensors. A reading that is null is unavailable, never 0.

use std::collections::BTreeSet;

use cardcage_sdk::{Limits, Place, Quantity, Reading, Sensor};
use serde_json::Value;

/// What a resource is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `Temperatures` and `Fans`.
    Thermal,
    /// `PowerControl`, `PowerSupplies` and `Voltages`.
    Power,
    /// One sensor.
    Sensor,
    /// Many in one answer.
    Sensors,
    /// `TemperatureReadingsCelsius` of a `ThermalSubsystem`.
    Metrics,
}

/// The sensors of one resource, with names that differ.
pub(crate) fn sensors(kind: Kind, chassis: &str, resource: &Value) -> Vec<Sensor> {
    let reader = Reader { chassis };
    let mut found = match kind {
        Kind::Thermal => reader.thermal(resource),
        Kind::Power => reader.power(resource),
        Kind::Sensor => reader.sensor(resource).into_iter().collect(),
        Kind::Sensors => list(resource, "Members").filter_map(|member| reader.sensor(member)).collect(),
        Kind::Metrics => reader.metrics(resource),
    };
    let mut known = BTreeSet::new();
    for (number, sensor) in found.iter_mut().enumerate() {
        let key = |sensor: &Sensor| {
            let Place { part, name } = &sensor.place;
            (part.clone(), name.clone(), sensor.kind.clone(), sensor.name.clone())
        };
        if !known.insert(key(sensor)) {
            sensor.name = format!("{} #{number}", sensor.name);
            known.insert(key(sensor));
        }
    }
    found
}

struct Reader<'a> {
    chassis: &'a str,
}

impl Reader<'_> {
    fn here(&self) -> Place {
        Place::new("chassis", self.chassis)
    }

    /// Fans and supplies of several chassis have the same names.
    fn part(&self, part: &str, name: &str) -> Place {
        Place::new(part, format!("{}/{name}", self.chassis))
    }

    fn thermal(&self, resource: &Value) -> Vec<Sensor> {
        let temperatures = list(resource, "Temperatures").filter(|item| is_there(item)).map(|item| {
            let sensor = Sensor::temperature(self.here(), name(item), reading(item, "ReadingCelsius"));
            sensor.with_limits(thresholds(item))
        });
        let fans = list(resource, "Fans").filter(|item| is_there(item)).map(|item| {
            let sensor = Sensor::fan(self.part("fan", &name(item)), "speed", reading(item, "Reading"));
            let sensor = sensor.with_limits(thresholds(item));
            match text(item, "ReadingUnits") {
                Some("Percent") => in_percent(sensor),
                _ => sensor,
            }
        });
        temperatures.chain(fans).collect()
    }

    fn power(&self, resource: &Value) -> Vec<Sensor> {
        let controls = list(resource, "PowerControl")
            .filter(|item| is_there(item))
            .map(|item| Sensor::power(self.here(), name(item), reading(item, "PowerConsumedWatts")));
        let supplies = list(resource, "PowerSupplies").filter(|item| is_there(item)).flat_map(|item| {
            let place = self.part("psu", &name(item));
            let of = |quantity, says, keys: &[&str]| {
                let key = keys.iter().find(|key| item.get(**key).is_some())?;
                Some(Sensor::new(quantity, place.clone(), says, reading(item, key)))
            };
            let output = ["PowerOutputWatts", "LastPowerOutputWatts"];
            [
                of(Quantity::Power, "input", &["PowerInputWatts"]),
                of(Quantity::Power, "output", &output),
                of(Quantity::Voltage, "input", &["LineInputVoltage"]),
            ]
            .into_iter()
            .flatten()
        });
        let rails = list(resource, "Voltages").filter(|item| is_there(item)).map(|item| {
            let place = self.part("rail", &name(item));
            Sensor::voltage(place, "voltage", reading(item, "ReadingVolts")).with_limits(thresholds(item))
        });
        controls.chain(supplies).chain(rails).collect()
    }

    /// One of the newer kind. What has no quantity of ours is left out.
    fn sensor(&self, item: &Value) -> Option<Sensor> {
        if !is_there(item) {
            return None;
        }
        let units = text(item, "ReadingUnits").unwrap_or_default();
        let quantity = match text(item, "ReadingType")? {
            "Temperature" => Quantity::Temperature,
            "Voltage" => Quantity::Voltage,
            "Current" => Quantity::Current,
            "Power" => Quantity::Power,
            "EnergyJoules" => Quantity::Energy,
            "Rotational" => Quantity::Fan,
            "Humidity" => Quantity::Humidity,
            "Frequency" => Quantity::Frequency,
            _ => return None,
        };
        let sensor = Sensor::new(quantity, self.here(), name(item), reading(item, "Reading"));
        let sensor = sensor.with_limits(newer_thresholds(item));
        Some(match quantity {
            Quantity::Fan if units == "%" => in_percent(sensor),
            _ => sensor,
        })
    }

    fn metrics(&self, resource: &Value) -> Vec<Sensor> {
        let items = list(resource, "TemperatureReadingsCelsius");
        let temperature = |item: &Value| {
            let name = text(item, "DeviceName").or_else(|| text(item, "DataSourceUri"))?;
            Some(Sensor::temperature(self.here(), short(name), reading(item, "Reading")))
        };
        items.filter_map(temperature).collect()
    }
}

/// The items of a list, if it is one.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// A text, if it is one and says something.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// A number; some controllers put theirs into quotes.
fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| number.is_finite())
}

fn name(item: &Value) -> String {
    let said = ["Name", "FanName", "MemberId", "Id"].iter().find_map(|key| text(item, key));
    short(said.unwrap_or("unnamed"))
}

fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

/// A part that is not fitted has no sensor.
fn is_there(item: &Value) -> bool {
    let state = item.pointer("/Status/State").and_then(Value::as_str);
    item.is_object() && state != Some("Absent")
}

fn reading(item: &Value, key: &str) -> Reading {
    let state = item.pointer("/Status/State").and_then(Value::as_str).unwrap_or("Enabled");
    // What a part that is off said last is kept by some controllers.
    let off = ["Disabled", "StandbyOffline", "UnavailableOffline", "Starting"].contains(&state);
    match item.get(key).and_then(number) {
        Some(value) if !off => Reading::Value(value),
        _ => Reading::Unavailable,
    }
}

fn thresholds(item: &Value) -> Limits {
    let at = |key: &str| item.get(key).and_then(number);
    Limits {
        lower_caution: at("LowerThresholdNonCritical"),
        lower_critical: at("LowerThresholdCritical"),
        upper_caution: at("UpperThresholdNonCritical"),
        upper_critical: at("UpperThresholdCritical"),
        upper_fatal: at("UpperThresholdFatal"),
    }
}

fn newer_thresholds(item: &Value) -> Limits {
    let at = |key: &str| item.pointer(&format!("/Thresholds/{key}/Reading")).and_then(number);
    Limits {
        lower_caution: at("LowerCaution"),
        lower_critical: at("LowerCritical"),
        upper_caution: at("UpperCaution"),
        upper_critical: at("UpperCritical"),
        upper_fatal: at("UpperFatal"),
    }
}

/// Some fans say how much of their speed they have.
fn in_percent(sensor: Sensor) -> Sensor {
    Sensor { unit: "%".into(), ..sensor }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, json: &str) -> Vec<(String, String, String, Option<f64>, String)> {
        let found = sensors(kind, "1U", &serde_json::from_str(json).unwrap());
        let told =
            |s: Sensor| (format!("{}:{}", s.place.part, s.place.name), s.kind, s.name, s.value, s.status);
        found.into_iter().map(told).collect()
    }

    fn row(
        place: &str,
        kind: &str,
        name: &str,
        value: Option<f64>,
    ) -> (String, String, String, Option<f64>, String) {
        let status = if value.is_some() { "ok" } else { "unavailable" };
        (place.into(), kind.into(), name.into(), value, status.into())
    }

    #[test]
    fn a_reading_that_is_null_is_not_zero() {
        let thermal = r#"{"Temperatures":[
            {"Name":"CPU","ReadingCelsius":41}, {"Name":"CPU","ReadingCelsius":"42.5"}, {"Name":"Inlet","ReadingCelsius":null},
            {"Name":"Slot 2","ReadingCelsius":0,"Status":{"State":"Absent"}},
            {"Name":"GPU","ReadingCelsius":0,"Status":{"State":"UnavailableOffline"}}, 7],
            "Fans":[{"FanName":"F1","Reading":35,"ReadingUnits":"Percent"}]}"#;
        assert_eq!(
            read(Kind::Thermal, thermal),
            [
                row("chassis:1U", "temperature", "CPU", Some(41.0)),
                row("chassis:1U", "temperature", "CPU #1", Some(42.5)),
                row("chassis:1U", "temperature", "Inlet", None),
                row("chassis:1U", "temperature", "GPU", None),
                row("fan:1U/F1", "fan", "speed", Some(35.0)),
            ]
        );
    }

    #[test]
    fn supplies_say_what_they_know() {
        let power = r#"{"PowerControl":[{"Name":"System","PowerConsumedWatts":344}],
            "PowerSupplies":[{"Name":"Bay 1","LastPowerOutputWatts":325,"LineInputVoltage":null}],
            "Voltages":[{"Name":"VRM1","ReadingVolts":12.1,"UpperThresholdCritical":13}]}"#;
        assert_eq!(
            read(Kind::Power, power),
            [
                row("chassis:1U", "power", "System", Some(344.0)),
                row("psu:1U/Bay 1", "power", "output", Some(325.0)),
                row("psu:1U/Bay 1", "voltage", "input", None),
                row("rail:1U/VRM1", "voltage", "voltage", Some(12.1)),
            ]
        );
    }

    #[test]
    fn newer_sensors_have_limits_of_their_own() {
        let sensor = r#"{"Name":"Inlet","ReadingType":"Temperature","Reading":24.5,
            "Thresholds":{"UpperCritical":{"Reading":40},"LowerCaution":{"Reading":5}}}"#;
        let found = sensors(Kind::Sensor, "1U", &serde_json::from_str(sensor).unwrap());
        let limits = found[0].limits;
        assert_eq!(
            (found[0].value, limits.upper_critical, limits.lower_caution),
            (Some(24.5), Some(40.0), Some(5.0))
        );
        assert_eq!(read(Kind::Sensor, r#"{"Name":"x","ReadingType":"Barometric","Reading":1}"#), []);
        let metrics = r#"{"TemperatureReadingsCelsius":[{"DeviceName":"Intake","Reading":24.8}]}"#;
        assert_eq!(read(Kind::Metrics, metrics), [row("chassis:1U", "temperature", "Intake", Some(24.8))]);
    }
}
