//! `manager.toml`. Every key has a default; an unknown key is an error that names it and the nearest known one.
//!
//! ```toml
//! state_dir = "/var/lib/cardcage-manager"
//! listen = "0.0.0.0:3926"      # reports, the API under /fleet/v1, /metrics; port 0 takes a free one
//! advertise = "192.168.10.254" # the manager_ip of the queries; default: the address of each interface
//! [discovery]
//! group = "239.192.168.80"
//! port = 3980
//! interfaces = ["eth0"]        # names or addresses; default: every one that is up and does multicast, container
//!                              # bridges aside; the loopback only if it is named
//! heartbeat_every = "5s"
//! resource_every = "10s"
//! spread_ms = 1000             # the answers are wanted spread over this time; default: 1000 where both cadences are
//!                              # 5 s or more, else 0
//! ttl = 1                      # routers that a query may cross, and one
//! [store]
//! flush_every = "1s"           # how much a crash may cost; longer means less writing to the disk
//! [agents]                     # how the agents of the boards are asked to deploy
//! token_file = "/etc/cardcage/agents.token" # the bearer token that agents want; default: none
//! tls = true                   # default: false; without it a token_file is refused, unless token_in_clear = true says
//!                              # that whoever claims to be a board may read it
//! ca = "/etc/cardcage/ca.pem"  # who signed the agents' certificates; needed with tls
//! client_cert = "/etc/cardcage/manager.pem" # the manager's own certificate, where agents want one; default: none
//! client_key = "/etc/cardcage/manager.key"  # its key
//! server_name = "agents.cage"  # the name in the certificates of all agents; default: the address of each
//! ```

mod keys;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU16};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::protocol;

/// The whole configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the inventory and the token are kept.
    pub state_dir: PathBuf,
    /// Where reports and the API are answered.
    pub listen: SocketAddr,
    /// The address that queries name, in place of that of each interface.
    pub advertise: Option<Ipv4Addr>,
    /// The queries.
    pub discovery: Discovery,
    /// The inventory on disk.
    pub store: Store,
    /// How agents are asked to deploy.
    pub agents: Agents,
}

/// The queries.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// Multicast group.
    pub group: Ipv4Addr,
    /// Port of the group.
    pub port: NonZeroU16,
    /// Names or addresses; empty for every suitable one.
    pub interfaces: Vec<String>,
    /// How often boards are asked who they are.
    #[serde(deserialize_with = "duration")]
    pub heartbeat_every: Duration,
    /// How often boards are asked how they are.
    #[serde(deserialize_with = "duration")]
    pub resource_every: Duration,
    /// Over how long the answers are wanted spread. See [`Discovery::spread_ms`].
    spread_ms: Option<u32>,
    /// Time to live of a query.
    pub ttl: NonZeroU8,
}

/// The inventory on disk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// How often changes are written.
    #[serde(deserialize_with = "duration")]
    pub flush_every: Duration,
}

/// How agents are asked to deploy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agents {
    /// The bearer token that agents want.
    pub token_file: Option<PathBuf>,
    /// The token may go to agents in the clear, and so to whoever claims to be a board.
    pub token_in_clear: bool,
    /// Agents speak TLS.
    pub tls: bool,
    /// Who signed their certificates.
    pub ca: Option<PathBuf>,
    /// The manager's own certificate.
    pub client_cert: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
    /// The name in the certificates of all agents, in place of the address of each.
    pub server_name: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: PathBuf::from("/var/lib/cardcage-manager"),
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 3926)),
            advertise: None,
            discovery: Discovery::default(),
            store: Store::default(),
            agents: Agents::default(),
        }
    }
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            group: protocol::GROUP,
            port: NonZeroU16::new(protocol::GROUP_PORT).unwrap_or(NonZeroU16::MIN),
            interfaces: Vec::new(),
            heartbeat_every: Duration::from_secs(5),
            resource_every: Duration::from_secs(10),
            spread_ms: None,
            ttl: NonZeroU8::MIN,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { flush_every: Duration::from_secs(1) }
    }
}

impl Discovery {
    /// From this cadence on the answers are spread without being told to.
    const SPREAD_BY_ITSELF: Duration = Duration::from_secs(5);

    /// Over how long the answers are wanted spread, in milliseconds. A fleet that is asked often is a small one, on a
    /// bench or in a test, whose answers are wanted at once.
    pub fn spread_ms(&self) -> u32 {
        let by_itself = self.shorter_cadence() >= Self::SPREAD_BY_ITSELF;
        self.spread_ms.unwrap_or(if by_itself { 1000 } else { 0 })
    }

    /// The shorter of the two cadences.
    pub fn shorter_cadence(&self) -> Duration {
        self.heartbeat_every.min(self.resource_every)
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// It is not there, or not to be read.
    #[error("cannot read {}: {source}; give the right file with --config", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A value that cannot work.
    #[error("{}: {key} {rule}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What it must be.
        rule: String,
    },
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, BadConfig> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BadConfig::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// The same from text; `path` is for the error.
    pub fn parse(text: &str, path: &Path) -> Result<Self, BadConfig> {
        let malformed = |reason: String| BadConfig::Malformed { path: path.to_owned(), reason };
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| malformed(located(text, None, &error)))?;
        // Our own search comes first: its message names the nearest known key.
        keys::check(&table).map_err(malformed)?;
        let values =
            toml::Deserializer::parse(text).map_err(|error| malformed(located(text, None, &error)))?;
        let config: Self = serde_path_to_error::deserialize(values)
            .map_err(|error| malformed(located(text, Some(&error.path().to_string()), error.inner())))?;
        config.check().map_err(|(key, rule)| BadConfig::Value { path: path.to_owned(), key, rule })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let rule = |holds: bool, key, rule: &str| if holds { Ok(()) } else { Err((key, rule.to_owned())) };
        let discovery = &self.discovery;
        let cadences = Duration::from_millis(100)..=Duration::from_secs(3600);
        rule(discovery.group.is_multicast(), "discovery.group", "must be a multicast address")?;
        rule(
            cadences.contains(&discovery.heartbeat_every),
            "discovery.heartbeat_every",
            "must be 100ms to 1h",
        )?;
        rule(
            cadences.contains(&discovery.resource_every),
            "discovery.resource_every",
            "must be 100ms to 1h",
        )?;
        rule(cadences.contains(&self.store.flush_every), "store.flush_every", "must be 100ms to 1h")?;
        // Later answers would be taken for answers to the next query.
        let spread = Duration::from_millis(discovery.spread_ms().into());
        let spread_fits =
            spread <= discovery.shorter_cadence() / 2 && discovery.spread_ms() <= protocol::SPREAD_LIMIT_MS;
        rule(spread_fits, "discovery.spread_ms", "must be at most half of the shorter cadence, and 60000")?;
        let machine = |ip: Ipv4Addr| !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast());
        rule(self.advertise.is_none_or(machine), "advertise", "must be an address of this machine")?;
        let agents = &self.agents;
        rule(!agents.tls || agents.ca.is_some(), "agents.ca", "must be given where agents.tls is true")?;
        let pair = agents.client_cert.is_some() == agents.client_key.is_some();
        rule(pair, "agents.client_key", "and agents.client_cert must be given together")?;
        let certificates =
            agents.ca.is_some() || agents.client_cert.is_some() || agents.server_name.is_some();
        rule(agents.tls || !certificates, "agents.tls", "must be true where certificates are given")?;
        // Where an agent is, is what an unauthenticated heartbeat says.
        rule(
            agents.tls || agents.token_in_clear || agents.token_file.is_none(),
            "agents.token_file",
            "needs agents.tls = true: without it the token goes in the clear to whoever claims to be a board; \
             where every sender on that network is trusted, say agents.token_in_clear = true",
        )?;
        rule(
            !(agents.tls && agents.token_in_clear),
            "agents.token_in_clear",
            "must not be true where agents.tls is: there the token goes to verified agents alone",
        )?;
        let reachable = match self.listen.ip() {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => ip.is_unspecified(),
        };
        rule(reachable, "listen", "must be an IPv4 address, or [::]: boards report over IPv4")
    }
}

/// What is wrong with the text, in one line: the line that it is in, the key in full, the reason.
fn located(text: &str, key: Option<&str>, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| format!("line {}: ", 1 + before.matches('\n').count()));
    let key = key.map(|key| format!("{key}: "));
    let reason = error.message().split('\n').collect::<Vec<_>>().join(", ");
    format!("{}{}{reason}", line.unwrap_or_default(), key.unwrap_or_default())
}

/// A duration as people write it, such as "5s".
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let explain =
        |error| serde::de::Error::custom(format!("{error}; write a time such as \"5s\" or \"500ms\""));
    humantime::parse_duration(&text).map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("manager.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_a_configuration() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn the_documented_example_is_accepted() {
        let documentation = include_str!("config.rs");
        let example: String = documentation
            .lines()
            .skip_while(|line| *line != "//! ```toml")
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//!").to_owned() + "\n")
            .collect();
        let config = parse(&example).unwrap();
        assert_eq!(config.advertise, Some(Ipv4Addr::new(192, 168, 10, 254)));
        assert_eq!(config.discovery.interfaces, ["eth0"]);
        let defaults = Config {
            advertise: config.advertise,
            discovery: Discovery {
                interfaces: config.discovery.interfaces.clone(),
                spread_ms: Some(1000),
                ..Discovery::default()
            },
            agents: config.agents.clone(),
            ..Config::default()
        };
        assert_eq!(config, defaults, "the example shows the defaults");
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_known_one() {
        let error = parse("[discovery]\nheartbeat_evry = \"5s\"").unwrap_err();
        assert!(
            error.contains("discovery.heartbeat_evry") && error.contains("discovery.heartbeat_every"),
            "{error}"
        );
        let error = parse("heartbeat_every = \"5s\"").unwrap_err();
        assert!(error.contains("did you mean discovery.heartbeat_every"), "{error}");
        assert!(parse("[storr]\n").unwrap_err().contains("did you mean store"));
    }

    #[test]
    fn a_bad_value_is_named_with_its_rule() {
        for (text, expected) in [
            ("[discovery]\ngroup = \"10.0.0.1\"", "discovery.group must be a multicast address"),
            ("[discovery]\nheartbeat_every = \"1ms\"", "discovery.heartbeat_every must be 100ms"),
            ("[discovery]\nheartbeat_every = \"5 parsecs\"", "write a time such as"),
            ("[discovery]\nspread_ms = 4000", "at most half"),
            ("advertise = \"0.0.0.0\"", "advertise must be"),
            ("[agents]\ntls = true", "agents.ca must be given"),
            ("[agents]\nca = \"ca.pem\"", "agents.tls must be true"),
            (
                "[agents]\ntoken_file = \"t\"",
                "agents.token_file needs agents.tls = true: without it the token goes",
            ),
            (
                "[agents]\ntls = true\nca = \"c\"\ntoken_in_clear = true",
                "agents.token_in_clear must not be true",
            ),
            ("[agents]\ntls = true\nca = \"c\"\nclient_key = \"k\"", "must be given together"),
            ("listen = \"[::1]:3926\"", "listen must be an IPv4 address"),
            ("state_dir", "manager.toml: line 1: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_token_needs_tls_or_somebody_who_takes_the_blame() {
        for good in [
            "tls = true\nca = \"c\"\ntoken_file = \"t\"",
            "token_in_clear = true\ntoken_file = \"t\"",
            "tls = false",
        ] {
            assert!(parse(&format!("[agents]\n{good}")).is_ok(), "{good}");
        }
        for bad in ["token_file = \"t\"", "token_file = \"t\"\ntls = false\ntoken_in_clear = false"] {
            let error = parse(&format!("[agents]\n{bad}")).unwrap_err();
            assert!(error.contains("agents.token_in_clear = true"), "{error}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_in_full_with_its_line() {
        for (text, expected) in [
            ("listen = 3926", "manager.toml: line 1: listen: invalid type: integer `3926`"),
            (
                "# a\n[discovery]\nport = \"x\"",
                "manager.toml: line 3: discovery.port: invalid type: string \"x\"",
            ),
            ("[discovery]\nport = 0", "line 2: discovery.port: invalid value: integer `0`"),
            (
                "[discovery]\ninterfaces = [\"a\",\n 1]",
                "line 3: discovery.interfaces[1]: invalid type: integer",
            ),
            ("store = 1", "line 1: store: invalid type: integer"),
            (
                "discovery.heartbeat_every = \"5 parsecs\"",
                "line 1: discovery.heartbeat_every: unknown time unit",
            ),
            ("[store]\nflush_every 5", "manager.toml: line 2: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn a_fleet_that_is_asked_often_is_not_spread() {
        assert_eq!(parse("").unwrap().discovery.spread_ms(), 1000);
        assert_eq!(parse("[discovery]\nheartbeat_every = \"1s\"").unwrap().discovery.spread_ms(), 0);
    }
}
