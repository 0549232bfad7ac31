//! What an end-to-end test is written with. Everything here is real: processes, sockets, plugins, namespaces.
//!
//! ```text
//! World ── agent().start() ────▶ Agent      GET /plugins, /metrics; kill, start again
//!   ├───── listener() ─────────▶ Listener   plays a v1.1 manager: ask(…), report()
//!   └───── manager().start() ──▶ Manager    the real one: boards(), cardcage(…)
//! Lab ──── plug(switch, …) ────▶ Namespace  a machine of its own, for any of them
//! Board ── order(…), stop(…) ──▶ Agent      with a repository, and an engine to ask what is really there
//! ```
//! A test waits for states with [`until`], never for time. What it started ends with it, also when it fails, and then
//! the logs are printed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "this crate is only used by tests: a test may panic, that is how it fails"
)]

mod agent; // cardcage-agent, as an operator runs it
mod board; // an agent that things are deployed to
pub mod census; // who runs on this machine
mod console; // what documents tell people to type
mod deploys; // a manager's side of deploys
mod disk; // a disk that is full
mod engine; // the container engine, asked directly
mod executables; // where the products are
mod guests; // plugins that vendors and enemies ship
mod http; // plain requests
mod lab_board; // a board in QEMU
mod lab_initramfs; // what is on it
mod listener; // a manager that the test plays
mod manager; // cardcage-manager and cardcage, as an operator runs them
mod namespace; // machines and switches of a test's own
mod nvml; // a library of NVIDIA's that behaves as told
mod packages; // images, packages, and archives of attackers
mod patience; // waiting for states
mod process; // a child and its log
mod prometheus; // what its tool says
mod registry; // a container registry, a real one
mod repository; // software over HTTP, in every way in which that can go wrong
mod stuck; // files that never answer, or late
mod warm; // built-in plugins, compiled once
mod world; // folders and addresses of one test

pub use agent::{Agent, AgentPlan, Plugin};
pub use board::{Board, Kind};
pub use console::{Typed, shape, typed, typed_as};
pub use deploys::{Order, Reply, stop};
pub use disk::FullDisk;
pub use engine::Engine;
pub use executables::executable;
pub use guests::{
    ACME_BOARD, ASKS_HTTP, CALLS_NATIVELY, DEPLOY_ONESHOT, EXAMPLE_TASK, Guest, HOSTILE, HOSTILE_BACKEND,
    HOSTILE_TASK, LOOPS_AT_START, PANICS_WITHOUT_STD, PROBE_0_1, PROBE_THAT_DEPLOYS, REDFISH, TWO_ROLES,
};
pub use http::{Answer, connect_from, delete, get, get_from, post, post_from, put};
pub use lab_board::{Console, LabBoard, Suite};
pub use listener::{Listener, Manner, Report, sender_at};
pub use manager::{Manager, ManagerPlan};
pub use namespace::{Lab, Namespace, in_ci, namespaces_are_allowed, skip};
pub use nvml::Nvml;
pub use packages::{
    EntryType, SERVE, bar, busybox_is_static, gzip, image, script, sha256, tar, tar_entry, zstd,
};
pub use patience::{PATIENCE, until};
pub use process::Process;
pub use prometheus::check_metrics;
pub use registry::{Door, Registry, USER};
pub use repository::{Repository, Shelf};
pub use stuck::{Content, StuckFiles};
pub use world::{Group, World};
