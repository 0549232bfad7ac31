//! What a manager multicasts: "report to this address, on this subject".

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use serde::{Deserialize, Deserializer, Serialize};

use super::{API_VERSION, Envelope, QUERY_LIMIT};
use crate::lenient;

/// The subject of a report, and the path it is posted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReportUrl {
    /// Who the board is.
    #[serde(rename = "/heartbeat")]
    Heartbeat,
    /// How the board is.
    #[serde(rename = "/resource")]
    Resource,
}

impl ReportUrl {
    /// The path as it stands in the query and in the POST.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Heartbeat => "/heartbeat",
            Self::Resource => "/resource",
        }
    }
}

/// A query. Every field that v1.1 does not have is absent unless the manager speaks an extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Query {
    /// Where to report: dotted decimal.
    pub manager_ip: Ipv4Addr,
    /// Where to report: the TCP port.
    pub manager_port: NonZeroU16,
    /// What to report.
    pub url: ReportUrl,
    /// Extensions that the manager understands in the answer, such as [`crate::extension::NAME`]. At most 16 are read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// The same in every copy of one query, over whichever interface it goes, and in no other query of any manager: a
    /// UUID. At most 64 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// The answers of the fleet are wanted spread over this many milliseconds, at most [`Query::SPREAD_LIMIT_MS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread_ms: Option<u32>,
}

/// Which rule a datagram breaks.
#[derive(Debug, thiserror::Error)]
pub enum BadQuery {
    /// Longer than [`QUERY_LIMIT`].
    #[error("the query has more than {QUERY_LIMIT} bytes")]
    Oversized,
    /// Not JSON, or not of this shape.
    #[error("the query does not follow the protocol")]
    Malformed(#[source] serde_json::Error),
    /// An `api_version` other than 1.
    #[error("api_version is {0}, only {API_VERSION} is spoken")]
    ApiVersion(u32),
    /// A `url` other than `/heartbeat` and `/resource`.
    #[error("the url is {0:?}, only /heartbeat and /resource are reported to")]
    Url(String),
    /// `manager_port` is 0.
    #[error("manager_port is 0")]
    Port,
    /// `manager_ip` is not an address that one machine can have.
    #[error("manager_ip {0:?} is not the address of a machine")]
    Address(String),
    /// An extension field is out of its bounds.
    #[error("{field} is out of bounds")]
    Extension {
        /// Which one.
        field: &'static str,
    },
}

/// The query as it stands on the wire, before its rules are checked.
#[derive(Deserialize)]
struct Raw {
    manager_ip: String,
    #[serde(deserialize_with = "lenient::number")]
    manager_port: u16,
    url: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    extensions: Vec<String>,
    query_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::optional")]
    spread_ms: Option<u32>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Query {
    /// Longest spread that a manager may ask for: no answer may come when nobody waits for it any more.
    pub const SPREAD_LIMIT_MS: u32 = 60_000;

    /// Reads a datagram.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadQuery> {
        if bytes.len() > QUERY_LIMIT {
            return Err(BadQuery::Oversized);
        }
        // The version is read first, so that a later version is named as such and not as malformed.
        let versioned: Envelope<serde::de::IgnoredAny> =
            serde_json::from_slice(bytes).map_err(BadQuery::Malformed)?;
        if versioned.api_version != API_VERSION {
            return Err(BadQuery::ApiVersion(versioned.api_version));
        }
        let raw: Envelope<Raw> = serde_json::from_slice(bytes).map_err(BadQuery::Malformed)?;
        raw.data.check()
    }
}

impl Raw {
    fn check(self) -> Result<Query, BadQuery> {
        let url = match self.url.as_str() {
            "/heartbeat" => ReportUrl::Heartbeat,
            "/resource" => ReportUrl::Resource,
            _ => return Err(BadQuery::Url(self.url)),
        };
        let manager_port = NonZeroU16::new(self.manager_port).ok_or(BadQuery::Port)?;
        let manager_ip = match self.manager_ip.parse::<Ipv4Addr>() {
            Ok(ip) if !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()) => ip,
            _ => return Err(BadQuery::Address(self.manager_ip)),
        };
        let bounded = |field, fits: bool| fits.then_some(()).ok_or(BadQuery::Extension { field });
        bounded("extensions", self.extensions.len() <= 16)?;
        bounded("query_id", self.query_id.as_ref().is_none_or(|id| !id.is_empty() && id.len() <= 64))?;
        bounded("spread_ms", self.spread_ms.is_none_or(|ms| ms <= Query::SPREAD_LIMIT_MS))?;
        Ok(Query {
            manager_ip,
            manager_port,
            url,
            extensions: self.extensions,
            query_id: self.query_id,
            spread_ms: self.spread_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(data: Value) -> Result<Query, BadQuery> {
        Query::parse(json!({"api_version": 1, "data": data}).to_string().as_bytes())
    }

    /// A good query with one field set to something else.
    fn with(field: &str, value: Value) -> Result<Query, BadQuery> {
        let mut data = json!({"manager_ip": "10.0.0.1", "manager_port": 3926, "url": "/heartbeat"});
        data[field] = value;
        parse(data)
    }

    #[test]
    fn unknown_fields_are_ignored_anywhere() {
        assert!(with("comment", json!({"any": ["thing"]})).is_ok());
        let bytes = br#"{"more":1,"api_version":1,"data":{"manager_ip":"10.0.0.1","manager_port":1,"url":"/resource"}}"#;
        assert!(Query::parse(bytes).is_ok());
    }

    #[test]
    fn more_bytes_than_a_datagram_are_oversized_even_if_they_are_spaces() {
        let mut bytes =
            br#"{"api_version":1,"data":{"manager_ip":"10.0.0.1","manager_port":1,"url":"/resource"}}"#
                .to_vec();
        bytes.resize(QUERY_LIMIT, b' ');
        assert!(Query::parse(&bytes).is_ok());
        bytes.push(b' ');
        assert!(matches!(Query::parse(&bytes), Err(BadQuery::Oversized)));
    }

    #[test]
    fn what_is_not_json_of_this_shape_is_malformed() {
        for bytes in [
            &b""[..],
            b"{",
            b"null",
            b"[]",
            b"{}",
            br#"{"api_version":1}"#,
            br#"{"api_version":1,"data":{}}"#,
            b"\xff\xfe",
            br#"{"api_version":1,"data":{"manager_ip":"10.0.0.1","manager_port":"many","url":"/resource"}}"#,
            br#"{"api_version":1,"data":{"manager_ip":"10.0.0.1","manager_port":65536,"url":"/resource"}}"#,
        ] {
            assert!(
                matches!(Query::parse(bytes), Err(BadQuery::Malformed(_))),
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn a_later_version_is_named_whatever_its_data() {
        let bytes = br#"{"api_version":2,"data":"something new"}"#;
        assert!(matches!(Query::parse(bytes), Err(BadQuery::ApiVersion(2))));
    }

    #[test]
    fn only_the_two_urls_are_reported_to() {
        for url in
            ["/deploy", "heartbeat", "/heartbeat/", "/heartbeat,/resource", "http://10.0.0.2/heartbeat", ""]
        {
            assert!(matches!(with("url", json!(url)), Err(BadQuery::Url(_))), "{url}");
        }
    }

    #[test]
    fn port_0_is_refused() {
        for port in [json!(0), json!("0")] {
            assert!(matches!(with("manager_port", port), Err(BadQuery::Port)));
        }
    }

    #[test]
    fn manager_ip_is_the_dotted_decimal_address_of_one_machine() {
        for ip in
            ["0.0.0.0", "255.255.255.255", "239.192.168.80", "::1", "localhost", "10.0.0", "010.0.0.1", ""]
        {
            assert!(matches!(with("manager_ip", json!(ip)), Err(BadQuery::Address(_))), "{ip}");
        }
    }

    #[test]
    fn extension_fields_are_bounded() {
        let field = |result| match result {
            Err(BadQuery::Extension { field }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(with("extensions", json!(vec!["x"; 17]))), "extensions");
        assert_eq!(field(with("query_id", json!(""))), "query_id");
        assert_eq!(field(with("query_id", json!("x".repeat(65)))), "query_id");
        assert_eq!(field(with("spread_ms", json!(60_001))), "spread_ms");
    }

    #[test]
    fn null_extension_fields_are_absent() {
        for field in ["extensions", "query_id", "spread_ms"] {
            let query = with(field, Value::Null).unwrap();
            assert!(query.extensions.is_empty() && query.query_id.is_none() && query.spread_ms.is_none());
        }
    }
}
