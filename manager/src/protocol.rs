//! The one place that knows both the wire types and the model: bytes become model here, and the model becomes bytes.
//!
//! | file        | message                                                              |
//! |-------------|----------------------------------------------------------------------|
//! | `query`     | out: the multicast query                                             |
//! | `heartbeat` | in: `POST /heartbeat`                                                |
//! | `report`    | what both reports share                                              |
//! | `resource`  | in: `POST /resource`; its readings come from `extended`, else from `plain`, in short from `summary` |
//! | `component` | the deployed instances of `/resource`                                |
//! | `deploy`    | out and back: `POST /deploy`, and what an agent lists and logs       |
//! | `plugins`   | in: what an agent says of its plugins, and of those that it is brought |

mod component;
pub mod deploy;
mod extended;
pub mod heartbeat;
mod plain;
pub mod plugins;
pub mod query;
mod report;
pub mod resource;
mod summary;
#[cfg(test)]
mod testing;

pub use query::{GROUP, GROUP_PORT, SPREAD_LIMIT_MS};
pub use report::{BadReport, REPORT_LIMIT};
