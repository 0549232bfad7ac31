//! `cardcage:host/kernel`: typed facts, so that no guest parses `/proc`. Granted to every plugin.

pub mod guest;
mod parse;
mod processor;
mod real;
mod system;

pub use guest::Kernel;
