//! What a report says: exactly the document's fields, with the document's types.

use cardcage_tests::World;
use serde_json::{Value, json};

/// The structure of a value: its keys, and the type of each. JSON has one kind of number; whether it was written as a
/// whole one matters to readers in other languages.
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
    let expected = json!({
        "api_version": "int",
        "data": {
            "box_id": "int", "slot_id": "int", "cpu_id": "int", "srio_id": "int",
            "host_ip": "string", "hostname": "string", "service_port": "int",
            "box_type": "string", "board_type": "string", "cpu_type": "string", "os_type": "string",
            "resource_type": "string", "cpu_arch": "string",
            "gpu": [],
        }
    });
    assert_eq!(shape(&report.body), expected);
    assert_eq!(report.data()["host_ip"], json!(agent.service().ip()));
    manager.had_no_more();
}
