//! The readings that fit into a line, straight from the wire.

use cardcage_wire::board as plain;
use cardcage_wire::extension::{Readings, Sensor};

use super::plain::of_processors;
use super::resource::limits;
use crate::model::Summary;

/// Of a report with our extension.
pub(super) fn extended(readings: &Readings) -> Summary {
    let memory = readings.memory.as_ref();
    Summary {
        cpu_usage: readings.cpu.as_ref().and_then(|cpu| cpu.usage_percent),
        memory_used: memory.and_then(|memory| memory.used),
        memory_total: memory.and_then(|memory| memory.total),
        temperature: values(readings, "cpu", "temperature").map(|(_, value)| value).reduce(f64::max),
        power: power(readings),
        gpus: readings.gpu.len().min(limits::GPUS),
    }
}

/// What the board draws: its own primary sensor says it if there is one, else processors and accelerators together do.
fn power(readings: &Readings) -> Option<f64> {
    let is_primary = |sensor: &Sensor| sensor.role.as_deref() == Some("primary");
    let whole = values(readings, "board", "power").find(|(sensor, _)| is_primary(sensor));
    let parts =
        || values(readings, "cpu", "power").chain(values(readings, "gpu", "power")).map(|(_, value)| value);
    whole.map(|(_, value)| value).or_else(|| parts().reduce(|sum, value| sum + value))
}

/// The sensors of one kind at one part of the board that have a good value, and their values.
fn values<'a>(
    readings: &'a Readings,
    part: &'static str,
    kind: &'static str,
) -> impl Iterator<Item = (&'a Sensor, f64)> {
    let there =
        move |sensor: &&Sensor| sensor.place.part == part && sensor.kind == kind && sensor.status == "ok";
    readings.sensors.iter().filter(there).filter_map(|sensor| Some((sensor, sensor.value?)))
}

/// Of a report with v1.1's fields alone, where 0 stands for unknown; see `plain`.
pub(super) fn plain(resource: &plain::Resource) -> Summary {
    let measured = |value: f64| Some(value).filter(|value| *value != 0.0);
    let powers = resource.gpu.iter().map(|gpu| gpu.power).chain([resource.cpu.power]);
    let sized = |value: u64| (resource.memory.total != 0).then_some(value);
    Summary {
        cpu_usage: of_processors(&resource.cpu, resource.cpu.usage_percent),
        memory_used: sized(resource.memory.used),
        memory_total: sized(resource.memory.total),
        temperature: measured(resource.cpu.temperature),
        power: measured(powers.sum()),
        gpus: resource.gpu.len().min(limits::GPUS),
    }
}

#[cfg(test)]
mod tests {
    use cardcage_wire::extension::Place;

    use super::*;

    fn sensor(part: &str, kind: &str, status: &str, value: f64) -> Sensor {
        Sensor {
            place: Place { part: part.into(), name: String::new() },
            kind: kind.into(),
            status: status.into(),
            value: Some(value),
            ..Sensor::default()
        }
    }

    fn of(sensors: Vec<Sensor>) -> Summary {
        extended(&Readings { sensors, ..Readings::default() })
    }

    #[test]
    fn the_warmest_good_sensor_speaks_for_the_processors() {
        let sensors = vec![
            sensor("cpu", "temperature", "ok", 51.0),
            sensor("cpu", "temperature", "ok", 58.5),
            sensor("cpu", "temperature", "failed", 255.0),
            sensor("board", "temperature", "ok", 70.0),
        ];
        assert_eq!(of(sensors).temperature, Some(58.5));
    }

    #[test]
    fn the_boards_own_power_sensor_is_preferred_to_the_sum_of_its_parts() {
        let mut sensors = vec![sensor("cpu", "power", "ok", 35.0), sensor("gpu", "power", "ok", 150.0)];
        assert_eq!(of(sensors.clone()).power, Some(185.0));
        sensors.push(Sensor { role: Some("primary".into()), ..sensor("board", "power", "ok", 240.0) });
        assert_eq!(of(sensors).power, Some(240.0));
    }

    #[test]
    fn no_sensor_is_no_reading() {
        assert_eq!(of(Vec::new()), Summary::default());
        let nothing = plain(&plain::Resource::default());
        assert_eq!(nothing, Summary::default());
    }

    #[test]
    fn processors_that_are_idle_are_not_processors_that_nobody_looked_at() {
        let usage = |core_count, usage_percent| {
            let cpu = plain::Cpu { core_count, usage_percent, ..plain::Cpu::default() };
            plain(&plain::Resource { cpu, ..plain::Resource::default() }).cpu_usage
        };
        assert_eq!((usage(0, 0.0), usage(8, 0.0), usage(0, 12.5)), (None, Some(0.0), Some(12.5)));
    }
}
