//! A vendor's plugin alone teaches the agent a new board: no rebuild, one file in a folder.

use cardcage_tests::{ACME_BOARD, World};
use serde_json::json;

#[test]
fn a_plugin_alone_teaches_the_agent_a_new_board() {
    let world = World::new();
    let agent = world.agent().plugin("acme-board.wasm", ACME_BOARD.packed()).start();
    let manager = world.listener();
    let plugin = agent.until_plugin("acme-board", "ready");
    assert_eq!((plugin.support.as_deref(), plugin.built_in), (Some("board"), false));

    let report = manager.answer("/heartbeat");
    let said = |field: &str| report.data()[field].clone();
    assert_eq!(
        ["box_id", "slot_id", "cpu_id", "srio_id"].map(said),
        [json!(7), json!(12), json!(2), json!(5)]
    );
    assert_eq!(
        ["box_type", "board_type", "resource_type"].map(said),
        [json!("计算II型"), json!("ACME"), json!("ACME I")]
    );
    assert_eq!(said("gpu"), json!([{"index": 0, "name": "ACME 加速卡 X1"}]));
    let identity = &report.data()["cardcage"]["identity"];
    assert_eq!(identity["serial"], "C2-000417");
    assert_eq!(identity["extra"]["firmware"], "4.1");

    let report = manager.answer("/resource");
    let cpu = &report.data()["resource"]["cpu"];
    // The hottest, the sum, and only what is primary.
    assert_eq!(
        ["temperature", "power", "voltage", "current"].map(|field| cpu[field].clone()),
        [json!(61.5), json!(30.75), json!(0.875), json!(23.0)]
    );
    let gpu = &report.data()["resource"]["gpu"][0];
    assert_eq!(
        *gpu,
        json!({
            "index": 0, "name": "ACME 加速卡 X1", "compute_usage": 37.5, "mem_usage": 25.0,
            "mem_used": 6_442_450_944_u64, "mem_total": 25_769_803_776_u64,
            "temperature": 71.25, "voltage": 0.0, "current": 0.0, "power": 140.5,
        })
    );
}

#[test]
fn a_sensor_that_v1_1_has_no_field_for_arrives_in_the_extension() {
    let world = World::new();
    let agent = world.agent().plugin("acme-board.wasm", ACME_BOARD.packed()).start();
    let manager = world.listener();
    agent.until_plugin("acme-board", "ready");
    let report = manager.answer("/resource");
    let sensors = report.readings()["sensors"].as_array().unwrap();
    let named = |name: &str| {
        let sensor = sensors.iter().find(|sensor| sensor["plugin"] == "acme-board" && sensor["name"] == name);
        let mut sensor = sensor.unwrap().clone();
        let age = sensor.as_object_mut().unwrap().remove("age_ms").unwrap();
        assert!(age.is_u64(), "{age}");
        sensor
    };
    assert_eq!(
        named("input"),
        json!({
            "place": {"part": "rail", "name": "12V"}, "kind": "voltage", "name": "input", "value": 12.0625, "unit": "V",
            "status": "ok", "limits": {"lower_critical": 10.8, "upper_critical": 13.2}, "plugin": "acme-board",
        })
    );
    // Unknown is absent, never 0.
    assert_eq!(
        named("front"),
        json!({
            "place": {"part": "fan", "name": "1"}, "kind": "fan", "name": "front", "unit": "RPM",
            "status": "unavailable", "limits": {}, "plugin": "acme-board",
        })
    );
    assert_eq!(
        named("inlet"),
        json!({
            "place": {"part": "board"}, "kind": "temperature", "name": "inlet", "unit": "Cel",
            "status": "failed", "limits": {}, "plugin": "acme-board",
        })
    );
}

#[test]
fn what_the_operator_sets_stands_before_what_a_plugin_says() {
    let world = World::new();
    let plan = world.agent().plugin("acme-board.wasm", ACME_BOARD.packed());
    let agent = plan.config("[board]\nslot_id = 3\nboard_type = \"管理板\"").start();
    let manager = world.listener();
    agent.until_plugin("acme-board", "ready");
    let report = manager.answer("/heartbeat");
    let said = |field: &str| report.data()[field].clone();
    assert_eq!(
        ["box_id", "slot_id", "board_type", "box_type"].map(said),
        [json!(7), json!(3), json!("管理板"), json!("计算II型")]
    );
}
