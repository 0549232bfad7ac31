//! The one place that knows both the wire types and the model: bytes become model here, and the model becomes bytes.
//!
//! | file        | message                                                              |
//! |-------------|----------------------------------------------------------------------|
//! | `query`     | out: the multicast query                                             |
//! | `heartbeat` | in: `POST /heartbeat`                                                |
//! | `resource`  | in: `POST /resource`; its readings come from `extended`, else from `plain` |

mod extended;
pub mod heartbeat;
mod plain;
pub mod query;
pub mod resource;

use std::net::Ipv4Addr;

use cardcage_wire::board;
use uuid::Uuid;

pub use cardcage_wire::board::{GROUP, GROUP_PORT, REPORT_LIMIT};

/// Longest spread that a query may ask for, in milliseconds.
pub const SPREAD_LIMIT_MS: u32 = board::Query::SPREAD_LIMIT_MS;

/// Why the body of a report changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum BadReport {
    /// It is not the protocol.
    #[error("{0}{reason}", reason = reason(.0))]
    Wire(board::BadReport),
    /// No machine can have the address that it gives.
    #[error("host_ip {0} is not the address of a machine")]
    HostIp(Ipv4Addr),
    /// It has our extension, but not the identity that belongs to it.
    #[error("cardcage.agent_id is not a UUID")]
    AgentId,
}

/// The parser's reason belongs into the same line: whoever reads it has only the answer to the report.
fn reason(error: &board::BadReport) -> String {
    std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default()
}

fn machine(address: Ipv4Addr) -> Result<Ipv4Addr, BadReport> {
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return Err(BadReport::HostIp(address));
    }
    Ok(address)
}

fn agent_id(text: &str) -> Result<Uuid, BadReport> {
    Uuid::parse_str(text).ok().filter(|id| !id.is_nil()).ok_or(BadReport::AgentId)
}

#[cfg(test)]
mod tests {
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
}
