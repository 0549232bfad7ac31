//! What holds for every input: a parser never panics, and what is written is read back as it was.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use cardcage_wire::board::{
    BadDeploy, Component, ComponentConfig, ComponentCpu, ComponentMemory, ComponentNetwork,
    ComponentResource, Cpu, DeployReply, DeployRequest, Disk, Envelope, Gpu, GpuUsage, Heartbeat, Memory,
    Network, Query, ReportUrl, Resource, ResourceReport, State,
};
use cardcage_wire::extension::{self, HeartbeatExtension, ResourceExtension};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse_all(bytes: &[u8]) {
    let _query = Query::parse(bytes);
    let _heartbeat = Heartbeat::parse(bytes);
    let _resource = ResourceReport::parse(bytes);
    let _deploy = DeployRequest::parse(bytes);
    let _reply = DeployReply::parse(bytes);
}

/// Any JSON, with the protocol's own keys among the others.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("/heartbeat")),
        Just(json!("127.0.0.1")),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            btree_map(key(), inner, 0..8).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    const KEYS: [&str; 24] = [
        "manager_ip",
        "manager_port",
        "url",
        "extensions",
        "query_id",
        "spread_ms",
        "box_id",
        "slot_id",
        "cpu_id",
        "srio_id",
        "host_ip",
        "hostname",
        "service_port",
        "gpu",
        "cardcage",
        "resource",
        "cpu",
        "memory",
        "network",
        "disk",
        "component",
        "index",
        "state",
        "config",
    ];
    prop_oneof![3 => prop::sample::select(&KEYS[..]).prop_map(String::from), 1 => any::<String>()]
}

/// A reading: serde_json reads these back bit for bit, as it does every number of up to 15 digits.
fn real() -> impl Strategy<Value = f64> {
    (-1_000_000_000..1_000_000_000_i32).prop_map(|milli| f64::from(milli) / 1000.0)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[计算型板卡风扇]{0,8}"]
}

fn address() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits)
}

fn query() -> impl Strategy<Value = Query> {
    (
        address().prop_filter("of a machine", |ip| {
            !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast())
        }),
        any::<NonZeroU16>(),
        prop::sample::select(&[ReportUrl::Heartbeat, ReportUrl::Resource][..]),
        vec("[a-z0-9/]{1,16}", 0..=16),
        option::of("[ -~]{1,64}"),
        option::of(0..=Query::SPREAD_LIMIT_MS),
    )
        .prop_map(|(manager_ip, manager_port, url, extensions, query_id, spread_ms)| Query {
            manager_ip,
            manager_port,
            url,
            extensions,
            query_id,
            spread_ms,
        })
}

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let gpu = (any::<i32>(), text()).prop_map(|(index, name)| Gpu { index, name });
    let extension = (text(), option::of(text())).prop_map(|(agent_id, query_id)| HeartbeatExtension {
        agent_id,
        query_id,
        ..HeartbeatExtension::default()
    });
    (any::<[i32; 4]>(), address(), any::<u16>(), vec(text(), 7), vec(gpu, 0..4), option::of(extension))
        .prop_map(|([box_id, slot_id, cpu_id, srio_id], host_ip, service_port, texts, gpu, cardcage)| {
            let mut texts = texts.into_iter();
            let mut next = || texts.next().unwrap_or_default();
            Heartbeat {
                box_id,
                slot_id,
                cpu_id,
                srio_id,
                host_ip,
                hostname: next(),
                service_port,
                box_type: next(),
                board_type: next(),
                cpu_type: next(),
                os_type: next(),
                resource_type: next(),
                cpu_arch: next(),
                gpu,
                cardcage,
            }
        })
}

fn cpu() -> impl Strategy<Value = Cpu> {
    (
        [
            real(),
            real(),
            real(),
            real(),
            real(),
            real(),
            real(),
            real(),
        ],
        any::<[i32; 2]>(),
    )
        .prop_map(|(reals, [count, allocated])| {
            let [
                usage_percent,
                load_avg_1m,
                load_avg_5m,
                load_avg_15m,
                temperature,
                voltage,
                current,
                power,
            ] = reals;
            Cpu {
                usage_percent,
                load_avg_1m,
                load_avg_5m,
                load_avg_15m,
                core_count: count,
                core_allocated: allocated,
                temperature,
                voltage,
                current,
                power,
            }
        })
}

fn network() -> impl Strategy<Value = Network> {
    (text(), any::<[u64; 4]>(), any::<[i64; 2]>()).prop_map(|(interface, counters, errors)| {
        let [rx_bytes, tx_bytes, rx_packets, tx_packets] = counters;
        let [rx_errors, tx_errors] = errors;
        Network { interface, rx_bytes, tx_bytes, rx_packets, tx_packets, rx_errors, tx_errors }
    })
}

fn disk() -> impl Strategy<Value = Disk> {
    (text(), text(), any::<[u64; 3]>(), real()).prop_map(
        |(device, mount_point, [total, used, free], usage_percent)| Disk {
            device,
            mount_point,
            total,
            used,
            free,
            usage_percent,
        },
    )
}

fn gpu_usage() -> impl Strategy<Value = GpuUsage> {
    (any::<i32>(), text(), any::<[u64; 2]>(), [real(), real(), real(), real(), real(), real()]).prop_map(
        |(index, name, [mem_used, mem_total], reals)| {
            let [compute_usage, mem_usage, temperature, voltage, current, power] = reals;
            GpuUsage {
                index,
                name,
                compute_usage,
                mem_usage,
                mem_used,
                mem_total,
                temperature,
                voltage,
                current,
                power,
            }
        },
    )
}

fn component() -> impl Strategy<Value = Component> {
    let state = prop::sample::select(
        &[State::Pending, State::Running, State::Failed, State::Stopped, State::Sleeping][..],
    );
    (text(), text(), any::<i32>(), text(), text(), state, real(), any::<[u64; 4]>()).prop_map(
        |(instance_id, uuid, index, name, id, state, load, [mem_used, mem_limit, tx, rx])| Component {
            instance_id,
            uuid,
            index,
            config: ComponentConfig { name, id },
            state,
            resource: ComponentResource {
                cpu: ComponentCpu { load },
                memory: ComponentMemory { mem_used, mem_limit },
                network: ComponentNetwork { tx, rx },
            },
        },
    )
}

fn resource() -> impl Strategy<Value = ResourceReport> {
    let memory = (any::<[u64; 3]>(), real()).prop_map(|([total, used, free], usage_percent)| Memory {
        total,
        used,
        free,
        usage_percent,
    });
    let resource = (cpu(), memory, vec(network(), 0..4), vec(disk(), 0..4), vec(gpu_usage(), 0..4))
        .prop_map(|(cpu, memory, network, disk, gpu)| Resource { cpu, memory, network, disk, gpu });
    let sensor =
        (text(), text(), option::of(real()), any::<u64>()).prop_map(|(part, name, value, age_ms)| {
            extension::Sensor {
                place: extension::Place { part, name },
                value,
                age_ms,
                ..extension::Sensor::default()
            }
        });
    let extension = (text(), vec(sensor, 0..4)).prop_map(|(agent_id, sensors)| ResourceExtension {
        agent_id,
        query_id: None,
        readings: extension::Readings { sensors, ..extension::Readings::default() },
        deployments: Vec::new(),
    });
    (address(), resource, vec(component(), 0..4), option::of(extension)).prop_map(
        |(host_ip, resource, component, cardcage)| ResourceReport { host_ip, resource, component, cardcage },
    )
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..2048)) {
        parse_all(&bytes);
    }

    #[test]
    fn arbitrary_json_never_panics(value in json_value()) {
        parse_all(value.to_string().as_bytes());
        parse_all(json!({"api_version": 1, "data": value}).to_string().as_bytes());
    }

    #[test]
    fn a_cut_or_altered_message_never_panics(cut in 0..600_usize, at in 0..600_usize, byte in any::<u8>()) {
        let mut bytes = include_bytes!("../samples/board/query-extended.json").to_vec();
        bytes.truncate(cut);
        if let Some(altered) = bytes.get_mut(at) {
            *altered = byte;
        }
        parse_all(&bytes);
    }

    #[test]
    fn a_deploy_that_is_altered_never_panics_and_its_reply_can_be_written(
        field in prop::sample::select(vec!["mode", "type", "uuid", "id", "url", "file", "require", "options"]),
        value in json_value(),
    ) {
        let mut request: Value = serde_json::from_slice(include_bytes!("../samples/board/deploy-start.json")).unwrap();
        request["data"][field] = value;
        let echo = match DeployRequest::parse(request.to_string().as_bytes()) {
            Ok(request) => request.echo(),
            Err(BadDeploy::Field { echo, .. }) => *echo,
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        let reply = DeployReply { echo, result: 1, message: String::new() };
        let read = DeployReply::parse(&Envelope::new(reply).to_bytes()).unwrap();
        prop_assert_eq!(read.result, 1);
    }

    #[test]
    fn a_query_is_read_back_as_it_was(query in query()) {
        prop_assert_eq!(Query::parse(&Envelope::new(query.clone()).to_bytes()).ok(), Some(query));
    }

    #[test]
    fn a_heartbeat_is_read_back_as_it_was(heartbeat in heartbeat()) {
        prop_assert_eq!(Heartbeat::parse(&Envelope::new(heartbeat.clone()).to_bytes()).ok(), Some(heartbeat));
    }

    #[test]
    fn a_resource_report_is_read_back_as_it_was(report in resource()) {
        prop_assert_eq!(ResourceReport::parse(&Envelope::new(report.clone()).to_bytes()).ok(), Some(report));
    }
}
