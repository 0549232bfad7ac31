//! Files of a software repository, fetched over http or https into the host's cache, and unpacked. Within
//! [`Backend::start`](crate::deploy::Backend::start) only.
//!
//! Granted by host name (`[plugins.grants.NAME] artifacts = ["repo.example:8080"]`).

pub use crate::deploy_bindings::cardcage::host::artifacts::{Artifact, Tree, fetch, is_registry};
