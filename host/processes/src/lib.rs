//! Programs that run on the board itself, each under a supervisor that outlives the agent.
//!
//! ```text
//! agent      Processes ── start ─▶ cardcage-shim launch ─▶ cardcage-shim run ─▶ cardcage-shim exec ═▶ the program
//!                                  (ends at once)          (the supervisor)      (becomes it)
//! ```
//! What is known of a program is in one folder, so that an agent that was killed finds it again:
//!
//! | file | holds | written by |
//! |---|---|---|
//! | `program.json` | the order: whose it is, what to run, limits | the agent, once |
//! | `folder/` | the unpacked package, in which it runs | the agent, then the program |
//! | `lock` | a lock that the supervisor holds for all its life | nobody |
//! | `launch.json` | where its control group is, how much output is kept | the agent, before each start |
//! | `status.json` | how it is | the supervisor; the agent where there is none |
//! | `control` | a socket: stop, status | the supervisor |
//! | `output-*.log` | what it said | the supervisor |
//!
//! Two things are the kernel's own truth and cannot be forged or recycled as a pid is: the lock says whether a supervisor
//! lives, the control group says which processes are the program's. Nothing is signalled on the word of a file.
//!
//! The lock has no gap: the agent takes it and hands the same open file on to `launch` and to `run`, so that from the first
//! step of a start to the end of the supervisor there is a holder, whoever is killed in between.
//!
//! Everything here blocks; an agent calls it from a thread that may.

mod cgroup; // limits, membership, killing all of it
mod control; // how a supervisor is spoken to
mod crash; // where tests kill the agent
#[cfg(test)]
mod crash_tests;
mod error; // the contract's words for what goes wrong
mod files; // reading what may be damaged, writing so that it cannot be
mod holders; // a supervisor that does not answer
mod lock; // whether a supervisor lives
mod model; // what to run, and how it is
mod output; // what the program said, bounded
mod place; // the folder of one program
mod processes; // the agent's side
pub mod shim; // the supervisor's side
mod status; // how a program is, written down
mod users; // whom it runs as

pub use error::Error;
pub use model::{Chunk, Health, Info, Limits, Owner, Program, Restart, State, Usage};
pub use processes::Processes;
