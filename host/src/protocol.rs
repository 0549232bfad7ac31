//! The only place that knows both the wire formats and the model.
//!
//! ```text
//! query::read      datagram -> Query
//! report::body     Agent + Snapshot -> heartbeat | resource -> bytes
//! deploy::read     POST /deploy -> Command; deploy::reply back
//! deployments      Deployment -> component of a report, and the JSON of GET /deployments
//! plugins          PluginStatus <-> the JSON of GET /plugins
//! tasks            Description, Run -> the JSON of /tasks
//! preview          Snapshot -> both reports, for a person
//! ```

pub mod deploy;
pub mod deployments;
mod extension;
mod heartbeat;
pub mod plugins;
pub mod preview;
pub mod query;
pub mod report;
mod resource;
pub mod tasks;
