//! What a report says of a made-up board.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use cardcage_wire::board::{Heartbeat, ResourceReport};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::*;
use crate::discovery::Query;
use crate::model::{
    Aged, Cpu, Digest, Disk, Gpu, GpuReading, Identity, Limits, Memory, Network, Place, PluginState, Sensor,
    Status, Value,
};

fn agent() -> Agent {
    Agent {
        id: AgentId::new(Uuid::from_u128(7)),
        board: config::Board {
            slot_id: Some(3),
            box_type: Some("计算I型".into()),
            ..config::Board::default()
        },
        service_port: 23980,
    }
}

fn asked(subject: Subject, extended: bool) -> Accepted {
    Accepted {
        query: Query {
            manager: "127.0.0.1:3926".parse().unwrap(),
            subject,
            extended,
            query_id: Some("q-1".into()),
            spread: Duration::ZERO,
        },
        host_ip: Ipv4Addr::new(10, 0, 0, 5),
        received: Instant::now(),
    }
}

fn heartbeat(snapshot: &Snapshot, extended: bool) -> Heartbeat {
    let body = body(&agent(), &asked(Subject::Heartbeat, extended), snapshot, &[plugin()], &Views::default());
    Heartbeat::parse(&body).unwrap()
}

fn resource(snapshot: &Snapshot, extended: bool) -> ResourceReport {
    let body = body(&agent(), &asked(Subject::Resource, extended), snapshot, &[], &Views::default());
    ResourceReport::parse(&body).unwrap()
}

fn aged<T>(reading: T) -> Aged<T> {
    Aged { age: Duration::from_millis(250), plugin: "probe".into(), reading }
}

fn plugin() -> PluginStatus {
    let (version, digest) = ("1.0.0".into(), Digest([0xab; 32]));
    let status = PluginStatus::new("probe".into(), version, digest, true, PluginState::Ready);
    PluginStatus { samples: 1, ..status }
}

fn sensor(part: &str, of: &str, kind: &str, role: Option<&str>, value: f64) -> Aged<Sensor> {
    aged(Sensor {
        place: Place { part: part.into(), name: of.into() },
        kind: kind.into(),
        name: format!("{kind} {value}"),
        role: role.map(str::to_owned),
        value: Some(value),
        unit: String::new(),
        status: Status::Ok,
        limits: Limits::default(),
    })
}

fn gpu(index: u32, device: &str) -> GpuReading {
    GpuReading {
        index,
        gpu: aged(Gpu {
            device: device.into(),
            name: Some("景嘉微 JM9".into()),
            memory_used: Some(1),
            memory_total: Some(4),
            ..Gpu::default()
        }),
    }
}

/// The keys of an object and of the objects in it, in order.
fn keys(value: &Json) -> Vec<String> {
    match value {
        Json::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| {
                let inner = keys(value).into_iter().map(move |inner| format!("{key}.{inner}"));
                std::iter::once(key.clone()).chain(inner)
            })
            .collect(),
        Json::Array(items) => items.first().map(keys).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn check_keys(subject: Subject, snapshot: &Snapshot, document: &str) {
    let body = body(&agent(), &asked(subject, false), snapshot, &[], &Views::default());
    let sent: Json = serde_json::from_slice(&body).unwrap();
    let document: Json = serde_json::from_str(document).unwrap();
    assert_eq!(keys(&sent), keys(&document));
}

#[test]
fn without_the_extension_a_report_has_exactly_the_documents_fields() {
    let mut snapshot = Snapshot::default();
    snapshot.gpus.push(gpu(0, "0000:03:00.0"));
    snapshot.networks.push(aged(Network::default()));
    snapshot.disks.push(aged(Disk::default()));
    check_keys(Subject::Heartbeat, &snapshot, include_str!("../../../wire/samples/board/heartbeat.json"));
    let document = include_str!("../../../wire/samples/board/resource.json");
    // No deploys yet, so no components.
    let mut document: Json = serde_json::from_str(document).unwrap();
    document["data"]["component"] = json!([]);
    check_keys(Subject::Resource, &snapshot, &document.to_string());
}

#[test]
fn the_operator_decides_before_the_probes_and_the_unknown_is_0_or_empty() {
    let snapshot = Snapshot {
        identity: Identity {
            slot_id: Some(9),
            box_id: Some(2),
            srio_id: Some(u32::MAX),
            hostname: Some("板卡三".into()),
            ..Identity::default()
        },
        ..Snapshot::default()
    };
    let sent = heartbeat(&snapshot, false);
    assert_eq!((sent.box_id, sent.slot_id, sent.cpu_id, sent.srio_id), (2, 3, 0, 0));
    assert_eq!((sent.box_type.as_str(), sent.hostname.as_str()), ("计算I型", "板卡三"));
    assert_eq!((sent.board_type.as_str(), sent.os_type.as_str()), ("", ""));
    assert_eq!((sent.host_ip, sent.service_port), (Ipv4Addr::new(10, 0, 0, 5), 23980));
}

#[test]
fn the_cpu_gets_the_highest_temperature_summed_power_and_only_primary_voltage_and_current() {
    let mut failed = sensor("cpu", "1", "temperature", None, 99.0);
    failed.reading.status = Status::Failed;
    let mut stale = sensor("cpu", "1", "power", None, 500.0);
    stale.reading.status = Status::Stale;
    stale.reading.value = None;
    let snapshot = Snapshot {
        sensors: vec![
            sensor("cpu", "0", "temperature", None, 51.5),
            sensor("cpu", "1", "temperature", None, 62.5),
            failed,
            stale,
            sensor("board", "", "temperature", None, 80.0),
            sensor("cpu", "0", "power", None, 25.0),
            sensor("cpu", "1", "power", None, 30.0),
            sensor("cpu", "0", "voltage", None, 12.0),
            sensor("cpu", "0", "voltage", Some("primary"), 0.95),
            sensor("cpu", "0", "current", Some("primary"), 11.0),
            sensor("rail", "12V", "current", Some("primary"), 99.0),
        ],
        ..Snapshot::default()
    };
    let cpu = resource(&snapshot, false).resource.cpu;
    assert_eq!((cpu.temperature, cpu.power), (62.5, 55.0));
    assert_eq!((cpu.voltage, cpu.current), (0.95, 11.0));
}

#[test]
fn each_gpu_gets_its_own_sensors_only() {
    let snapshot = Snapshot {
        gpus: vec![gpu(0, "0000:03:00.0"), gpu(1, "0000:0b:00.0")],
        sensors: vec![
            sensor("gpu", "0000:03:00.0", "temperature", None, 40.0),
            sensor("gpu", "0000:0b:00.0", "temperature", None, 70.0),
            sensor("gpu", "0000:0b:00.0", "power", None, 100.0),
        ],
        ..Snapshot::default()
    };
    let sent = resource(&snapshot, false).resource.gpu;
    assert_eq!((sent[0].temperature, sent[0].power), (40.0, 0.0));
    assert_eq!((sent[1].temperature, sent[1].power), (70.0, 100.0));
    assert_eq!((sent[1].index, sent[1].mem_usage), (1, 25.0));
}

#[test]
fn usage_is_computed_as_df_does_and_never_divides_by_0() {
    let disk =
        |total, used, free| aged(Disk { mount_point: "/".into(), total, used, free, ..Disk::default() });
    let snapshot = Snapshot {
        memory: Some(aged(Memory { total: Some(200), used: Some(50), ..Memory::default() })),
        disks: vec![
            disk(Some(100), Some(90), Some(0)),
            disk(Some(0), Some(0), Some(0)),
            disk(Some(100), None, Some(1)),
            disk(None, Some(u64::MAX), Some(u64::MAX)),
        ],
        ..Snapshot::default()
    };
    let sent = resource(&snapshot, false).resource;
    assert_eq!((sent.memory.usage_percent, sent.memory.free), (25.0, 0));
    let usage: Vec<f64> = sent.disk.iter().map(|disk| disk.usage_percent).collect();
    assert_eq!(usage, [100.0, 0.0, 0.0, 100.0]);
}

#[test]
fn with_the_extension_the_unknown_is_absent_and_readings_have_ages() {
    let snapshot = Snapshot {
        cpu: Some(aged(Cpu {
            usage: Some(12.5),
            extra: [("base-clock-hertz".into(), Value::Whole(2_300_000_000))].into(),
            ..Cpu::default()
        })),
        sensors: vec![sensor("cpu", "0", "temperature", None, 51.5)],
        ..Snapshot::default()
    };
    let sent = resource(&snapshot, true).cardcage.unwrap();
    assert_eq!(sent.agent_id, "00000000-0000-0000-0000-000000000007");
    assert_eq!(sent.query_id.as_deref(), Some("q-1"));
    let cpu = sent.readings.cpu.unwrap();
    assert_eq!((cpu.age_ms, cpu.usage_percent, cpu.load_avg_1m), (250, Some(12.5), None));
    assert_eq!(cpu.extra["base-clock-hertz"], json!(2_300_000_000_u64));
    assert_eq!(sent.readings.memory, None);
    assert_eq!((sent.readings.sensors[0].value, sent.readings.sensors[0].age_ms), (Some(51.5), 250));

    let plugins = heartbeat(&snapshot, true).cardcage.unwrap().plugins;
    assert_eq!((plugins[0].name.as_str(), plugins[0].state.as_str()), ("probe", "ready"));
    assert_eq!(plugins[0].digest, "ab".repeat(32));
}

#[test]
fn a_sum_beyond_every_number_is_0_and_not_null() {
    let snapshot = Snapshot {
        sensors: vec![
            sensor("cpu", "0", "power", None, f64::MAX),
            sensor("cpu", "1", "power", None, f64::MAX),
        ],
        ..Snapshot::default()
    };
    assert_eq!(resource(&snapshot, false).resource.cpu.power, 0.0);
}

#[test]
fn a_report_over_the_limit_goes_without_what_the_loudest_plugin_says() {
    let mut long = sensor("board", "", "temperature", None, 1.0);
    long.reading.name = "x".repeat(4096);
    long.plugin = "loud".into();
    let mut sensors = vec![long; 4096];
    sensors.push(sensor("board", "", "temperature", None, 2.0));
    let sent = resource(&Snapshot { sensors, ..Snapshot::default() }, true);
    let values: Vec<_> = sent.cardcage.unwrap().readings.sensors.iter().map(|sensor| sensor.value).collect();
    assert_eq!(values, [Some(2.0)]);
}

#[test]
fn a_report_of_v1_1_is_never_over_the_limit_either() {
    let long = Disk { mount_point: "\"".repeat(1024), device: Some("\"".repeat(1024)), ..Disk::default() };
    let sent = resource(&Snapshot { disks: vec![aged(long); 1024], ..Snapshot::default() }, false);
    assert_eq!(sent.resource.disk, []);
}
