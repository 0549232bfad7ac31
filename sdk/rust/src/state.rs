//! A few values that the host keeps for a deployment, for as long as it is known: over restarts of the agent and of the
//! board. Every backend has it.

pub use crate::deploy_bindings::cardcage::host::state::{get, remove, set};
