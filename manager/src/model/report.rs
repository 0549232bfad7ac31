//! The two reports of a board.

use std::net::Ipv4Addr;

use uuid::Uuid;

use super::readings::{Extras, Readings};
use super::{Position, Text};

/// Who the board is.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// Where it says it is.
    pub position: Position,
    /// The address it was asked on.
    pub host_ip: Ipv4Addr,
    /// Host name.
    pub hostname: Text,
    /// Where the agent answers commands.
    pub service_port: u16,
    /// Type of the chassis.
    pub box_type: Option<Text>,
    /// Type of the board.
    pub board_type: Option<Text>,
    /// Type of the processor.
    pub cpu_type: Option<Text>,
    /// Operating system.
    pub os_type: Option<Text>,
    /// Type of the resource that the board offers.
    pub resource_type: Option<Text>,
    /// Machine architecture.
    pub cpu_arch: Option<Text>,
    /// The accelerators.
    pub gpus: Vec<Accelerator>,
    /// What an agent of ours adds.
    pub agent: Option<Agent>,
}

/// Which query a report answers, as the query named itself.
///
/// It is no part of the [`Heartbeat`]: it is another one each time, and who the board is does not change with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryId(Box<str>);

impl QueryId {
    /// Longest id that is kept, in bytes. Those of our own queries are shorter.
    pub const LIMIT: usize = 64;

    /// None for what cannot be the id of a query.
    pub fn known(raw: String) -> Option<Self> {
        (1..=Self::LIMIT).contains(&raw.len()).then(|| Self(raw.into_boxed_str()))
    }
}

/// One accelerator, as the heartbeat names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accelerator {
    /// Its number.
    pub index: i32,
    /// Its name.
    pub name: Option<Text>,
}

/// An agent of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// The identity that it keeps for good.
    pub id: Uuid,
    /// Version of the agent.
    pub version: Option<Text>,
    /// Kernel release.
    pub kernel: Option<Text>,
    /// Who made the board.
    pub manufacturer: Option<Text>,
    /// Model of the board.
    pub model: Option<Text>,
    /// Serial number of the board.
    pub serial: Option<Text>,
    /// What only the probe of this board type knows.
    pub extra: Extras,
    /// The plugins and how they are.
    pub plugins: Vec<Plugin>,
}

/// One plugin of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Name in its manifest.
    pub name: Text,
    /// Version in its manifest.
    pub version: Text,
    /// SHA-256 of the file.
    pub digest: Text,
    /// Comes with the agent.
    pub built_in: bool,
    /// How it is, in the agent's words.
    pub state: Text,
    /// Why.
    pub reason: Option<Text>,
}

/// What the inventory keeps of a resource report beside its bytes: whose it is, and the readings that fit into a line.
///
/// A fleet sends thousands of these a second, and a reader asks for a few. So a report is checked in full when it comes and
/// thrown away but for this; the bytes, one piece of memory and not a hundred, become a [`Resource`] when somebody asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResourceHead {
    /// The address it was asked on; for a plain agent the only thing that says whose report this is.
    pub host_ip: Ipv4Addr,
    /// The agent, if it is one of ours.
    pub agent: Option<Uuid>,
    /// The readings in short.
    pub summary: Summary,
}

/// The readings that fit into a line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Summary {
    /// Percent.
    pub cpu_usage: Option<f64>,
    /// Bytes.
    pub memory_used: Option<u64>,
    /// Bytes.
    pub memory_total: Option<u64>,
    /// Of the warmest processor, in degrees Celsius.
    pub temperature: Option<f64>,
    /// What the board draws, in watts.
    pub power: Option<f64>,
    /// Number of accelerators.
    pub gpus: usize,
}

/// How the board is, in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// The readings.
    pub readings: Readings,
    /// Cores promised to deployed instances.
    pub cores_allocated: Option<u32>,
    /// The deployed instances.
    pub components: Vec<Component>,
}

impl Heartbeat {
    /// Bytes that this takes in memory, roughly: its items, and the text of a report of `length` bytes.
    pub fn weight(&self, length: usize) -> usize {
        let plugins = self.agent.as_ref().map_or(0, |agent| size_of_val(agent.plugins.as_slice()));
        size_of::<Self>() + length + size_of_val(self.gpus.as_slice()) + plugins
    }
}

/// One deployed instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// The business instance it belongs to.
    pub instance_id: Text,
    /// The component instance.
    pub uuid: Text,
    /// Its number within the business instance.
    pub index: i32,
    /// Name of what runs.
    pub name: Text,
    /// Id of what runs.
    pub id: Text,
    /// Its state, in v1.1's word.
    pub state: &'static str,
    /// Percent of a core.
    pub cpu_load: Option<f64>,
    /// Bytes.
    pub memory_used: Option<u64>,
    /// Bytes; unknown where there is no limit.
    pub memory_limit: Option<u64>,
    /// Bytes sent.
    pub tx_bytes: Option<u64>,
    /// Bytes received.
    pub rx_bytes: Option<u64>,
    /// What an agent of ours adds.
    pub more: Option<Placement>,
}

/// What v1.1 cannot say of a deployed instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// Which backend runs it.
    pub kind: Text,
    /// SHA-256 over its order.
    pub order: Text,
    /// Why it is in its state, or how far it is.
    pub reason: Option<Text>,
    /// Who runs it does not answer: the state is the last one that was known.
    pub unknown: bool,
    /// The logical cores that it has.
    pub cores: Vec<u32>,
    /// It shares them.
    pub shared: bool,
    /// Memory that it was admitted with, bytes.
    pub memory: Option<u64>,
    /// Its accelerators.
    pub gpus: Vec<Text>,
}

impl Component {
    /// The states of v1.1.
    pub const STATES: [&str; 5] = ["PENDING", "RUNNING", "FAILED", "STOPPED", "SLEEPING"];
}
