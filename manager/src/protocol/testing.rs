//! What the tests of both reports share.

use proptest::prelude::*;
use serde_json::{Value, json};

pub(super) fn envelope(data: Value) -> Vec<u8> {
    serde_json::to_vec(&json!({"api_version": 1, "data": data})).unwrap()
}

pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[\\x00-\\x1f\\x7f-\\x9f]{0,400}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,12}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The report with one of its values, at any depth, replaced by anything.
pub(super) fn mutated(report: Value) -> impl Strategy<Value = Value> {
    (any::<prop::sample::Index>(), any_json()).prop_map(move |(index, replacement)| {
        let mut report = report.clone();
        let mut paths = Vec::new();
        collect_paths(&report, String::new(), &mut paths);
        if let Some(value) = report.pointer_mut(&paths[index.index(paths.len())]) {
            *value = replacement;
        }
        report
    })
}

fn collect_paths(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| collect_paths(value, format!("{path}/{name}"), paths));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(i, value)| collect_paths(value, format!("{path}/{i}"), paths));
        }
        _ => {}
    }
    paths.push(path);
}
