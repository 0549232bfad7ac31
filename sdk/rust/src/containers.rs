//! The board's container engine. A container belongs to the deployment in whose call it was made; cores, memory and
//! accelerators are put on it by the host.
//!
//! Granted by a table (`[plugins.grants.NAME.containers]`), whose keys bound what may be asked for.

pub use crate::deploy_bindings::cardcage::host::containers::{
    Container, Info, Mount, Port, Spec, create, find, load, pull, survey,
};
