//! `cardcage:host/kernel`: typed facts, so that no guest parses `/proc`. Granted to every plugin.

pub mod guest;
mod parse;
mod processor;
mod real;
mod system;

pub use guest::Kernel;

use std::path::Path;

/// The memory of the board in bytes, from a file like `/proc/meminfo`.
pub fn memory_total(meminfo: &Path) -> Option<u64> {
    parse::meminfo(&std::fs::read_to_string(meminfo).ok()?).total
}
