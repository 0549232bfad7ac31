//! The manager of a fleet. In reading order:
//!
//! ```text
//! query out:   query ──UDP multicast──▶ every agent
//! report in:   server ─▶ receive ─▶ protocol ─▶ fleet ─▶ store
//! fleet out:   api | metrics ◀─ fleet
//! deploy out:  api ─▶ deployments ─▶ store, then agents ──POST /deploy──▶ a board
//! plugins:     api ─▶ plugins ─▶ agents ──GET, PUT /plugins──▶ boards
//! ```
//! The wire types stop at [`protocol`], SQLite at [`store`], JSON of our own at [`api`]; between them there is only the
//! [`model`].

pub mod agents; // requests to the agents of boards
pub mod api; // the fleet over HTTP
pub mod app; // wires everything; start here
mod budget; // memory that peers make the manager hold
pub mod clock; // moments, and when they become times of day
pub mod config; // manager.toml
pub mod deployments; // what is to run, and whether it does
pub mod fleet; // the inventory and its rules
pub mod metrics; // /metrics
pub mod model; // what the manager knows, in its own words
pub mod plugins; // what boards have of them, and new ones for them
pub mod problem; // an error answer with its remedy
pub mod protocol; // bytes <-> model
pub mod query; // every board is asked on a cadence
mod quiet; // log lines that others can cause
pub mod receive; // a report comes in
pub mod server; // the listener and its limits
pub mod store; // the inventory on disk
#[cfg(test)]
mod testing; // fleets for tests
pub mod token; // who may change things
