//! What a probe says, checked and bounded, as the agent's own readings. What breaks a rule is refused with a reason and
//! costs only itself.

use super::bindings::cardcage::types::readings as wit;
use super::bindings::exports::cardcage::probe::sampler as probe;
use super::instance::{Found, Sampled};
use crate::model::{
    Cpu, Disk, Extras, Gpu, Identity, Limits, Memory, Network, Place, Readings, Sensor, Status, Support,
    Value,
};

/// Bounds of `wit/types/readings.wit`.
const NETWORKS: usize = 1024;
const DISKS: usize = 1024;
const GPUS: usize = 256;
const SENSORS: usize = 4096;
const EXTRAS: usize = 64;
const FAULTS: usize = 64;
/// Longest name or text of a reading, in bytes.
const TEXT: usize = 1024;
/// Longest note of a probe, as `wit/probe/sampler.wit` says.
const NOTE: usize = 256;

/// What `configure` answers in 0.1: it has no note.
pub(super) const fn finding_of_0_1(support: u8) -> probe::Finding {
    probe::Finding { support, note: None }
}

/// What a probe makes of the board.
pub(super) fn finding(finding: probe::Finding) -> Found {
    let note = finding.note.map(|note| text(note, NOTE)).filter(|note| !note.trim().is_empty());
    Found { support: Support::from(finding.support), note }
}

/// Checks a sample.
pub(super) fn sample(sample: wit::Sample) -> Sampled {
    let mut check = Check::default();
    let readings = Readings {
        cpu: sample.cpu.and_then(|item| check.item("cpu", "", |ok| cpu(item, ok))),
        memory: sample.memory.map(memory),
        networks: check.list("network interfaces", sample.networks, NETWORKS, |item, _| Some(network(item))),
        disks: check.list("file systems", sample.disks, DISKS, |item, _| Some(disk(item))),
        gpus: check.list("accelerators", sample.gpus, GPUS, |item, check| {
            let name = item.device.clone();
            check.item("gpu", &name, |ok| gpu(item, ok))
        }),
        sensors: check.list("sensors", sample.sensors, SENSORS, |item, check| {
            let name = item.name.clone();
            check.item("sensor", &name, |ok| sensor(item, ok))
        }),
        identity: sample.identity.map(identity),
    };
    let refused = check.faults.len();
    let told = sample.faults.into_iter().take(FAULTS);
    check.faults.extend(told.map(|fault| text(format!("{}: {}", fault.code, fault.detail), TEXT)));
    Sampled { readings, faults: check.faults, refused }
}

/// A text cut to a length, at a character, without control characters.
pub(super) fn text(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate((0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
    }
    match text.chars().any(char::is_control) {
        true => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        false => text,
    }
}

/// What was refused so far.
#[derive(Default)]
struct Check {
    faults: Vec<String>,
}

impl Check {
    fn refuse(&mut self, fault: String) {
        if self.faults.len() < FAULTS {
            self.faults.push(fault);
        }
    }

    /// An item whose numbers are all finite.
    fn item<T>(&mut self, kind: &str, name: &str, make: impl FnOnce(&mut bool) -> T) -> Option<T> {
        let mut finite = true;
        let item = make(&mut finite);
        if !finite {
            self.refuse(format!(
                "invalid: {kind} {} has a number that is not finite",
                text(name.to_owned(), 256)
            ));
        }
        finite.then_some(item)
    }

    fn list<W, T>(
        &mut self,
        what: &str,
        items: Vec<W>,
        most: usize,
        mut make: impl FnMut(W, &mut Self) -> Option<T>,
    ) -> Vec<T> {
        if items.len() > most {
            self.refuse(format!("too-large: {} {what}, of which {most} are taken", items.len()));
        }
        items.into_iter().take(most).filter_map(|item| make(item, self)).collect()
    }
}

/// Notes a number that is not finite.
fn finite(value: Option<f64>, ok: &mut bool) -> Option<f64> {
    *ok &= value.is_none_or(f64::is_finite);
    value
}

fn short(value: String) -> String {
    text(value, TEXT)
}

fn extras(extras: Vec<(String, wit::Value)>) -> Extras {
    let value = |(name, value)| {
        let value = match value {
            wit::Value::Text(value) => Value::Text(short(value)),
            wit::Value::Truth(value) => Value::Truth(value),
            wit::Value::Whole(value) => Value::Whole(value),
            wit::Value::Real(value) if value.is_finite() => Value::Real(value),
            wit::Value::Real(_) => return None,
        };
        Some((text(name, 64), value))
    };
    extras.into_iter().take(EXTRAS).filter_map(value).collect()
}

fn cpu(cpu: wit::Cpu, ok: &mut bool) -> Cpu {
    Cpu {
        usage: finite(cpu.usage, ok),
        load_1m: finite(cpu.load_1m, ok),
        load_5m: finite(cpu.load_5m, ok),
        load_15m: finite(cpu.load_15m, ok),
        cores: cpu.cores,
        model: cpu.model.map(short),
        extra: extras(cpu.extra),
    }
}

fn memory(memory: wit::Memory) -> Memory {
    Memory {
        total: memory.total,
        used: memory.used,
        free: memory.free,
        swap_total: memory.swap_total,
        swap_free: memory.swap_free,
        extra: extras(memory.extra),
    }
}

fn network(network: wit::Network) -> Network {
    Network {
        name: short(network.name),
        rx_bytes: network.rx_bytes,
        tx_bytes: network.tx_bytes,
        rx_packets: network.rx_packets,
        tx_packets: network.tx_packets,
        rx_errors: network.rx_errors,
        tx_errors: network.tx_errors,
        rx_dropped: network.rx_dropped,
        tx_dropped: network.tx_dropped,
        address: network.address.map(short),
        state: network.state.map(short),
        speed: network.speed,
        mtu: network.mtu,
        extra: extras(network.extra),
    }
}

fn disk(disk: wit::Disk) -> Disk {
    Disk {
        mount_point: short(disk.mount_point),
        device: disk.device.map(short),
        file_system: disk.file_system.map(short),
        total: disk.total,
        used: disk.used,
        free: disk.free,
        read_only: disk.read_only,
        extra: extras(disk.extra),
    }
}

fn gpu(gpu: wit::Gpu, ok: &mut bool) -> Gpu {
    Gpu {
        device: short(gpu.device),
        name: gpu.name.map(short),
        vendor: gpu.vendor.map(short),
        driver: gpu.driver.map(short),
        compute_usage: finite(gpu.compute_usage, ok),
        memory_usage: finite(gpu.memory_usage, ok),
        memory_used: gpu.memory_used,
        memory_total: gpu.memory_total,
        extra: extras(gpu.extra),
    }
}

fn sensor(sensor: wit::Sensor, ok: &mut bool) -> Sensor {
    let status = Status::from(short(sensor.status));
    let limits = sensor.limits;
    let value = finite(sensor.value, ok);
    Sensor {
        place: Place { part: short(sensor.place.part), name: short(sensor.place.name) },
        kind: short(sensor.kind),
        name: short(sensor.name),
        role: sensor.role.map(short),
        // A value beside a status that says there is none is not a reading.
        value: value.filter(|_| status == Status::Ok),
        unit: short(sensor.unit),
        limits: Limits {
            lower_caution: finite(limits.lower_caution, ok),
            lower_critical: finite(limits.lower_critical, ok),
            upper_caution: finite(limits.upper_caution, ok),
            upper_critical: finite(limits.upper_critical, ok),
            upper_fatal: finite(limits.upper_fatal, ok),
        },
        status,
    }
}

fn identity(identity: wit::Identity) -> Identity {
    Identity {
        hostname: identity.hostname.map(short),
        box_id: identity.box_id,
        slot_id: identity.slot_id,
        cpu_id: identity.cpu_id,
        srio_id: identity.srio_id,
        box_type: identity.box_type.map(short),
        board_type: identity.board_type.map(short),
        resource_type: identity.resource_type.map(short),
        os: identity.os.map(short),
        kernel: identity.kernel.map(short),
        architecture: identity.architecture.map(short),
        manufacturer: identity.manufacturer.map(short),
        model: identity.model.map(short),
        serial: identity.serial.map(short),
        extra: extras(identity.extra),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> wit::Sample {
        wit::Sample {
            cpu: None,
            memory: None,
            networks: Vec::new(),
            disks: Vec::new(),
            gpus: Vec::new(),
            sensors: Vec::new(),
            identity: None,
            faults: Vec::new(),
        }
    }

    fn temperature(name: &str, value: f64) -> wit::Sensor {
        let limits = wit::Limits {
            lower_caution: None,
            lower_critical: None,
            upper_caution: None,
            upper_critical: None,
            upper_fatal: None,
        };
        wit::Sensor {
            place: wit::Place { part: "board".into(), name: String::new() },
            kind: "temperature".into(),
            name: name.into(),
            role: None,
            value: Some(value),
            unit: "Cel".into(),
            status: "ok".into(),
            limits,
        }
    }

    #[test]
    fn a_number_that_is_not_finite_costs_its_own_item() {
        let sensors =
            vec![temperature("nan", f64::NAN), temperature("inf", f64::INFINITY), temperature("fine", 1.0)];
        let sampled = sample(wit::Sample { sensors, ..empty() });
        assert_eq!(sampled.readings.sensors.len(), 1);
        assert_eq!(sampled.readings.sensors[0].name, "fine");
        assert_eq!(sampled.faults.len(), 2);
    }

    #[test]
    fn a_list_beyond_its_bound_is_cut_with_a_fault() {
        let sensors = (0..5000).map(|n| temperature(&n.to_string(), 1.0)).collect();
        let sampled = sample(wit::Sample { sensors, ..empty() });
        assert_eq!(sampled.readings.sensors.len(), SENSORS);
        assert!(sampled.faults[0].contains("5000 sensors"), "{:?}", sampled.faults);
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_stays_on_its_line() {
        assert_eq!(text("计算".into(), 4), "计");
        assert_eq!(text("a\n\x1b[2Jb".into(), 100), "a  [2Jb");
    }

    #[test]
    fn a_note_is_one_line_of_some_length_or_none() {
        let note = |note: &str| finding(probe::Finding { support: 1, note: Some(note.into()) }).note;
        assert_eq!(note("two\nlines").as_deref(), Some("two lines"));
        assert_eq!(note(&"n".repeat(1000)).map(|note| note.len()), Some(NOTE));
        assert_eq!(note("\n "), None);
        assert_eq!(finding(finding_of_0_1(2)), Found { support: Support::Family, note: None });
    }

    #[test]
    fn a_sensor_that_failed_has_no_value() {
        let failed = wit::Sensor { status: "failed".into(), ..temperature("t", 0.0) };
        let sampled = sample(wit::Sample { sensors: vec![failed], ..empty() });
        assert_eq!(sampled.readings.sensors[0].value, None);
    }
}
