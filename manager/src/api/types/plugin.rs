//! Plugins of boards in full, and pushes of new ones.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BoardState, LeftOut, Plugin};

/// The plugins of one board, as its agent showed them when it was asked, now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BoardPlugins {
    /// Id of the board.
    pub board: String,
    /// How the board stands.
    pub state: BoardState,
    /// Host name.
    pub hostname: String,
    /// Number of the chassis.
    pub box_id: i32,
    /// Number of the slot.
    pub slot_id: i32,
    /// Number of the processor.
    pub cpu_id: i32,
    /// Its agent answered. If not, the plugins are those of its last report, which says less of them.
    pub answered: bool,
    /// Why its agent did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// Milliseconds since it last reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_age_ms: Option<u64>,
    /// Its plugins.
    pub plugins: Vec<InstalledPlugin>,
}

/// One plugin on every board that reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginBoards {
    /// Its name.
    pub name: String,
    /// The boards, in the order of their ids, each with this plugin alone.
    pub boards: Vec<BoardPlugins>,
    /// Boards beyond the most that are asked at once, which are left out.
    #[serde(default)]
    pub more: usize,
}

/// A plugin as its agent shows it. What a report does not have is absent where the agent did not answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstalledPlugin {
    /// As reports have it.
    #[serde(flatten)]
    pub plugin: Plugin,
    /// How well it knows the board: `generic`, `family`, `board`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support: Option<String>,
    /// Who made it, as its manifest says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Who signed it, or why it runs without a signature. Absent where the agent asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// Interfaces that it imports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<String>,
    /// What its manifest asks for beside its imports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["files /sys/class/hwmon"]))]
    pub asked: Vec<String>,
    /// What of that it is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<String>,
    /// What it costs and does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<PluginCost>,
    /// Readings in its last sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readings: Option<u64>,
    /// The last thing that went wrong, also where all is well again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Parts of its samples that could not be read or were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// What lies in its place, and has not proved itself yet; this one runs until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<PluginReplacement>,
}

/// What a plugin costs, since its version was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginCost {
    /// Samples that it gave.
    pub samples: u64,
    /// Traps, missed deadlines and errors.
    pub failures: u64,
    /// Instances that replaced a dead one.
    pub restarts: u64,
    /// How long its last sample took, by the wall clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sample_ms: Option<f64>,
    /// The longest that one took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_sample_ms: Option<f64>,
    /// Processor time of its calls.
    pub cpu_ms: f64,
    /// How often it called the agent.
    pub host_calls: u64,
    /// Linear memory of its instance, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

/// A version that is to take the place of one that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginReplacement {
    /// Name in its manifest.
    pub name: String,
    /// Version in its manifest.
    pub version: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// How it is.
    pub state: String,
    /// Why it has not taken its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Pushes, the latest first. The manager keeps the last ones until it ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginPushes {
    /// The pushes.
    pub pushes: Vec<PluginPush>,
}

/// A plugin that is brought to boards: to one, the canary, and once it runs there to the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginPush {
    /// Which push: a UUID.
    pub id: String,
    /// The name of its file on the boards.
    pub file: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub digest: String,
    /// Its length.
    pub bytes: usize,
    /// The selector of its boards, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Boards that may fail before it stops.
    pub max_failures: usize,
    /// When it was begun.
    #[schema(format = DateTime)]
    pub begun: String,
    /// How far it is.
    pub stage: PushStage,
    /// Why it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The boards. The first is the canary.
    pub boards: Vec<PushedBoard>,
    /// Boards that the selector fits and that are in doubt. Only in the answer that begins a push.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Further ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_left_out: usize,
}

/// How far a push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PushStage {
    /// The canary has it, and the others wait.
    Canary,
    /// The others get it.
    Rolling,
    /// Every board has it, or has no use for it; but for as many as may fail.
    Done,
    /// It ended before that: `why` says why.
    Stopped,
}

/// A push, on one board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PushedBoard {
    /// The board.
    pub board: String,
    /// What has become of it.
    pub outcome: PushOutcome,
    /// For people.
    pub message: String,
}

/// What has become of a push on a board. What ran before goes on wherever the new one does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PushOutcome {
    /// It was not begun yet.
    Waiting,
    /// It is being brought, or tried.
    UnderWay,
    /// It runs, and has given a good sample.
    Running,
    /// It is not meant for this board.
    Idle,
    /// The agent did not take it.
    Refused,
    /// It was tried and did not prove itself. It was taken back, or the message says why not.
    Failed,
    /// The board did not answer.
    NoAnswer,
    /// It was not begun, since the push stopped before.
    NotBegun,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}
