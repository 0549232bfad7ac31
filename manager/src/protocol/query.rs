//! The query, model to bytes.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use cardcage_wire::board::{Envelope, Query, ReportUrl};
pub use cardcage_wire::board::{GROUP, GROUP_PORT};
use cardcage_wire::extension;
use uuid::Uuid;

use crate::model::Subject;

/// Longest spread that a query may ask for, in milliseconds.
pub const SPREAD_LIMIT_MS: u32 = Query::SPREAD_LIMIT_MS;

/// The datagram that asks for a report to `manager_ip:manager_port`.
///
/// The `query_id` is fresh for each call. A board that hears one datagram on two interfaces answers it once; two
/// different datagrams, with two addresses to report to, are two queries to it and may not share an id.
pub fn datagram(subject: Subject, manager_ip: Ipv4Addr, manager_port: NonZeroU16, spread_ms: u32) -> Vec<u8> {
    let url = match subject {
        Subject::Heartbeat => ReportUrl::Heartbeat,
        Subject::Resource => ReportUrl::Resource,
    };
    let query = Query {
        manager_ip,
        manager_port,
        url,
        extensions: vec![extension::NAME.to_owned()],
        query_id: Some(Uuid::new_v4().to_string()),
        spread_ms: Some(spread_ms),
    };
    Envelope::new(query).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_what_an_agent_accepts_and_fits_one_frame() {
        let bytes = datagram(
            Subject::Resource,
            Ipv4Addr::new(192, 168, 100, 254),
            NonZeroU16::new(63926).unwrap(),
            60_000,
        );
        assert!(bytes.len() < 500, "{} bytes", bytes.len());
        let query = Query::parse(&bytes).unwrap();
        assert_eq!(query.url, ReportUrl::Resource);
        assert_eq!(query.extensions, ["cardcage/1"]);
        assert_eq!(query.spread_ms, Some(60_000));
    }

    #[test]
    fn every_query_has_an_id_of_its_own() {
        let id = || {
            let bytes = datagram(Subject::Heartbeat, Ipv4Addr::LOCALHOST, NonZeroU16::MIN, 0);
            Query::parse(&bytes).unwrap().query_id.unwrap()
        };
        assert_ne!(id(), id());
    }
}
