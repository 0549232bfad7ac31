//! The sensors: a family for each unit, since a family has one unit.

use super::{Family, counter, gauge};
use crate::metrics::fleet::{Series, Subject};
use crate::model::Text;
use crate::model::readings::Sensor;

/// Where it sits, which one of those, and its name.
const SENSOR: &[&str] = &["part", "part_name", "sensor"];

/// Units, the families that they have, and what a value of theirs is multiplied with to come to the base unit.
const UNITS: [(&str, f64); 8] =
    [("Cel", 1.0), ("V", 1.0), ("A", 1.0), ("W", 1.0), ("J", 1.0), ("RPM", 1.0), ("Hz", 1.0), ("%", 0.01)];

pub(super) static FAMILIES: &[Family] = &[
    gauge("sensor_temperature_celsius", SENSOR, "Temperature.", |subject, series| {
        of_unit("Cel", subject, series)
    }),
    gauge("sensor_voltage_volts", SENSOR, "Voltage.", |subject, series| of_unit("V", subject, series)),
    gauge("sensor_current_amperes", SENSOR, "Current.", |subject, series| of_unit("A", subject, series)),
    gauge("sensor_power_watts", SENSOR, "Power.", |subject, series| of_unit("W", subject, series)),
    counter("sensor_energy_joules_total", SENSOR, "Energy since the sensor started.", |subject, series| {
        of_unit("J", subject, series);
    }),
    gauge("sensor_fan_rpm", SENSOR, "Revolutions a minute of a fan.", |subject, series| {
        of_unit("RPM", subject, series)
    }),
    gauge("sensor_frequency_hertz", SENSOR, "Frequency.", |subject, series| of_unit("Hz", subject, series)),
    gauge("sensor_ratio", SENSOR, "What the sensor gives as a share of a whole.", |subject, series| {
        of_unit("%", subject, series);
    }),
    gauge(
        "sensor_other",
        &["part", "part_name", "sensor", "kind", "unit"],
        "Value of a sensor whose unit has no family of its own, in that unit.",
        |subject, series| {
            for (sensor, [part, part_name, name]) in sensors(subject) {
                if !UNITS.iter().any(|(unit, _)| *unit == sensor.unit.as_str()) {
                    let labels = [part, part_name, name, sensor.kind.as_str(), sensor.unit.as_str()];
                    series.push(&labels, sensor.good_value());
                }
            }
        },
    ),
    gauge(
        "sensor_ok",
        &["part", "part_name", "sensor", "kind"],
        "1 if the sensor is well, 0 if it has no good value.",
        |subject, series| {
            for (sensor, [part, part_name, name]) in sensors(subject) {
                let ok = sensor.status.as_str() == "ok";
                series.count(&[part, part_name, name, sensor.kind.as_str()], u64::from(ok));
            }
        },
    ),
];

fn sensors<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = (&'a Sensor, [&'a str; 3])> {
    let sensors = subject.readings().into_iter().flat_map(|readings| &readings.sensors);
    sensors.map(|sensor| {
        let part_name = sensor.place.name.as_ref().map_or("", Text::as_str);
        (sensor, [sensor.place.part.as_str(), part_name, sensor.name.as_str()])
    })
}

fn of_unit(unit: &str, subject: &Subject<'_>, series: &mut Series<'_>) {
    let factor = UNITS.into_iter().find(|(known, _)| *known == unit).map_or(1.0, |(_, factor)| factor);
    for (sensor, labels) in sensors(subject).filter(|(sensor, _)| sensor.unit.as_str() == unit) {
        series.push(&labels, sensor.good_value().map(|value| value * factor));
    }
}
