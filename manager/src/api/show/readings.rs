//! Readings, model to JSON. An age is what it was when the report was sent, and the time since it came.

use std::time::Duration;

use super::{millis, owned};
use crate::api::types::{self, Extras};
use crate::model::readings::{self as model, Extra};
use crate::model::report;

/// How long ago the report came.
#[derive(Clone, Copy)]
pub(super) struct Since(pub(super) Duration);

impl Since {
    fn age_ms(self, then: Duration) -> u64 {
        millis(self.0.saturating_add(then))
    }

    pub(super) fn cpu(self, cpu: &model::Cpu, core_allocated: Option<u32>) -> types::Cpu {
        types::Cpu {
            age_ms: self.age_ms(cpu.age),
            usage_percent: cpu.usage_percent,
            load_avg_1m: cpu.load_avg_1m,
            load_avg_5m: cpu.load_avg_5m,
            load_avg_15m: cpu.load_avg_15m,
            core_count: cpu.cores,
            core_allocated,
            extra: extras(&cpu.extra),
        }
    }

    pub(super) fn memory(self, memory: &model::Memory) -> types::Memory {
        types::Memory {
            age_ms: self.age_ms(memory.age),
            total: memory.total,
            used: memory.used,
            free: memory.free,
            swap_total: memory.swap_total,
            swap_free: memory.swap_free,
            extra: extras(&memory.extra),
        }
    }

    pub(super) fn network(self, network: &model::Network) -> types::Network {
        types::Network {
            interface: network.interface.to_string(),
            age_ms: self.age_ms(network.age),
            rx_bytes: network.rx_bytes,
            tx_bytes: network.tx_bytes,
            rx_packets: network.rx_packets,
            tx_packets: network.tx_packets,
            rx_errors: network.rx_errors,
            tx_errors: network.tx_errors,
            rx_dropped: network.rx_dropped,
            tx_dropped: network.tx_dropped,
            address: owned(network.address.as_ref()),
            state: owned(network.state.as_ref()),
            speed: network.speed,
            mtu: network.mtu,
            extra: extras(&network.extra),
        }
    }

    pub(super) fn disk(self, disk: &model::Disk) -> types::Disk {
        types::Disk {
            mount_point: disk.mount_point.to_string(),
            age_ms: self.age_ms(disk.age),
            device: owned(disk.device.as_ref()),
            file_system: owned(disk.file_system.as_ref()),
            total: disk.total,
            used: disk.used,
            free: disk.free,
            read_only: disk.read_only,
            extra: extras(&disk.extra),
        }
    }

    pub(super) fn gpu(self, gpu: &model::Gpu) -> types::Gpu {
        types::Gpu {
            index: gpu.index,
            device: owned(gpu.device.as_ref()),
            age_ms: self.age_ms(gpu.age),
            name: owned(gpu.name.as_ref()),
            vendor: owned(gpu.vendor.as_ref()),
            driver: owned(gpu.driver.as_ref()),
            compute_usage: gpu.compute_usage,
            mem_usage: gpu.memory_usage,
            mem_used: gpu.memory_used,
            mem_total: gpu.memory_total,
            extra: extras(&gpu.extra),
        }
    }

    pub(super) fn sensor(self, sensor: &model::Sensor) -> types::Sensor {
        types::Sensor {
            place: types::Place {
                part: sensor.place.part.to_string(),
                name: owned(sensor.place.name.as_ref()),
            },
            kind: sensor.kind.to_string(),
            name: sensor.name.to_string(),
            role: owned(sensor.role.as_ref()),
            value: sensor.value,
            unit: sensor.unit.to_string(),
            status: sensor.status.to_string(),
            limits: types::Limits {
                lower_caution: sensor.limits.lower_caution,
                lower_critical: sensor.limits.lower_critical,
                upper_caution: sensor.limits.upper_caution,
                upper_critical: sensor.limits.upper_critical,
                upper_fatal: sensor.limits.upper_fatal,
            },
            age_ms: self.age_ms(sensor.age),
            plugin: owned(sensor.plugin.as_ref()),
        }
    }
}

pub(super) fn component(component: &report::Component) -> types::Component {
    types::Component {
        instance_id: component.instance_id.to_string(),
        uuid: component.uuid.to_string(),
        index: component.index,
        name: component.name.to_string(),
        id: component.id.to_string(),
        state: component.state.to_owned(),
        cpu_load: component.cpu_load,
        mem_used: component.memory_used,
        mem_limit: component.memory_limit,
        tx_bytes: component.tx_bytes,
        rx_bytes: component.rx_bytes,
        placement: component.more.as_ref().map(placement).unwrap_or_default(),
    }
}

pub(super) fn placement(more: &report::Placement) -> types::Placement {
    types::Placement {
        kind: Some(more.kind.to_string()),
        order: Some(more.order.to_string()),
        reason: owned(more.reason.as_ref()),
        unknown: more.unknown,
        cores: more.cores.clone(),
        shared: more.shared,
        memory: more.memory,
        gpus: more.gpus.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn extras(extras: &model::Extras) -> Extras {
    let value = |extra: &Extra| match extra {
        Extra::Text(text) => types::Extra::Text(text.to_string()),
        Extra::Truth(truth) => types::Extra::Truth(*truth),
        Extra::Whole(whole) => types::Extra::Whole(*whole),
        Extra::Real(real) => types::Extra::Real(*real),
    };
    extras.iter().map(|(name, extra)| (name.to_string(), value(extra))).collect()
}
