//! The command line, apart from `run`: what an operator or a vendor asks of an agent that may not be running.

mod bar;
mod check;
mod list;
mod plugin;
mod process;
mod run_task;
mod sign;
mod r#try;

pub use bar::BarCommand;
pub use check::check;
pub use plugin::PluginCommand;
pub use process::{PidFile, complain};
