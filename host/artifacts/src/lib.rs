//! Files of a software repository: fetched over http or https into a cache, and unpacked. Blocking throughout: the agent
//! calls it on threads that may wait.
//!
//! ```text
//! url ─▶ store ─▶ flights (one transfer for all who ask) ─▶ transfer (tries, resumes) ─▶ http (hops, deadlines)
//!                                                              │
//!                              catalog (what is kept, quota) ◀─┘
//!                                  │
//!                              Artifact ─▶ archive (packing, entries, paths) ─▶ unpack ─▶ Tree
//! ```
//!
//! Beside it, `registry`: a component out of a container registry, in memory.
//!
//! Everything that comes in is hostile: the repository, its answers, the archive and what a process later does to the
//! unpacked folder. Each has a size, a deadline and a refusal.

mod archive;
mod artifact;
mod digest;
mod error;
mod files;
mod http;
mod limits;
mod registry;
mod roots;
mod store;
mod tree;
mod unpack;
mod url;

pub use archive::stream::TarStream;
pub use artifact::{Artifact, Format};
pub use digest::Digest;
pub use error::Error;
pub use limits::{Limits, Progress, READ_LIMIT};
pub use registry::{Component, Credentials, Pull, PullError, REGISTRY_DEADLINE, Reference, pull};
pub use store::{Request, Store};
pub use tree::Tree;
pub use unpack::remove_leftovers;
