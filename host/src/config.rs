//! `agent.toml`: what the operator decides. Every key has a default; an unknown key is an error that names the nearest.

mod allow;
mod suggest;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use allow::Network;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the agent keeps its identity and its compiled plugins.
    pub state_dir: PathBuf,
    pub board: Board,
    pub discovery: Discovery,
    pub service: Service,
    pub managers: Managers,
    pub plugins: Plugins,
    pub kernel: Kernel,
}

/// Overrides of what the identity probes find.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Board {
    pub box_id: Option<u32>,
    pub slot_id: Option<u32>,
    pub cpu_id: Option<u32>,
    pub srio_id: Option<u32>,
    pub box_type: Option<String>,
    pub board_type: Option<String>,
    pub resource_type: Option<String>,
    pub hostname: Option<String>,
}

/// Where queries come in.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    pub group: Ipv4Addr,
    pub port: u16,
    /// Names or addresses. Empty: every interface that is up and does multicast, loopback and container bridges aside.
    pub interfaces: Vec<String>,
}

/// Where commands come in.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    pub listen: SocketAddr,
}

/// Who may ask.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Managers {
    pub allow: Vec<Network>,
}

/// The plugin folder, and what the operator gives to whom.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plugins {
    /// Default: `plugins` in the state directory.
    pub dir: Option<PathBuf>,
    /// By the plugin's name.
    pub grants: BTreeMap<String, Grant>,
    /// By the plugin's name; handed to it as JSON.
    pub settings: BTreeMap<String, toml::Table>,
}

/// What one plugin is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grant {
    /// Folders and files that it may read.
    pub files: Vec<PathBuf>,
    /// Only the file with this SHA-256 may use the grant.
    pub sha256: Option<String>,
}

/// Roots other than the real ones: a recording of a board that is not here. Probes only; nothing else is replayed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    /// Stands for `/proc`.
    pub proc: Option<PathBuf>,
    /// Stands for `/sys`.
    pub sys: Option<PathBuf>,
    /// Stands for `/etc/os-release`.
    pub os_release: Option<PathBuf>,
    /// Stands for what `uname -m` says.
    pub architecture: Option<String>,
    /// Recorded space of file systems, by mount point. Without it a replayed mount has no numbers.
    pub space: BTreeMap<String, Space>,
}

/// Recorded `statvfs` of one file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    pub total: u64,
    pub unused: u64,
    pub available: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/cardcage".into(),
            board: Board::default(),
            discovery: Discovery::default(),
            service: Service::default(),
            managers: Managers::default(),
            plugins: Plugins::default(),
            kernel: Kernel::default(),
        }
    }
}

impl Default for Discovery {
    fn default() -> Self {
        Self { group: Ipv4Addr::new(239, 192, 168, 80), port: 3980, interfaces: Vec::new() }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 23980)) }
    }
}

impl Default for Managers {
    fn default() -> Self {
        Self { allow: vec![Network::LOOPBACK] }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration {path} cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the configuration {path} is not right: {problem}")]
    Parse { path: PathBuf, problem: String },
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|problem| ConfigError::Parse { path: path.to_owned(), problem })
    }

    /// Reads and checks a text; the error is one that an operator can act on.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| suggest::explain(&error, text))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if !self.discovery.group.is_multicast() {
            return Err(format!(
                "discovery.group {} is not a multicast address (224.0.0.0/4)",
                self.discovery.group
            ));
        }
        if self.discovery.port == 0 {
            return Err("discovery.port is 0; the document's port is 3980".into());
        }
        Ok(())
    }

    /// The folder that plugins are dropped into.
    pub fn plugin_dir(&self) -> PathBuf {
        self.plugins.dir.clone().unwrap_or_else(|| self.state_dir.join("plugins"))
    }
}

impl Managers {
    /// May this address query?
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(address))
    }

    /// Whether nobody outside this machine is allowed.
    pub fn allows_only_loopback(&self) -> bool {
        self.allow.iter().all(|network| network.is_loopback())
    }
}
