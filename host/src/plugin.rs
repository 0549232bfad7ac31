//! From a file in a folder to readings: the only part that knows the runtime.
//!
//! ```text
//! watch (the folder) -> package (digest, manifest) -> supervisor -> grants -> cache (compiled by a child) -> instance
//!                    -> driver -> sample::Board
//! ```
//!
//! Deploy backends ([`backend`]) and tasks ([`tasks`]) are not driven: they have an instance for each call.
//!
//! Plugins run on a thread of their own, so that discovery and reports never wait for one; a plugin that spins gives way
//! to the others every few milliseconds, until its deadline ends it.

mod admit;
mod backend;
mod backends;
mod backoff;
pub mod bindings;
mod boards;
mod built_in;
mod cache;
mod contract;
mod convert;
mod driver;
mod folder;
mod grants;
mod instance;
mod kept;
mod kit;
mod map;
mod package;
mod push;
mod resolve;
mod runtime;
mod sampler;
mod supervisor;
mod task;
mod tasks;
mod watch;

pub use admit::Admitted;
pub use backends::{PluginBackends, Registrar};
pub use built_in::{BUILT_IN, BuiltIn};
pub use cache::{Cache, CacheError, Fault};
pub use folder::{find, holding, name};
pub use grants::Grants;
pub use instance::{CallError, Declined, Instance, LinkedProbe, Sampled};
pub use kit::{Kit, KitError};
pub use package::{Package, Refused, Role, Source};
pub use push::{FileName, PushError, Pushes};
pub use runtime::Runtime;
pub use supervisor::{Supervisor, strays};
pub use task::Description;
pub use tasks::{NotStarted, Phase, Run, Tasks, try_task};
