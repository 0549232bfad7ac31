//! How the board is, in the words of v1.1. A number that is not known is 0, because v1.1 readers need a number.

use cardcage_wire::board::{Cpu, Disk, GpuUsage, Memory, Network, Resource, ResourceReport};

use super::deployments::component;
use super::extension;
use super::report::Agent;
use crate::deploy::Views;
use crate::discovery::Accepted;
use crate::model::{self, Aged, GpuReading, Place, Sensor, Snapshot, Status};

pub(super) fn report(
    agent: &Agent,
    asked: &Accepted,
    snapshot: &Snapshot,
    deploys: &Views,
    extended: bool,
) -> ResourceReport {
    ResourceReport {
        host_ip: asked.host_ip,
        resource: resource(snapshot, deploys),
        component: deploys.deployments.iter().map(component).collect(),
        cardcage: extended.then(|| extension::resource(agent.id, asked, snapshot, deploys)),
    }
}

fn resource(snapshot: &Snapshot, deploys: &Views) -> Resource {
    let gpus = snapshot.gpus.iter();
    Resource {
        cpu: cpu(snapshot, deploys),
        memory: snapshot.memory.as_ref().map(memory).unwrap_or_default(),
        network: snapshot.networks.iter().map(network).collect(),
        disk: snapshot.disks.iter().map(disk).collect(),
        gpu: gpus.map(|gpu| gpu_usage(gpu, &snapshot.sensors)).collect(),
    }
}

fn cpu(snapshot: &Snapshot, deploys: &Views) -> Cpu {
    let sensed = Sensed::at(&snapshot.sensors, |place| place.part == "cpu");
    let cpu = snapshot.cpu.as_ref().map(|cpu| &cpu.reading);
    let real = |field: fn(&model::Cpu) -> Option<f64>| known(cpu.and_then(field));
    Cpu {
        usage_percent: real(|cpu| cpu.usage),
        load_avg_1m: real(|cpu| cpu.load_1m),
        load_avg_5m: real(|cpu| cpu.load_5m),
        load_avg_15m: real(|cpu| cpu.load_15m),
        core_count: cpu.and_then(|cpu| cpu.cores).and_then(|cores| cores.try_into().ok()).unwrap_or(0),
        core_allocated: deploys.cores.try_into().unwrap_or(i32::MAX),
        temperature: known(sensed.temperature),
        voltage: known(sensed.voltage),
        current: known(sensed.current),
        power: known(sensed.power),
    }
}

fn memory(memory: &Aged<model::Memory>) -> Memory {
    let memory = &memory.reading;
    Memory {
        total: memory.total.unwrap_or(0),
        used: memory.used.unwrap_or(0),
        free: memory.free.unwrap_or(0),
        usage_percent: known(memory.used.zip(memory.total).and_then(percent)),
    }
}

fn network(network: &Aged<model::Network>) -> Network {
    let network = &network.reading;
    // v1.1 counts errors in an int.
    let errors = |count: Option<u64>| count.map_or(0, |count| count.try_into().unwrap_or(i64::MAX));
    Network {
        interface: network.name.clone(),
        rx_bytes: network.rx_bytes.unwrap_or(0),
        tx_bytes: network.tx_bytes.unwrap_or(0),
        rx_packets: network.rx_packets.unwrap_or(0),
        tx_packets: network.tx_packets.unwrap_or(0),
        rx_errors: errors(network.rx_errors),
        tx_errors: errors(network.tx_errors),
    }
}

/// Usage as `df` has it: of what an ordinary user can reach, so that a disk that is full for users shows 100 %.
fn disk(disk: &Aged<model::Disk>) -> Disk {
    let disk = &disk.reading;
    let reachable = |(used, free): (u64, u64)| percent((used, used.saturating_add(free)));
    Disk {
        device: disk.device.clone().unwrap_or_default(),
        mount_point: disk.mount_point.clone(),
        total: disk.total.unwrap_or(0),
        used: disk.used.unwrap_or(0),
        free: disk.free.unwrap_or(0),
        usage_percent: known(disk.used.zip(disk.free).and_then(reachable)),
    }
}

fn gpu_usage(numbered: &GpuReading, sensors: &[Aged<Sensor>]) -> GpuUsage {
    let gpu = &numbered.gpu.reading;
    let sensed = Sensed::at(sensors, |place| place.part == "gpu" && place.name == gpu.device);
    GpuUsage {
        index: numbered.index.try_into().unwrap_or(i32::MAX),
        name: gpu.name.clone().unwrap_or_default(),
        compute_usage: known(gpu.compute_usage),
        mem_usage: known(
            gpu.memory_usage.or_else(|| gpu.memory_used.zip(gpu.memory_total).and_then(percent)),
        ),
        mem_used: gpu.memory_used.unwrap_or(0),
        mem_total: gpu.memory_total.unwrap_or(0),
        temperature: known(sensed.temperature),
        voltage: known(sensed.voltage),
        current: known(sensed.current),
        power: known(sensed.power),
    }
}

/// The one number of each kind that v1.1 has for a part, out of all sensors placed there.
#[derive(Debug, Default, PartialEq)]
struct Sensed {
    temperature: Option<f64>,
    voltage: Option<f64>,
    current: Option<f64>,
    power: Option<f64>,
}

impl Sensed {
    /// The highest temperature and the sum of the power. Voltage and current only of what is `primary`: of all the
    /// rails of a part, no other is "the" voltage. Of several primary ones, the highest voltage and the summed current.
    fn at(sensors: &[Aged<Sensor>], place: impl Fn(&Place) -> bool) -> Self {
        let mut sensed = Self::default();
        for sensor in sensors.iter().map(|sensor| &sensor.reading) {
            if !place(&sensor.place) || sensor.status != Status::Ok {
                continue;
            }
            let Some(value) = sensor.value else { continue };
            let primary = sensor.role.as_deref() == Some("primary");
            match sensor.kind.as_str() {
                "temperature" => highest(&mut sensed.temperature, value),
                "power" => add(&mut sensed.power, value),
                "voltage" if primary => highest(&mut sensed.voltage, value),
                "current" if primary => add(&mut sensed.current, value),
                _ => {}
            }
        }
        sensed
    }
}

fn highest(so_far: &mut Option<f64>, value: f64) {
    *so_far = Some(so_far.map_or(value, |highest| highest.max(value)));
}

fn add(so_far: &mut Option<f64>, value: f64) {
    *so_far = Some(so_far.unwrap_or(0.0) + value);
}

/// JSON has no infinity, which a sum of finite numbers can still become.
fn known(value: Option<f64>) -> f64 {
    value.filter(|value| value.is_finite()).unwrap_or(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "a percentage, not a counter")]
fn percent((part, whole): (u64, u64)) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}
