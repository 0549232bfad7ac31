//! Boards and plugins.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Component, Extras};
use crate::model::State;

/// A page of boards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Boards {
    /// In the order of their ids.
    pub boards: Vec<Board>,
    /// How many boards there are in all that fit the query.
    pub total: usize,
    /// There are more: ask again with `after=` this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A board in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Board {
    /// Its key: the agent's UUID, or `box-slot-cpu-srio-hostname` for an agent that speaks v1.1 alone.
    #[schema(example = "1-3-1-0-node7")]
    pub id: String,
    /// How it stands.
    pub state: BoardState,
    /// What is wrong with its identity. Empty if nothing is.
    pub flags: Vec<Flag>,
    /// The boards that it is at odds with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts_with: Vec<String>,
    /// The agents that have its identity, if there is more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claimants: Vec<Claimant>,
    /// The UUID of its agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Number of the chassis.
    pub box_id: i32,
    /// Number of the slot.
    pub slot_id: i32,
    /// Number of the processor.
    pub cpu_id: i32,
    /// Serial RapidIO number.
    pub srio_id: i32,
    /// Host name.
    pub hostname: String,
    /// The address that it last reported.
    #[schema(value_type = String, format = Ipv4)]
    pub host_ip: Ipv4Addr,
    /// All addresses that it reported lately, the latest first.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<Ipv4Addr>,
    /// Where its agent answers commands.
    pub service_port: u16,
    /// Type of the chassis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_type: Option<String>,
    /// Type of the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board_type: Option<String>,
    /// Type of the processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_type: Option<String>,
    /// Operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_type: Option<String>,
    /// Type of the resource that the board offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// Machine architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_arch: Option<String>,
    /// When it first reported. Absent if that is in the future: the manager's clock was set back since.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub first_seen: Option<String>,
    /// When it last reported. Absent for the same reason, until it reports again; the board is lost until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_seen: Option<String>,
    /// Milliseconds since it last reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_age_ms: Option<u64>,
    /// Queries that it did not answer.
    pub missed: Missed,
    /// The readings that fit into a line.
    pub summary: Summary,
}

/// How a board stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BoardState {
    /// It answers.
    Up,
    /// It missed one or two queries in a row, or was not heard for two periods.
    Late,
    /// It missed three queries in a row.
    Lost,
}

impl From<State> for BoardState {
    fn from(state: State) -> Self {
        match state {
            State::Up => Self::Up,
            State::Late => Self::Late,
            State::Lost => Self::Lost,
        }
    }
}

impl From<BoardState> for State {
    fn from(state: BoardState) -> Self {
        match state {
            BoardState::Up => Self::Up,
            BoardState::Late => Self::Late,
            BoardState::Lost => Self::Lost,
        }
    }
}

/// What can be wrong with a board's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// Another live board claims the same box, slot and cpu.
    SlotConflict,
    /// Another live board reports from the same address.
    AddressConflict,
    /// Several agents have the identity of this board, as after a disk was copied, and take turns in being it. Delete
    /// `agent_id` in the `state_dir` of all but one of them and restart those.
    CopiedIdentity,
}

/// One of several agents that have one identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claimant {
    /// The address that it reports.
    #[schema(value_type = String, format = Ipv4)]
    pub host_ip: Ipv4Addr,
    /// Host name.
    pub hostname: String,
    /// Number of the chassis.
    pub box_id: i32,
    /// Number of the slot.
    pub slot_id: i32,
    /// Number of the processor.
    pub cpu_id: i32,
    /// Serial RapidIO number.
    pub srio_id: i32,
}

/// Queries that a board did not answer. Those that the manager could not send are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Missed {
    /// Of those for `/heartbeat`.
    pub heartbeat: MissedAnswers,
    /// Of those for `/resource`.
    pub resource: MissedAnswers,
}

/// Counts of missed queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissedAnswers {
    /// Since its last answer.
    pub in_a_row: u32,
    /// In all.
    pub total: u64,
}

/// The readings that fit into a line. They are absent once they no longer come: from a board that is lost, that missed
/// three queries for them in a row, or whose latest are older than four periods. Its own `resource` still has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// Milliseconds since its readings came, also where they are too old to be shown. Absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// Percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_usage_percent: Option<f64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<u64>,
    /// Of the warmest processor, in degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// What the board draws, in watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<f64>,
    /// Number of accelerators.
    pub gpus: usize,
}

/// A board in full, but for its readings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BoardDetail {
    /// The board in short.
    #[serde(flatten)]
    pub board: Board,
    /// The accelerators, as the heartbeat names them.
    pub gpu: Vec<Accelerator>,
    /// What an agent of ours says beyond v1.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// The deployed instances, as the board last reported them.
    #[serde(default)]
    pub deployments: Vec<Component>,
}

/// One accelerator, as the heartbeat names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accelerator {
    /// Its number.
    pub index: i32,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An agent of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Kernel release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Who made the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Model of the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Serial number of the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Fields that only this board type has.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extra: Extras,
    /// Its plugins.
    pub plugins: Vec<Plugin>,
}

/// One plugin of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plugin {
    /// Name in its manifest.
    pub name: String,
    /// Version in its manifest.
    pub version: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub digest: String,
    /// Comes with the agent.
    pub built_in: bool,
    /// How it is, in the agent's words.
    #[schema(example = "ready")]
    pub state: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The plugins of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plugins {
    /// In the order of name, version and digest.
    pub plugins: Vec<SeenPlugin>,
    /// There are more, and they are left out: more than any fleet has, so somebody invents them.
    #[serde(default)]
    pub more: bool,
}

/// One plugin, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeenPlugin {
    /// Name in its manifest.
    pub name: String,
    /// Version in its manifest.
    pub version: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub digest: String,
    /// Comes with the agent.
    pub built_in: bool,
    /// Number of boards by the plugin's state there.
    pub boards: BTreeMap<String, u64>,
}
