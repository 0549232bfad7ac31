//! From a file in a folder to readings: the only part that knows the runtime.
//!
//! ```text
//! folder -> package (digest, manifest) -> grants -> cache (compiled by a child) -> instance -> driver -> sample::Board
//! ```
//!
//! Plugins run on a thread of their own, so that discovery and reports never wait for one; a plugin that spins gives way
//! to the others every few milliseconds, until its deadline ends it.

mod admit;
mod backend;
mod backends;
mod backoff;
pub mod bindings;
mod built_in;
mod cache;
mod convert;
mod driver;
mod folder;
mod grants;
mod instance;
mod map;
mod package;
mod runtime;
mod supervisor;

pub use admit::Admitted;
pub use backends::{PluginBackends, Registrar};
pub use built_in::{BUILT_IN, BuiltIn};
pub use cache::{Cache, CacheError};
pub use folder::find;
pub use grants::Grants;
pub use instance::{CallError, Instance, LinkedProbe, Sampled};
pub use package::{Package, Refused, Role, Source};
pub use runtime::Runtime;
pub use supervisor::{Kit, KitError, Supervisor, strays};
