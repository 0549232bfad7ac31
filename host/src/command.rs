//! The command line, apart from `run`: what an operator or a vendor asks of an agent that may not be running.

mod bar;
mod check;
mod conformance;
mod file;
mod list;
mod plugin;
mod process;
mod pull;
mod record;
mod rehearsal;
mod replay;
mod run_task;
mod sign;
mod r#try;
mod warm;

pub use bar::BarCommand;
pub use check::check;
pub use plugin::PluginCommand;
pub use process::{PidFile, complain};
