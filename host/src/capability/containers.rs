//! `cardcage:host/containers`: the board's container engine. The mechanism is the crate `cardcage-containers`.

pub mod guest;

use crate::config;

/// Networks that need no grant: what engines give by default, and none.
const NETWORKS: [&str; 2] = ["bridge", "none"];

/// What containers of a plugin may be given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant(Option<config::Containers>);

/// Something that was not granted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the container engine is not granted; grant it with [plugins.grants.{0}.containers]")]
    Engine(String),
    #[error(
        "the mount of {source_path} is not granted; grant it with [plugins.grants.{plugin}.containers] mounts = [{source_path:?}]"
    )]
    Mount { plugin: String, source_path: String },
    #[error("{0:?} is no plain path or name of a volume, so it is not mounted")]
    Source(String),
    #[error(
        "the network {network} is not granted; grant it with [plugins.grants.{plugin}.containers] networks = [{network:?}]"
    )]
    Network { plugin: String, network: String },
    #[error(
        "port {port} of the board is not granted; grant it with [plugins.grants.{plugin}.containers] ports = \"{port}\""
    )]
    Port { plugin: String, port: u16 },
}

impl Grant {
    pub const fn new(given: Option<config::Containers>) -> Self {
        Self(given)
    }

    pub const fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the engine may be used at all.
    pub fn ask(&self, plugin: &str) -> Result<&config::Containers, Refusal> {
        self.0.as_ref().ok_or_else(|| Refusal::Engine(plugin.to_owned()))
    }

    pub fn ask_port(&self, plugin: &str, port: u16) -> Result<(), Refusal> {
        match self.ask(plugin)?.ports.contains(port) {
            true => Ok(()),
            false => Err(Refusal::Port { plugin: plugin.to_owned(), port }),
        }
    }

    pub fn ask_network(&self, plugin: &str, network: &str) -> Result<(), Refusal> {
        let granted = self.ask(plugin)?.networks.iter().any(|granted| granted == network);
        match granted || NETWORKS.contains(&network) {
            true => Ok(()),
            false => Err(Refusal::Network { plugin: plugin.to_owned(), network: network.to_owned() }),
        }
    }

    /// A granted folder, or a granted volume, by that very name. A folder below a granted one is another folder: a container
    /// that may write to the one could put a link in the other's place before the engine looks again.
    pub fn ask_mount(&self, plugin: &str, source: &str) -> Result<String, Refusal> {
        let granted = &self.ask(plugin)?.mounts;
        let plain = |part: &str| part != "." && part != "..";
        let is_path = source.starts_with('/') && source.split('/').all(plain);
        if !is_path && !config::is_volume(source) {
            return Err(Refusal::Source(source.to_owned()));
        }
        let name = |source: &str| source.trim_end_matches('/').to_owned();
        match granted.iter().any(|granted| name(granted) == name(source)) {
            true => Ok(source.to_owned()),
            false => Err(Refusal::Mount { plugin: plugin.to_owned(), source_path: source.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(mounts: &[&str]) -> Grant {
        Grant::new(Some(config::Containers {
            mounts: mounts.iter().map(ToString::to_string).collect(),
            networks: vec!["host".into()],
            ..config::Containers::default()
        }))
    }

    #[test]
    fn what_is_not_granted_is_refused_with_what_would_grant_it() {
        let nothing = Grant::default();
        assert!(nothing.ask("x").unwrap_err().to_string().contains("[plugins.grants.x.containers]"));
        assert!(nothing.ask_port("x", 8080).is_err());
        let plain = Grant::new(Some(config::Containers::default()));
        assert!(plain.ask_port("x", 8080).is_ok());
        assert!(plain.ask_port("x", 80).unwrap_err().to_string().contains("ports = \"80\""));
        assert!(plain.ask_network("x", "none").is_ok());
        assert!(plain.ask_network("x", "host").unwrap_err().to_string().contains("networks = [\"host\"]"));
        assert!(plain.ask_network("x", "container:abc").is_err());
        assert!(grant(&[]).ask_network("x", "host").is_ok());
        assert!(plain.ask_mount("x", "/etc").unwrap_err().to_string().contains("mounts = [\"/etc\"]"));
        assert!(plain.ask_mount("x", "postgres_data").is_err());
    }

    #[test]
    fn a_mount_is_a_granted_one_and_nothing_below_or_beside_it() {
        let grant = grant(&["/srv/data", "cache"]);
        for granted in ["/srv/data", "/srv/data/", "cache"] {
            assert!(grant.ask_mount("x", granted).is_ok(), "{granted}");
        }
        for other in [
            "/srv",
            "/srv/database",
            "/srv/data/sub",
            "/",
            "/srv/data/../..",
            "/srv/./data",
            "data",
            "",
            ".",
            "..",
            "a/b",
        ] {
            assert!(grant.ask_mount("x", other).is_err(), "{other}");
        }
    }
}
