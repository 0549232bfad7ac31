//! `data.cardcage`: what v1.1 has no field for. Unknown is absent here, and every reading has its age.
//!
//! The lists of readings are bounded in the snapshot already.

use cardcage_wire::extension as wire;

use super::deployments;
use super::plugins;
use crate::deploy::Views;
use crate::discovery::Accepted;
use crate::model::{
    self, Aged, Cpu, Disk, Extras, GpuReading, Limits, Memory, Network, PluginStatus, Sensor, Snapshot, Value,
};
use crate::store::AgentId;

const EXTRAS: usize = 64;
const PLUGINS: usize = 256;

pub(super) fn heartbeat(
    agent_id: AgentId,
    asked: &Accepted,
    snapshot: &Snapshot,
    all: &[PluginStatus],
) -> wire::HeartbeatExtension {
    wire::HeartbeatExtension {
        agent_id: agent_id.to_string(),
        query_id: query_id(asked),
        agent_version: env!("CARGO_PKG_VERSION").into(),
        identity: identity(&snapshot.identity),
        plugins: all.iter().take(PLUGINS).map(plugins::wire).collect(),
    }
}

pub(super) fn resource(
    agent_id: AgentId,
    asked: &Accepted,
    snapshot: &Snapshot,
    deploys: &Views,
) -> wire::ResourceExtension {
    wire::ResourceExtension {
        agent_id: agent_id.to_string(),
        query_id: query_id(asked),
        readings: readings(snapshot),
        deployments: deploys.deployments.iter().map(deployments::extended).collect(),
    }
}

fn query_id(asked: &Accepted) -> Option<String> {
    asked.query.query_id.as_deref().map(str::to_owned)
}

fn identity(identity: &model::Identity) -> wire::Identity {
    wire::Identity {
        kernel: identity.kernel.clone(),
        manufacturer: identity.manufacturer.clone(),
        model: identity.model.clone(),
        serial: identity.serial.clone(),
        extra: extras(&identity.extra),
    }
}

fn readings(snapshot: &Snapshot) -> wire::Readings {
    wire::Readings {
        cpu: snapshot.cpu.as_ref().map(cpu),
        memory: snapshot.memory.as_ref().map(memory),
        network: snapshot.networks.iter().map(network).collect(),
        disk: snapshot.disks.iter().map(disk).collect(),
        gpu: snapshot.gpus.iter().map(gpu).collect(),
        sensors: snapshot.sensors.iter().map(sensor).collect(),
    }
}

fn cpu(aged: &Aged<Cpu>) -> wire::Cpu {
    let cpu = &aged.reading;
    wire::Cpu {
        age_ms: age_ms(aged),
        usage_percent: cpu.usage,
        load_avg_1m: cpu.load_1m,
        load_avg_5m: cpu.load_5m,
        load_avg_15m: cpu.load_15m,
        cores: cpu.cores,
        extra: extras(&cpu.extra),
    }
}

fn memory(aged: &Aged<Memory>) -> wire::Memory {
    let memory = &aged.reading;
    wire::Memory {
        age_ms: age_ms(aged),
        total: memory.total,
        used: memory.used,
        free: memory.free,
        swap_total: memory.swap_total,
        swap_free: memory.swap_free,
        extra: extras(&memory.extra),
    }
}

fn network(aged: &Aged<Network>) -> wire::Network {
    let network = &aged.reading;
    wire::Network {
        interface: network.name.clone(),
        age_ms: age_ms(aged),
        rx_bytes: network.rx_bytes,
        tx_bytes: network.tx_bytes,
        rx_packets: network.rx_packets,
        tx_packets: network.tx_packets,
        rx_errors: network.rx_errors,
        tx_errors: network.tx_errors,
        rx_dropped: network.rx_dropped,
        tx_dropped: network.tx_dropped,
        address: network.address.clone(),
        state: network.state.clone(),
        speed: network.speed,
        mtu: network.mtu,
        extra: extras(&network.extra),
    }
}

fn disk(aged: &Aged<Disk>) -> wire::Disk {
    let disk = &aged.reading;
    wire::Disk {
        mount_point: disk.mount_point.clone(),
        age_ms: age_ms(aged),
        device: disk.device.clone(),
        file_system: disk.file_system.clone(),
        total: disk.total,
        used: disk.used,
        free: disk.free,
        read_only: disk.read_only,
        extra: extras(&disk.extra),
    }
}

fn gpu(numbered: &GpuReading) -> wire::Gpu {
    let gpu = &numbered.gpu.reading;
    wire::Gpu {
        index: numbered.index,
        device: gpu.device.clone(),
        age_ms: age_ms(&numbered.gpu),
        name: gpu.name.clone(),
        vendor: gpu.vendor.clone(),
        driver: gpu.driver.clone(),
        compute_usage: gpu.compute_usage,
        memory_usage: gpu.memory_usage,
        memory_used: gpu.memory_used,
        memory_total: gpu.memory_total,
        extra: extras(&gpu.extra),
    }
}

fn sensor(aged: &Aged<Sensor>) -> wire::Sensor {
    let sensor = &aged.reading;
    wire::Sensor {
        place: wire::Place { part: sensor.place.part.clone(), name: sensor.place.name.clone() },
        kind: sensor.kind.clone(),
        name: sensor.name.clone(),
        role: sensor.role.clone(),
        value: sensor.value,
        unit: sensor.unit.clone(),
        status: sensor.status.as_str().into(),
        limits: limits(sensor.limits),
        age_ms: age_ms(aged),
        plugin: aged.plugin.to_string(),
    }
}

fn limits(limits: Limits) -> wire::Limits {
    wire::Limits {
        lower_caution: limits.lower_caution,
        lower_critical: limits.lower_critical,
        upper_caution: limits.upper_caution,
        upper_critical: limits.upper_critical,
        upper_fatal: limits.upper_fatal,
    }
}

fn extras(extras: &Extras) -> wire::Extras {
    let extras = extras.iter().take(EXTRAS);
    extras.map(|(name, value)| (name.clone(), json(value))).collect()
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Truth(truth) => (*truth).into(),
        Value::Whole(whole) => (*whole).into(),
        Value::Real(real) => (*real).into(),
    }
}

fn age_ms<T>(aged: &Aged<T>) -> u64 {
    aged.age.as_millis().try_into().unwrap_or(u64::MAX)
}
