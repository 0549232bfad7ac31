//! The command line, apart from `run`: what an operator or a vendor asks of an agent that may not be running.

mod bar;
mod check;
<<<<<<< HEAD
mod conformance;
mod list;
mod plugin;
mod process;
mod record;
mod rehearsal;
mod replay;
=======
mod file;
mod list;
mod plugin;
mod process;
mod pull;
>>>>>>> w-pull
mod sign;
mod r#try;

pub use bar::BarCommand;
pub use check::check;
pub use plugin::PluginCommand;
pub use process::{PidFile, complain};
