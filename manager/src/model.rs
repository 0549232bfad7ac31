//! What the manager knows, in its own words. No serde and no wire types: those stop at `protocol`, `store` and `api`.
//!
//! Unknown is `None`, never 0. Every text is a [`Text`]: bounded, and safe to print.

pub mod board;
pub mod deployment;
pub mod plugin;
pub mod readings;
pub mod report;
pub mod text;

pub use board::{BoardId, Position, Slot, State, Subject};
pub use deployment::{Deployment, Desired, InstanceId, Order, Outcome, Reply};
pub use report::{Heartbeat, QueryId, Resource, ResourceHead, Summary};
pub use text::Text;
