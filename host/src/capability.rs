//! What a plugin may be granted. One folder a capability, each with the same parts:
//!
//! | part       | what it is                                                                    |
//! |------------|-------------------------------------------------------------------------------|
//! | `guest`    | the WIT interface: asks the grant, calls the real side, answers in WIT's types |
//! | `real`     | the mechanism, bounded and with deadlines                                     |
//! | the grant  | what of it the operator gave, where it has parameters ([`files::Grant`])       |
//! | the fake   | recorded roots ([`Roots`]) under the same real side, so that nothing differs   |
//!
//! What probes are told by all of them can be recorded and played back: [`tape`]. [`progress`] is that of tasks: a cell
//! between a run and whoever watches it.
//!
//! Those of deploy backends ([`deploys`]) have their real side in a crate of its own, without the runtime: `host/artifacts`,
//! `host/containers`, `host/processes`. So has [`native`]: `host/native`.

pub mod artifacts;
pub mod containers;
pub mod deploys;
pub mod files;
pub mod http;
pub mod kernel;
pub mod log;
pub mod mechanisms;
pub mod native;
pub mod processes;
pub mod progress;
mod readers;
pub mod roots;
pub mod state;
pub mod tape;

pub use readers::{Neighbours, Patience, ReadError, Readers, Turns};
pub use roots::Roots;
