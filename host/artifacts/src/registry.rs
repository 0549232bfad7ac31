//! Container registries, by the OCI distribution specification: whether one answers, and a component out of one.
//!
//! ```text
//! Reference ─▶ session (scheme, tries, who asks) ─▶ manifest ─▶ the one layer that is a component ─▶ its bytes
//!                  │401                                └─index─▶ the one manifest that has such a layer
//!              challenge ─▶ Basic, or a token for this repository alone
//! ```
//!
//! What a registry says is believed as far as a digest goes: that of the reference, if it has one, is the manifest's, and
//! the manifest's is the component's.

mod ask;
mod challenge;
mod error;
mod manifest;
mod pull;
mod reference;
mod session;

pub use ask::REGISTRY_DEADLINE;
pub(crate) use ask::ask;
pub use error::PullError;
pub use pull::{Component, Pull, pull};
pub use reference::Reference;
pub use session::Credentials;
