//! A datagram becomes a [`Query`], or the reason why it does not.

use std::net::SocketAddrV4;
use std::time::Duration;

use cardcage_wire::board::{self, BadQuery, ReportUrl};
use cardcage_wire::extension;

use crate::discovery::{DropReason, Query, Subject};

/// Longest query that is looked at, in bytes.
pub const LIMIT: usize = board::QUERY_LIMIT;

/// Reads a datagram. What it claims is not believed yet: that is for `discovery`.
pub fn read(datagram: &[u8]) -> Result<Query, DropReason> {
    let query = board::Query::parse(datagram).map_err(reason)?;
    Ok(Query {
        manager: SocketAddrV4::new(query.manager_ip, query.manager_port.get()),
        subject: match query.url {
            ReportUrl::Heartbeat => Subject::Heartbeat,
            ReportUrl::Resource => Subject::Resource,
        },
        extended: query.extensions.iter().any(|word| word == extension::NAME),
        query_id: query.query_id.map(String::into_boxed_str),
        spread: Duration::from_millis(query.spread_ms.unwrap_or(0).into()),
    })
}

fn reason(bad: BadQuery) -> DropReason {
    match bad {
        BadQuery::Oversized => DropReason::Oversized,
        BadQuery::Malformed(_) => DropReason::Malformed,
        BadQuery::ApiVersion(_) => DropReason::ApiVersion,
        BadQuery::Url(_) => DropReason::Url,
        BadQuery::Port => DropReason::Port,
        BadQuery::Address(_) => DropReason::Address,
        BadQuery::Extension { .. } => DropReason::Extension,
    }
}
