//! What both reports share.

use std::net::Ipv4Addr;

use cardcage_wire::board;
use uuid::Uuid;

use crate::model::Text;

/// Longest report that is looked at, in bytes.
pub const REPORT_LIMIT: usize = board::REPORT_LIMIT;

/// Why the body of a report changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum BadReport {
    /// It is not the protocol.
    #[error("{}", one_line(.0))]
    Wire(board::BadReport),
    /// No machine can have the address that it gives.
    #[error("host_ip {0} is not the address of a machine")]
    HostIp(Ipv4Addr),
    /// It has our extension, but not the identity that belongs to it.
    #[error("cardcage.agent_id is not a UUID")]
    AgentId,
}

/// The parser's reason belongs into the same line: whoever reads it has only the answer to the report. It may quote the
/// report, at any length and with any character.
fn one_line(error: &board::BadReport) -> Text {
    let reason = std::error::Error::source(error).map(|source| format!(": {source}"));
    Text::new(format!("{error}{}", reason.unwrap_or_default()))
}

pub(super) fn machine(address: Ipv4Addr) -> Result<Ipv4Addr, BadReport> {
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return Err(BadReport::HostIp(address));
    }
    Ok(address)
}

pub(super) fn agent_id(text: &str) -> Result<Uuid, BadReport> {
    Uuid::parse_str(text).ok().filter(|id| !id.is_nil()).ok_or(BadReport::AgentId)
}
