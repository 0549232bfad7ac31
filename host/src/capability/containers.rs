//! `cardcage:host/containers`: the board's container engine. The mechanism is the crate `cardcage-containers`.

pub mod guest;

use std::path::{Component, Path};

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

    /// A path below a granted one, or the name of a volume. What the path is in the end, once its links are followed, must
    /// be granted too: comes back, and is what is mounted.
    pub fn ask_mount(&self, plugin: &str, source: &str) -> Result<String, Refusal> {
        let granted = &self.ask(plugin)?.mounts;
        let is_volume = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !source.is_empty() && source.chars().all(is_volume) && !source.starts_with('.') {
            return Ok(source.to_owned());
        }
        let path = Path::new(source);
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !plain || source.split('/').any(|part| part == "." || part == "..") {
            return Err(Refusal::Source(source.to_owned()));
        }
        let refused = || Refusal::Mount { plugin: plugin.to_owned(), source_path: source.to_owned() };
        let covers = |path: &Path| {
            granted.iter().any(|granted| {
                let real = granted.canonicalize();
                path.starts_with(granted) || real.is_ok_and(|real| path.starts_with(real))
            })
        };
        if !covers(path) {
            return Err(refused());
        }
        // A folder that is not there has no links to follow; the engine refuses it.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let text = real.to_str().map(str::to_owned);
        text.filter(|_| covers(&real)).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(mounts: &[&Path]) -> Grant {
        Grant::new(Some(config::Containers {
            mounts: mounts.iter().map(|path| path.to_path_buf()).collect(),
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
        assert_eq!(plain.ask_mount("x", "cache").as_deref(), Ok("cache"));
    }

    #[test]
    fn a_mount_leads_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::create_dir_all(inside.join("a")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        let grant = grant(&[&inside]);
        let ask = |path: &Path| grant.ask_mount("x", path.to_str().unwrap());
        assert!(ask(&inside.join("a")).is_ok() && ask(&inside).is_ok());
        assert!(ask(&inside.join("link")).is_err());
        assert!(ask(&outside).is_err());
        assert!(grant.ask_mount("x", &format!("{}/../out", inside.display())).is_err());
        assert!(grant.ask_mount("x", &format!("{}ner", inside.display())).is_err());
        for odd in ["", ".", "..", "relative/path", "./in"] {
            assert!(grant.ask_mount("x", odd).is_err(), "{odd}");
        }
    }
}
