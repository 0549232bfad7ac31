//! The readings of a report that carries our extension. Texts are bounded here; the wire types bound nothing.

use std::time::Duration;

use cardcage_wire::extension as wire;

use super::resource::limits;
use crate::model::Text;
use crate::model::readings::{
    Cpu, Disk, Extra, Extras, Gpu, Limits, Memory, Network, Place, Readings, Sensor,
};

pub(super) fn readings(readings: wire::Readings) -> Readings {
    Readings {
        cpu: readings.cpu.map(cpu),
        memory: readings.memory.map(memory),
        networks: readings.network.into_iter().take(limits::NETWORKS).map(network).collect(),
        disks: readings.disk.into_iter().take(limits::DISKS).map(disk).collect(),
        gpus: readings.gpu.into_iter().take(limits::GPUS).map(gpu).collect(),
        sensors: readings.sensors.into_iter().take(limits::SENSORS).map(sensor).collect(),
    }
}

/// Fields beyond the named ones. What is not a plain value is dropped, as the interface says.
pub(super) fn extras(extras: wire::Extras) -> Extras {
    extras
        .into_iter()
        .take(limits::EXTRAS)
        .filter_map(|(name, value)| Some((Text::new(name), extra(value)?)))
        .collect()
}

fn extra(value: serde_json::Value) -> Option<Extra> {
    match value {
        serde_json::Value::String(text) => Some(Extra::Text(Text::new(text))),
        serde_json::Value::Bool(truth) => Some(Extra::Truth(truth)),
        serde_json::Value::Number(number) => {
            number.as_i64().map(Extra::Whole).or_else(|| number.as_f64().map(Extra::Real))
        }
        _ => None,
    }
}

fn text(value: Option<String>) -> Option<Text> {
    value.and_then(Text::known)
}

fn cpu(cpu: wire::Cpu) -> Cpu {
    Cpu {
        age: Duration::from_millis(cpu.age_ms),
        usage_percent: cpu.usage_percent,
        load_avg_1m: cpu.load_avg_1m,
        load_avg_5m: cpu.load_avg_5m,
        load_avg_15m: cpu.load_avg_15m,
        cores: cpu.cores,
        extra: extras(cpu.extra),
    }
}

fn memory(memory: wire::Memory) -> Memory {
    Memory {
        age: Duration::from_millis(memory.age_ms),
        total: memory.total,
        used: memory.used,
        free: memory.free,
        swap_total: memory.swap_total,
        swap_free: memory.swap_free,
        extra: extras(memory.extra),
    }
}

fn network(network: wire::Network) -> Network {
    Network {
        interface: Text::new(network.interface),
        age: Duration::from_millis(network.age_ms),
        rx_bytes: network.rx_bytes,
        tx_bytes: network.tx_bytes,
        rx_packets: network.rx_packets,
        tx_packets: network.tx_packets,
        rx_errors: network.rx_errors,
        tx_errors: network.tx_errors,
        rx_dropped: network.rx_dropped,
        tx_dropped: network.tx_dropped,
        address: text(network.address),
        state: text(network.state),
        speed: network.speed,
        mtu: network.mtu,
        extra: extras(network.extra),
    }
}

fn disk(disk: wire::Disk) -> Disk {
    Disk {
        mount_point: Text::new(disk.mount_point),
        age: Duration::from_millis(disk.age_ms),
        device: text(disk.device),
        file_system: text(disk.file_system),
        total: disk.total,
        used: disk.used,
        free: disk.free,
        read_only: disk.read_only,
        extra: extras(disk.extra),
    }
}

fn gpu(gpu: wire::Gpu) -> Gpu {
    Gpu {
        index: gpu.index,
        device: Text::known(gpu.device),
        age: Duration::from_millis(gpu.age_ms),
        name: text(gpu.name),
        vendor: text(gpu.vendor),
        driver: text(gpu.driver),
        compute_usage: gpu.compute_usage,
        memory_usage: gpu.memory_usage,
        memory_used: gpu.memory_used,
        memory_total: gpu.memory_total,
        extra: extras(gpu.extra),
    }
}

fn sensor(sensor: wire::Sensor) -> Sensor {
    let limits = sensor.limits;
    Sensor {
        place: Place { part: Text::new(sensor.place.part), name: Text::known(sensor.place.name) },
        kind: Text::new(sensor.kind),
        name: Text::new(sensor.name),
        role: text(sensor.role),
        value: sensor.value,
        unit: Text::new(sensor.unit),
        status: Text::new(sensor.status),
        limits: Limits {
            lower_caution: limits.lower_caution,
            lower_critical: limits.lower_critical,
            upper_caution: limits.upper_caution,
            upper_critical: limits.upper_critical,
            upper_fatal: limits.upper_fatal,
        },
        age: Duration::from_millis(sensor.age_ms),
        plugin: Text::known(sensor.plugin),
    }
}
