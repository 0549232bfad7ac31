//! The agent of one board. The modules in the order in which a query passes through them:
//!
//! ```text
//! query in:  discovery -> (latest snapshot) -> report -> POST /heartbeat | /resource
//!                                ^
//!            sample: every probe on its own cadence, own deadline, own sandbox
//!                                v
//!            plugin instance -> capability (kernel facts, files, log)
//! ```

pub mod app; // wires everything: start here
pub mod capability; // what a plugin may be granted
pub mod command; // the command line, apart from `run`
pub mod config; // agent.toml
pub mod deploy; // an order becomes something that runs
pub mod discovery; // a manager asks over multicast
pub mod error; // how errors are printed
pub mod model; // what the agent knows, in its own words
pub mod plugin; // from a file in a folder to readings
pub mod protocol; // the only place that knows both the wire and the model
pub mod report; // the answer goes back over HTTP
pub mod sample; // what every probe said last
pub mod serve; // the agent's own HTTP service
pub mod store; // what survives a restart
pub mod telemetry; // what is counted
