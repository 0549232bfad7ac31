//! Lines for the operator, in the agent's log, marked with the plugin's name.
//!
//! Write them with [`error!`](crate::error!), [`warn!`](crate::warn!), [`info!`](crate::info!) and
//! [`debug!`](crate::debug!). A line has at most 1 KiB; a plugin gets 20 lines at once and then one a second, and what is
//! over that is counted. Log a change of state, not every sample.

use alloc::string::ToString as _;
use core::fmt;

pub use crate::bindings::cardcage::host::log::Level;

/// Writes one line. The macros call this; natively, in unit tests, the line goes to the standard error output.
pub fn line(level: Level, message: fmt::Arguments<'_>) {
    match message.as_str() {
        Some(constant) => write(level, constant),
        None => write(level, &message.to_string()),
    }
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::cardcage::host::log::write;

#[cfg(not(target_arch = "wasm32"))]
#[expect(clippy::print_stderr, reason = "a unit test has no agent to log to")]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

/// Logs something that the operator must act on.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::log::line($crate::log::Level::Error, ::core::format_args!($($message)+)) };
}

/// Logs something odd that was coped with.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::log::line($crate::log::Level::Warn, ::core::format_args!($($message)+)) };
}

/// Logs a change of state.
///
/// ```no_run
/// cardcage_sdk::info!("found {} power supplies", 2);
/// ```
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::log::line($crate::log::Level::Info, ::core::format_args!($($message)+)) };
}

/// Logs something for the plugin's author.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::log::line($crate::log::Level::Debug, ::core::format_args!($($message)+)) };
}
