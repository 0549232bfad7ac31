//! The plugins that come with the agent, packed by the build script.

/// Their files, in the order in which they start.
pub const BUILT_IN: &[&[u8]] = include!(concat!(env!("OUT_DIR"), "/built_in.rs"));
