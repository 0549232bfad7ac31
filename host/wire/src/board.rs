//! The v1.1 protocol between agent and manager (`agent-manager-v1.1.zh`).
//!
//! ```text
//! manager --UDP multicast--> Query               (section "manager查询")
//! agent   --HTTP POST-----> Heartbeat | Resource (sections "agent心跳信息上报", "agent资源信息上报")
//! manager --HTTP POST-----> DeployRequest -> DeployReply (section "加载命令")
//! ```
//! Every message is JSON in UTF-8 inside [`Envelope`]. Unknown fields are ignored. Numbers may arrive as strings, as the
//! document's own examples write them; they are sent as numbers.

mod deploy;
mod heartbeat;
mod query;
mod resource;

use serde::{Deserialize, Serialize};

pub use deploy::{
    ADDRESS_LIMIT, BadDeploy, DEPLOY_LIMIT, DeployReply, DeployRequest, DeployStart, Echo, Id, Mode,
    NAME_LIMIT, OPTIONS_LIMIT, Outcome, Require,
};
pub use heartbeat::{Gpu, Heartbeat};
pub use query::{BadQuery, Query, ReportUrl};
pub use resource::{
    Component, ComponentConfig, ComponentCpu, ComponentMemory, ComponentNetwork, ComponentResource, Cpu,
    Disk, GpuUsage, Memory, Network, Resource, ResourceReport, State,
};

/// The only `api_version` there is.
pub const API_VERSION: u32 = 1;

/// The multicast group of the document.
pub const GROUP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(239, 192, 168, 80);

/// The port of the document, for the group.
pub const GROUP_PORT: u16 = 3980;

/// Longest query that is looked at, in bytes: the largest datagram that crosses an Ethernet in one piece.
pub const QUERY_LIMIT: usize = 1472;

/// Longest report that is looked at, in bytes.
pub const REPORT_LIMIT: usize = 4 << 20;

/// `{"api_version": 1, "data": …}`, around every message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Always [`API_VERSION`].
    #[serde(deserialize_with = "crate::lenient::number")]
    pub api_version: u32,
    /// The message.
    pub data: T,
}

impl<T> Envelope<T> {
    /// Puts a message into its envelope.
    pub const fn new(data: T) -> Self {
        Self { api_version: API_VERSION, data }
    }
}

impl<T: Serialize> Envelope<T> {
    /// The bytes to send.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Every type of this module has string keys and finite numbers, or numbers that serde_json writes as null.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Why a report is not one.
#[derive(Debug, thiserror::Error)]
pub enum BadReport {
    /// Longer than [`REPORT_LIMIT`].
    #[error("the report has {0} bytes, at most {REPORT_LIMIT} are taken")]
    Oversized(usize),
    /// Not JSON, or not of this shape.
    #[error("the report does not follow the protocol")]
    Malformed(#[source] serde_json::Error),
    /// An `api_version` other than 1.
    #[error("api_version is {0}, only {API_VERSION} is spoken")]
    ApiVersion(u32),
}

/// Reads the body of a report.
fn parse_report<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, BadReport> {
    if bytes.len() > REPORT_LIMIT {
        return Err(BadReport::Oversized(bytes.len()));
    }
    let envelope: Envelope<T> = serde_json::from_slice(bytes).map_err(BadReport::Malformed)?;
    if envelope.api_version != API_VERSION {
        return Err(BadReport::ApiVersion(envelope.api_version));
    }
    Ok(envelope.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_over_the_limit_is_refused_unread() {
        let bytes = vec![b' '; REPORT_LIMIT + 1];
        assert!(matches!(Heartbeat::parse(&bytes), Err(BadReport::Oversized(_))));
    }

    #[test]
    fn a_report_of_another_version_is_named_as_such() {
        let text = include_str!("../samples/board/heartbeat.json")
            .replace("\"api_version\": 1", "\"api_version\": 7");
        assert!(matches!(Heartbeat::parse(text.as_bytes()), Err(BadReport::ApiVersion(7))));
    }

    #[test]
    fn a_heartbeat_without_its_position_is_malformed() {
        let text = include_str!("../samples/board/heartbeat.json").replace("slot_id", "slot");
        assert!(matches!(Heartbeat::parse(text.as_bytes()), Err(BadReport::Malformed(_))));
    }
}
