//! The readings of a report that has v1.1's fields alone.
//!
//! v1.1 has no way to leave a number out, so an agent that cannot measure sends 0. Where a working board cannot have
//! a 0 (a temperature, a supply, an amount of memory) it is taken for "unknown"; a share or a load of 0 is one that was
//! measured, unless the amount that it is a share of is unknown too.

use cardcage_wire::board as wire;

use super::resource::limits;
use crate::model::Text;
use crate::model::readings::{Cpu, Disk, Gpu, Memory, Network, Place, Readings, Sensor};

pub(super) fn readings(resource: wire::Resource) -> Readings {
    let mut sensors = Vec::new();
    let cpu = [resource.cpu.temperature, resource.cpu.voltage, resource.cpu.current, resource.cpu.power];
    push_sensors(&mut sensors, &Place { part: "cpu".into(), name: None }, cpu);
    for gpu in resource.gpu.iter().take(limits::GPUS) {
        let place = Place { part: "gpu".into(), name: Some(gpu.index.to_string().as_str().into()) };
        push_sensors(&mut sensors, &place, [gpu.temperature, gpu.voltage, gpu.current, gpu.power]);
    }
    Readings {
        cpu: Some(processors(&resource.cpu)),
        memory: memory(&resource.memory),
        networks: resource.network.into_iter().take(limits::NETWORKS).map(network).collect(),
        disks: resource.disk.into_iter().take(limits::DISKS).map(disk).collect(),
        gpus: resource.gpu.into_iter().take(limits::GPUS).filter_map(gpu).collect(),
        sensors,
    }
}

/// v1.1 gives each processor and accelerator the same four sensors.
fn push_sensors(sensors: &mut Vec<Sensor>, place: &Place, values: [f64; 4]) {
    const KINDS: [(&str, &str); 4] =
        [("temperature", "Cel"), ("voltage", "V"), ("current", "A"), ("power", "W")];
    for ((kind, unit), value) in KINDS.into_iter().zip(values) {
        if value == 0.0 {
            continue;
        }
        sensors.push(Sensor {
            place: place.clone(),
            kind: kind.into(),
            name: kind.into(),
            role: Some("primary".into()),
            value: Some(value),
            unit: unit.into(),
            status: "ok".into(),
            ..Sensor::default()
        });
    }
}

fn processors(cpu: &wire::Cpu) -> Cpu {
    Cpu {
        usage_percent: of_processors(cpu, cpu.usage_percent),
        load_avg_1m: of_processors(cpu, cpu.load_avg_1m),
        load_avg_5m: of_processors(cpu, cpu.load_avg_5m),
        load_avg_15m: of_processors(cpu, cpu.load_avg_15m),
        cores: u32::try_from(cpu.core_count).ok().filter(|cores| *cores != 0),
        ..Cpu::default()
    }
}

/// A share or a load of the processors. Where nobody counted them, a 0 was not measured either.
pub(super) fn of_processors(cpu: &wire::Cpu, value: f64) -> Option<f64> {
    (cpu.core_count != 0 || value != 0.0).then_some(value)
}

fn memory(memory: &wire::Memory) -> Option<Memory> {
    (memory.total != 0).then(|| Memory {
        total: Some(memory.total),
        used: Some(memory.used),
        free: Some(memory.free),
        ..Memory::default()
    })
}

fn network(network: wire::Network) -> Network {
    Network {
        interface: Text::new(network.interface),
        rx_bytes: Some(network.rx_bytes),
        tx_bytes: Some(network.tx_bytes),
        rx_packets: Some(network.rx_packets),
        tx_packets: Some(network.tx_packets),
        rx_errors: u64::try_from(network.rx_errors).ok(),
        tx_errors: u64::try_from(network.tx_errors).ok(),
        ..Network::default()
    }
}

fn disk(disk: wire::Disk) -> Disk {
    let sized = |value: u64| (disk.total != 0).then_some(value);
    Disk {
        total: sized(disk.total),
        used: sized(disk.used),
        free: sized(disk.free),
        mount_point: Text::new(disk.mount_point),
        device: Text::known(disk.device),
        ..Disk::default()
    }
}

/// An accelerator with a negative number cannot be told apart from the others, and is left out.
fn gpu(gpu: wire::GpuUsage) -> Option<Gpu> {
    let sized = gpu.mem_total != 0;
    Some(Gpu {
        index: u32::try_from(gpu.index).ok()?,
        name: Text::known(gpu.name),
        compute_usage: (sized || gpu.compute_usage != 0.0).then_some(gpu.compute_usage),
        memory_usage: (sized || gpu.mem_usage != 0.0).then_some(gpu.mem_usage),
        memory_used: sized.then_some(gpu.mem_used),
        memory_total: sized.then_some(gpu.mem_total),
        ..Gpu::default()
    })
}
