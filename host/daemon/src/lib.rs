//! What the agent and the manager have in common as processes. Both are started by an operator and left alone for
//! years, and both are spoken to by whoever reaches their port.

pub mod listen; // connections of strangers: how many, how long, whose
pub mod log; // lines for an operator, which nobody has to read
pub mod signals; // an operator, or systemd, ends the process
pub mod state_dir; // what is kept over restarts is this process's alone
