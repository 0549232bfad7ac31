//! `agent.toml`: what the operator decides. Every key has a default; an unknown key is an error that names the nearest.

mod allow;
mod deploy;
mod grants;
mod suggest;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use cardcage_signature::PublicKey;
use serde::Deserialize;

pub use allow::Network;
pub use deploy::{Cores, Deploy, Registry};
pub use grants::{Containers, Grant, Ports, Processes, is_volume};
pub use trust::{Policy, Trusted};

/// Every key, as `run --help` shows it.
pub const EXAMPLE: &str = r#"Every key of the configuration has a default, so an empty file is a configuration:

  state_dir = "/var/lib/cardcage"    # identity, compiled plugins
  [board]                            # what is left out, the probes find where they can
  box_id = 1                         # also slot_id, cpu_id, srio_id
  box_type = "计算I型"               # also board_type, resource_type, hostname
  [discovery]
  group = "239.192.168.80"
  port = 3980
  interfaces = ["eth0"]              # names or addresses; default: every one that is up and does multicast, the loopback
                                     # and container bridges aside
  [service]
  listen = "0.0.0.0:23980"           # POST /deploy; GET /deployments, /healthz, /metrics, /plugins
  token_file = "/etc/cardcage/token" # who deploys must bring this token; default: none is asked for
  tls_cert = "/etc/cardcage/board.crt" # with tls_key: TLS and nothing else
  tls_key = "/etc/cardcage/board.key"
  client_ca = "/etc/cardcage/ca.crt" # only clients whose certificate this signed
  [managers]
  allow = ["192.168.10.0/24"]        # who may ask and deploy; default: ["127.0.0.0/8"], this machine
  [plugins]
  dir = "/var/lib/cardcage/plugins"  # default: plugins in state_dir
  policy = "require"                 # or "warn" or "off": what is done about plugins that no trusted key signed
  trust = [                          # as `cardcage-agent plugin keygen` prints them; a table binds a key
    { key = "ed25519:CJ0Y7vm0zZF8ffd3Z5O8fEkLBPBxSyDhuAsThuJRvLA=", name = "ACME", plugins = ["acme-*"], capabilities = ["files"] },
  ]
  push = true                        # managers that may deploy may also bring plugins, if a trusted key signed them; needs
                                     # policy = "require"; default: false
  [plugins.grants.acme-psu]          # what the plugin of that name is given
  files = ["/sys/class/acme"]        # files and folders that it may read
  http = ["https://10.0.0.5", "bmc.local:8443"] # where it may send requests, by scheme, name and port; "*" for anywhere
  http_ca = "/etc/cardcage/bmc-ca.crt" # whom it trusts there; default: /etc/ssl/certs/ca-certificates.crt
  http_pin = ["sha256:0000000000000000000000000000000000000000000000000000000000000000"] # or these certificates alone
  sha256 = "0000000000000000000000000000000000000000000000000000000000000000" # only this file
  signer = "ed25519:CJ0Y7vm0zZF8ffd3Z5O8fEkLBPBxSyDhuAsThuJRvLA=" # only what it signed
  artifacts = ["repo.example:8080"]  # repositories that it may fetch from; "*" for any
  [plugins.grants.deploy-docker.containers] # bounds of what containers may be given
  mounts = ["/srv/data", "cache"]    # folders of the board and volumes of the engine, exactly these; default none
  networks = ["host"]                # beside bridge and none
  ports = "1024-65535"               # of the board
  [plugins.grants.deploy-bar.processes] # bounds of what programs may be given
  users = ["radar"]                  # only these; default: any user
  [plugins.settings.acme-psu]        # what it is handed, as JSON
  rail = "12V"
  [deploy]                           # what instances may use
  cores = "2-7"                      # for one instance alone; default: all that the agent may use, less the shared ones
  shared_cores = "1"                 # for those who ask to share; default: none
  shared_overcommit = 16             # how many times each of these may be promised
  memory = "12GiB"                   # for all together; default: the board's
  engine = "unix:///var/run/docker.sock" # default: that, or podman's
  artifact_limit = "4GiB"            # longest file that is fetched
  unpacked_limit = "16GiB"           # most that an archive may become
  cache_limit = "8GiB"               # fetched files that are kept
  log_limit = "8MiB"                 # output of one program that is kept
  ca = "/etc/cardcage/repo-ca.crt"   # for repositories, beside the system's certificates
  [deploy.registries."registry.example:5000"]
  username = "board"
  password_file = "/etc/cardcage/registry-password"
  [kernel]                           # a recording of another board, in place of this one
  proc = "/srv/board/proc"           # also sys, os_release, architecture, space

RUST_LOG chooses what is logged, such as `debug` or `info,cardcage_agent::discovery=debug`."#;

/// Longest name of an interface (`IFNAMSIZ`, without the end) or IPv4 address.
const INTERFACE_NAME: usize = 15;
/// Longest text about the board, in bytes.
const TEXT: usize = 256;

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
    pub deploy: Deploy,
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
    /// Whoever deploys must bring the token that is in this file.
    pub token_file: Option<PathBuf>,
    /// With both, the service speaks TLS and nothing else. PEM.
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Only those are served whose certificate one of these signed. PEM.
    pub client_ca: Option<PathBuf>,
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
    /// Whose plugins may run.
    pub trust: Vec<Trusted>,
    /// Default: `require` where `trust` names a key, or else `off`.
    pub policy: Option<Policy>,
    /// Whoever may deploy may also bring plugins.
    pub push: bool,
    /// By the plugin's name.
    pub grants: BTreeMap<String, Grant>,
    /// By the plugin's name; handed to it as JSON.
    pub settings: BTreeMap<String, toml::Table>,
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
            deploy: Deploy::default(),
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
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 23980)),
            token_file: None,
            tls_cert: None,
            tls_key: None,
            client_ca: None,
        }
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
        let values = toml::Deserializer::parse(text).map_err(|error| suggest::explain(&error, "", text))?;
        let config: Self = serde_path_to_error::deserialize(values)
            .map_err(|error| suggest::explain(error.inner(), &error.path().to_string(), text))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let Discovery { group, port, interfaces } = &self.discovery;
        require(group.is_multicast(), || {
            format!("discovery.group {group} is not a multicast address (224.0.0.0/4)")
        })?;
        require(*port != 0, || "discovery.port is 0; the document's port is 3980".into())?;
        for interface in interfaces {
            let name = (1..=INTERFACE_NAME).contains(&interface.len());
            require(name && !interface.contains(['/', ' ']), || {
                format!(
                    "discovery.interfaces names {interface:?}, which is neither an interface nor an address"
                )
            })?;
        }
        require(!self.managers.allow.is_empty(), || {
            "managers.allow is empty, so nobody may ask; without it, managers on this machine may".into()
        })?;
        let Service { tls_cert, tls_key, client_ca, .. } = &self.service;
        require(tls_cert.is_some() == tls_key.is_some(), || {
            "service.tls_cert and service.tls_key belong together; one of them is missing".into()
        })?;
        require(client_ca.is_none() || tls_cert.is_some(), || {
            "service.client_ca needs service.tls_cert and service.tls_key".into()
        })?;
        self.board.check()?;
        self.deploy.check()?;
        self.plugins.check()
    }

    /// The folder that plugins are dropped into.
    pub fn plugin_dir(&self) -> PathBuf {
        self.plugins.dir.clone().unwrap_or_else(|| self.state_dir.join("plugins"))
    }
}

impl Plugins {
    fn check(&self) -> Result<(), String> {
        require(self.policy.is_none_or(|policy| policy == Policy::Off) || !self.trust.is_empty(), || {
            "plugins.policy asks for signatures, but plugins.trust names no key; `cardcage-agent plugin keygen` makes one".into()
        })?;
        require(!self.push || self.policy() == Policy::Require, || {
            "plugins.push needs plugins.policy = \"require\" and a key in plugins.trust: over the network come only plugins \
             that a trusted key signed"
                .into()
        })?;
        self.grants.iter().try_for_each(|(plugin, grant)| grant.check(plugin))
    }

    /// What is done about a plugin that no trusted key signed.
    pub fn policy(&self) -> Policy {
        self.policy.unwrap_or(if self.trust.is_empty() { Policy::Off } else { Policy::Require })
    }

    /// Every key that matters for something.
    pub fn keys(&self) -> Vec<PublicKey> {
        let pinned = self.grants.values().filter_map(|grant| grant.signer);
        let keys: BTreeSet<_> = self.trust.iter().map(|trusted| trusted.key).chain(pinned).collect();
        keys.into_iter().collect()
    }
}

/// What makes a value one that cannot work.
fn require(holds: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem()) }
}

impl Board {
    fn check(&self) -> Result<(), String> {
        let positions = [
            ("box_id", self.box_id),
            ("slot_id", self.slot_id),
            ("cpu_id", self.cpu_id),
            ("srio_id", self.srio_id),
        ];
        for (key, number) in positions {
            require(number.is_none_or(|number| i32::try_from(number).is_ok()), || {
                format!("board.{key} is more than {}, the most that a report can say", i32::MAX)
            })?;
        }
        let texts = [
            ("box_type", &self.box_type),
            ("board_type", &self.board_type),
            ("resource_type", &self.resource_type),
            ("hostname", &self.hostname),
        ];
        for (key, text) in texts {
            let plain = |text: &String| text.len() <= TEXT && !text.chars().any(char::is_control);
            require(text.as_ref().is_none_or(plain), || {
                format!("board.{key} has more than {TEXT} bytes, or characters that cannot be shown")
            })?;
        }
        Ok(())
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
