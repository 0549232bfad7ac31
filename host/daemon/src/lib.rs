//! What the agent and the manager have in common as processes. Both are started by an operator and left alone for
//! years, and both are spoken to by whoever reaches their port.

pub mod body; // a request's body: short, and soon
pub mod listen; // connections of strangers: how many, how long, whose
pub mod log; // lines for an operator, which nobody has to read
pub mod seldom; // lines that strangers cause
pub mod signals; // an operator, or systemd, ends the process
pub mod state_dir; // what is kept over restarts is this process's alone
pub mod tls; // who the strangers speak to, and who they are
pub mod token; // the secret that a change needs
pub mod trusted; // files whose words are taken: whose they are, who reads them
mod watched; // what was made of files, made anew when they change
