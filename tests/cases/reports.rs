//! What a report says: exactly the document's fields, with the document's types, once for each query.

use std::collections::BTreeSet;

use cardcage_tests::{World, until};
use cardcage_wire::board::{Heartbeat, ResourceReport};
use serde_json::{Value, json};

/// The structure of a value: its keys, and the type of each. JSON has one kind of number; whether it was written as a
/// whole one matters to readers in other languages. The items of a list must all be alike.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(items) => {
            let mut shapes: Vec<_> = items.iter().map(shape).collect();
            shapes.dedup();
            Value::Array(shapes)
        }
        Value::Number(number) if number.is_f64() => json!("double"),
        Value::Number(_) => json!("int"),
        Value::String(_) => json!("string"),
        Value::Bool(_) => json!("bool"),
        Value::Null => json!("null"),
    }
}

#[test]
fn a_heartbeat_has_the_documents_fields_and_types_and_nothing_else() {
    let world = World::new();
    let agent = world.agent().start();
    let manager = world.listener();
    manager.ask("/heartbeat");
    let report = manager.report();
    let mut found = shape(&report.body);
    let gpus = found["data"]["gpu"].take();
    let expected = json!({
        "api_version": "int",
        "data": {
            "box_id": "int", "slot_id": "int", "cpu_id": "int", "srio_id": "int",
            "host_ip": "string", "hostname": "string", "service_port": "int",
            "box_type": "string", "board_type": "string", "cpu_type": "string", "os_type": "string",
            "resource_type": "string", "cpu_arch": "string",
            "gpu": null,
        }
    });
    assert_eq!(found, expected);
    // This machine may have none.
    assert!([json!([]), json!([{"index": "int", "name": "string"}])].contains(&gpus), "{gpus}");
    let data: Heartbeat = serde_json::from_value(report.data().clone()).unwrap();
    assert_eq!((data.host_ip, data.service_port), (*agent.service().ip(), agent.service().port()));
    assert_eq!(data.hostname, std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
    assert_eq!(data.cpu_arch, std::env::consts::ARCH);
    assert_eq!(report.from.ip(), *agent.service().ip());
    manager.had_no_more();
}

#[test]
fn a_resource_report_has_the_documents_fields_and_types_and_nothing_else() {
    let world = World::new();
    let agent = world.agent().start();
    let manager = world.listener();
    // Usage is a difference of two samples.
    until("cpu has sampled twice", || (agent.plugin("cpu").samples > 1).then_some(()));
    manager.ask("/resource");
    let report = manager.report();
    let mut found = shape(&report.body);
    let gpus = found["data"]["resource"]["gpu"].take();
    let expected = json!({
        "api_version": "int",
        "data": {
            "host_ip": "string",
            "resource": {
                "cpu": {
                    "usage_percent": "double",
                    "load_avg_1m": "double", "load_avg_5m": "double", "load_avg_15m": "double",
                    "core_count": "int", "core_allocated": "int",
                    "temperature": "double", "voltage": "double", "current": "double", "power": "double",
                },
                "memory": {"total": "int", "used": "int", "free": "int", "usage_percent": "double"},
                "network": [{
                    "interface": "string", "rx_bytes": "int", "tx_bytes": "int",
                    "rx_packets": "int", "tx_packets": "int", "rx_errors": "int", "tx_errors": "int",
                }],
                "disk": [{
                    "device": "string", "mount_point": "string",
                    "total": "int", "used": "int", "free": "int", "usage_percent": "double",
                }],
                "gpu": null,
            },
            "component": [],
        }
    });
    assert_eq!(found, expected);
    let gpu = json!([{
        "index": "int", "name": "string", "compute_usage": "double", "mem_usage": "double",
        "mem_used": "int", "mem_total": "int",
        "temperature": "double", "voltage": "double", "current": "double", "power": "double",
    }]);
    assert!([json!([]), gpu].contains(&gpus), "{gpus}");
    let data: ResourceReport = serde_json::from_value(report.data().clone()).unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(usize::try_from(data.resource.cpu.core_count).unwrap() >= cores, "{:?}", data.resource.cpu);
    assert!((0.0..=100.0).contains(&data.resource.cpu.usage_percent));
    let memory = &data.resource.memory;
    assert!(memory.total > 0 && memory.used + memory.free == memory.total, "{memory:?}");
    let interfaces: BTreeSet<_> = data.resource.network.iter().map(|n| n.interface.clone()).collect();
    let there = std::fs::read_dir("/sys/class/net").unwrap();
    let there: BTreeSet<_> = there.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
    assert!(interfaces.contains("lo") && interfaces.is_subset(&there), "{interfaces:?} of {there:?}");
    let mounts: Vec<_> = data.resource.disk.iter().map(|disk| disk.mount_point.clone()).collect();
    assert_eq!(mounts.len(), mounts.iter().collect::<BTreeSet<_>>().len(), "each mount once: {mounts:?}");
}

#[test]
fn what_the_operator_writes_in_chinese_arrives_in_chinese() {
    let world = World::new();
    let agent = world.agent().config(
        "[board]\nbox_id = 1\nslot_id = 3\ncpu_id = 2\nsrio_id = 4\nhostname = \"板卡三\"\nbox_type = \"计算I型\"\n\
         board_type = \"图形处理板\"\nresource_type = \"GPU I\"",
    );
    let _agent = agent.start();
    let manager = world.listener();
    manager.ask("/heartbeat");
    let report = manager.report();
    let data = report.data();
    let texts = ["hostname", "box_type", "board_type", "resource_type"].map(|field| data[field].clone());
    assert_eq!(texts, ["板卡三", "计算I型", "图形处理板", "GPU I"].map(Value::from));
    let numbers = ["box_id", "slot_id", "cpu_id", "srio_id"].map(|field| data[field].clone());
    assert_eq!(numbers, [1, 3, 2, 4].map(Value::from));
    let kind = report.head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-type"));
    assert!(kind.unwrap().contains("application/json"), "{}", report.head);
}

#[test]
fn with_the_extension_every_reading_has_its_age_and_the_agent_its_identity() {
    let world = World::new();
    let agent = world.agent().start();
    let manager = world.listener();
    let heartbeat = manager.answer("/heartbeat");
    let resource = manager.answer("/resource");
    let extension = |body: &Value| body["data"]["cardcage"].clone();
    let (who, how) = (extension(&heartbeat.body), extension(&resource.body));
    assert_eq!(who["agent_id"], how["agent_id"]);
    let id = std::fs::read_to_string(agent.folder().join("state/agent_id")).unwrap();
    assert_eq!(who["agent_id"], id.trim());
    assert_ne!(who["query_id"], how["query_id"]);
    let plugins: Vec<_> = who["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["name"]).collect();
    let probes = ["disk", "gpu", "gpu-nvidia", "hwmon", "identity", "memory", "network"];
    assert_eq!(plugins, [&["cpu", "deploy-bar", "deploy-docker"][..], &probes].concat());
    let readings = resource.readings();
    for part in ["cpu", "memory"] {
        assert!(readings[part]["age_ms"].is_u64(), "{readings}");
    }
    for list in ["network", "disk"] {
        let items = readings[list].as_array().unwrap();
        assert!(!items.is_empty() && items.iter().all(|item| item["age_ms"].is_u64()), "{items:?}");
    }
}

#[test]
fn a_query_that_comes_before_the_first_sample_is_answered_with_one() {
    let world = World::new();
    let manager = world.listener();
    // Nothing is compiled yet: the first sample takes its time.
    let _agent = world.agent().cold().start();
    manager.ask("/resource");
    let report = manager.report();
    let data: ResourceReport = serde_json::from_value(report.data().clone()).unwrap();
    assert!(data.resource.memory.total > 0 && data.resource.cpu.core_count > 0, "{data:?}");
    manager.had_no_more();
}
