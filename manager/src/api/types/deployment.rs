//! Deployments: orders, their results, what is wanted beside what is reported.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{BoardState, Placement};

/// What to start, on one board or on several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeployment {
    /// Ids of the boards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boards: Vec<String>,
    /// In place of `boards`: every board that has all of these, such as `box=1,type=GPU`. Keys: `box`, `slot`, `cpu`,
    /// `state`, `type` (of the board), `resource` (its type), `arch`, `host`. Only boards that are up, are at odds with
    /// no other, and have been known for longer than two queries or have something of this manager: anybody can say that
    /// they are a board. The others are left out, unless they are named as `boards`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Which backend is to run it.
    #[serde(rename = "type")]
    #[schema(example = "docker")]
    pub kind: String,
    /// Where the software is.
    pub url: String,
    /// What it is called there.
    pub file: String,
    /// What it needs.
    #[serde(default)]
    pub require: Require,
    /// The component instance, for one board alone. Absent: the manager makes one for each board. With it the same order can
    /// be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The business instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Its number within the business instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<i32>,
    /// What it is to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What only its backend understands, such as `env` and `args`. It is never shown again.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub options: Map<String, Value>,
}

/// What an instance needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Require {
    /// Cores.
    pub cpu: i64,
    /// Bytes.
    pub memory: u64,
    /// Accelerators.
    pub gpu: i64,
}

/// What to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopSeveral {
    /// The component instances.
    pub uuids: Vec<String>,
    /// Their board, where several boards have one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// Their backend, where an agent that speaks v1.1 alone started them for somebody else.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// What came of an order, one for each instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderResults {
    /// In the order of the boards or uuids.
    pub results: Vec<OrderResult>,
    /// Boards that the selector fits and that were not asked, the first hundred of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// How many there are besides those.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more_left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(number: &usize) -> bool {
    *number == 0
}

/// A board that a selector fits and that was not asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    /// The board.
    pub board: String,
    /// Why it was not.
    pub why: String,
}

/// What came of an order for one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderResult {
    /// The board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// The component instance.
    pub uuid: String,
    /// What it is known by to its board: a text, or a number for a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// The document's `result`. Absent where the board did not answer or was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0)]
    pub result: Option<i64>,
    /// The same as a word: `done` 0, `invalid` 1, `unknown_type` 2, `conflict` 3, `no_room` 4, `wrong_instance` 5, `artifact`
    /// 6, `failed` 7, `unreachable` 8, `under_way` 9, `denied` 10, `no_space` 11, `not_now` 12; and without a number
    /// `no_answer`, `unknown_board`, `unknown_deployment`, `not_an_agent`, `not_recorded`.
    #[schema(example = "done")]
    pub outcome: String,
    /// The outcome is not known, and the manager asks the board again by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// For people.
    pub message: String,
}

/// A page of deployments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Deployments {
    /// In the order of their boards, and of their uuids.
    pub deployments: Vec<Deployment>,
    /// There are more: ask again with `after=` this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What somebody wants of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    /// It runs.
    Running,
    /// It does not run.
    Stopped,
}

/// One deployment: as it is wanted, and as its board reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// The component instance.
    pub uuid: String,
    /// The board.
    pub board: String,
    /// How the board stands. Absent if the manager does not know it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board_state: Option<BoardState>,
    /// What is wanted. Absent if this manager did not order it: it is unmanaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredState>,
    /// The state that its board reports. Absent if it does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "RUNNING")]
    pub state: Option<String>,
    /// It is as it is wanted.
    pub in_step: bool,
    /// Why not, or what else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The business instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Its number within the business instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<i32>,
    /// Where the software is, as it was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it is called there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What it needs, as it was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require: Option<Require>,
    /// What it is known by to its board: a text, or a number for a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// When it was last ordered or stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ordered: Option<String>,
    /// What came of that, as in [`OrderResult`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The outcome is not known, and the manager asks the board again by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// Milliseconds since its board reported. Absent if it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// Load of the processors, in percent of one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_load: Option<f64>,
    /// Bytes of memory in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_used: Option<u64>,
    /// Bytes of memory that it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_limit: Option<u64>,
    /// Bytes sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_bytes: Option<u64>,
    /// Bytes received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_bytes: Option<u64>,
    /// What an agent of ours reports beyond v1.1.
    #[serde(flatten)]
    pub placement: Placement,
}

/// A piece of what an instance printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Log {
    /// The text.
    pub text: String,
    /// Where to go on: `after=` this.
    pub next: String,
    /// Bytes before it that are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
}
