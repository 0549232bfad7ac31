//! The JSON of the API: what the manager writes and `cardcage` reads. A field that is unknown is absent.
//!
//! Times of day are RFC 3339 in UTC. The ages beside them are for readers whose clock is another.

mod board;
mod deployment;
mod plugin;
mod readings;

pub use crate::problem::Problem;
pub use board::{
    Accelerator, Agent, Board, BoardDetail, BoardState, Boards, Claimant, Flag, Missed, MissedAnswers,
    Plugin, Plugins, SeenPlugin, Summary,
};
pub use deployment::{
    Deployment, Deployments, DesiredState, LeftOut, Log, NewDeployment, OrderResult, OrderResults, Require,
    StopSeveral,
};
pub use plugin::{
    BoardPlugins, InstalledPlugin, PluginBoards, PluginCost, PluginPush, PluginPushes, PluginReplacement,
    PushOutcome, PushStage, PushedBoard,
};
pub use readings::{
    Component, Cpu, Disk, Extra, Extras, Gpu, Limits, Memory, Network, Place, Placement, Resource, Sensor,
};
