//! One test's own corner of the machine: a folder, a network of the loopback, a multicast group. Tests run side by side,
//! also those of other processes, so every world is drawn at random out of some millions.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::agent::AgentPlan;
use crate::listener::{Listener, Manner};
use crate::manager::ManagerPlan;

/// Where queries are multicast to.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    pub address: Ipv4Addr,
    pub port: u16,
}

/// See the module.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    /// `127.x.y.0/24`.
    network: [u8; 3],
    group: Group,
    agents: Cell<u8>,
}

impl World {
    #[expect(clippy::new_without_default, reason = "a world is made, not assumed")]
    pub fn new() -> Self {
        let random = RandomState::new().build_hasher().finish();
        let [x, y, z, port, ..] = random.to_le_bytes();
        // Away from 127.0.0.0/16, where people and other tests are.
        let network = [127, 1 + x % 250, y];
        let group = Group { address: Ipv4Addr::new(239, 192, x, z), port: 20_000 + 37 * u16::from(port) };
        let folder = tempfile::Builder::new().prefix("cardcage-").tempdir().unwrap();
        Self { folder, network, group, agents: Cell::new(0) }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn group(&self) -> Group {
        self.group
    }

    /// An address that is this world's: the manager's is 1, the first agent's 2.
    pub fn address(&self, host: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, host)
    }

    /// The next agent, with an address and a folder of its own, to be set up and started.
    pub fn agent(&self) -> AgentPlan {
        let number = self.agents.get() + 1;
        self.agents.set(number);
        AgentPlan::new(self.place(&format!("agent-{number}")), self.group, self.address(1 + number))
    }

    /// A manager at address 1.
    pub fn manager(&self) -> ManagerPlan {
        ManagerPlan::new(self.place("manager"), self.group, self.address(1))
    }

    /// A manager that the test plays, at address 1.
    pub fn listener(&self) -> Listener {
        Listener::open(self.group, self.address(1), Manner::default())
    }

    /// Another manager that the test plays.
    pub fn listener_at(&self, host: u8, manner: Manner) -> Listener {
        Listener::open(self.group, self.address(host), manner)
    }

    /// A new folder in this world.
    pub fn place(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
}
