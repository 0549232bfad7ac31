//! What a vendor writes a Cardcage plugin with.
//!
//! A *probe* is a WebAssembly component that reads a board's sensors or knows its identity. The agent starts one
//! instance of it, calls [`Probe::configure`] once and then [`Probe::sample`] at the cadence of the plugin's manifest.
//! A deploy *backend* starts and stops one type of software: see [`deploy`]. A *task* answers questions and carries out
//! what takes long: see [`task`].
//!
//! What a probe may touch is what it imports and the operator grants; the modules below are those capabilities:
//!
//! | module     | gives                                                            | grant                |
//! |------------|------------------------------------------------------------------|----------------------|
//! | [`kernel`] | processor times, memory, mounts, interfaces, identity: typed     | every plugin has it  |
//! | [`files`]  | files below the paths that the manifest requests (`/sys/class/…`) | the operator's       |
//! | [`native`] | functions of vendors' shared libraries that the manifest requests  | the operator's       |
//! | `http`     | requests to hosts that the manifest requests (cargo feature `http`) | the operator's      |
//! | [`log`]    | lines in the agent's log ([`info!`] and its sisters)             | every plugin has it  |
//! | [`clock`]  | time that runs evenly, for rates                                 | every plugin has it  |
//!
//! | [`artifacts`], [`containers`], [`processes`], [`state`] | what deploy backends are made of: see [`deploy`] | the operator's |
//!
//! A capability that the code does not use is not in the component's imports, so it is not asked for either.
//!
//! # A complete probe
//!
//! `src/lib.rs`, in a crate with `crate-type = ["cdylib", "rlib"]`:
//!
//! ```
//! use cardcage_sdk::{Error, Place, Probe, Reading, Sample, Sensor, Settings, files, units};
//!
//! const INLET: &str = "/sys/class/hwmon/hwmon0/temp1_input";
//!
//! /// The air that enters the chassis.
//! pub struct Inlet {
//!     place: String,
//! }
//!
//! /// `[plugins.settings.acme-inlet]` of the agent's configuration.
//! #[derive(serde::Deserialize)]
//! struct InletSettings {
//!     place: String,
//! }
//!
//! impl Probe for Inlet {
//!     fn configure(settings: &Settings) -> Result<Self, Error> {
//!         let InletSettings { place } = settings.parse()?;
//!         Ok(Self { place })
//!     }
//!
//!     fn sample(&mut self) -> Result<Sample, Error> {
//!         let celsius = match files::number(&files::read(INLET)?) {
//!             Some(millidegrees) => Reading::Value(units::milli(millidegrees)),
//!             None => Reading::Failed, // never 0: a number that was not read is not a number
//!         };
//!         let inlet = Sensor::temperature(Place::board(), &self.place, celsius);
//!         Ok(Sample { sensors: vec![inlet], ..Sample::default() })
//!     }
//! }
//!
//! cardcage_sdk::export_probe!(Inlet);
//! # fn main() {}
//! ```
//!
//! `plugin.toml` beside its `Cargo.toml`:
//!
//! ```toml
//! name = "acme-inlet"
//! version = "0.1.0"
//! description = "Temperature of the air at the inlet"
//! [probe]
//! every = "2s"
//! [requests]
//! files = ["/sys/class/hwmon"]
//! [settings.place]
//! type = "string"
//! description = "What the operator calls the inlet"
//! ```
//!
//! It is built with `cargo build --release --target wasm32-wasip2`.
//!
//! # Without std
//!
//! Of a small component most is std: its panic hook, standard streams, environment and C library, none of which a probe
//! uses, and all of which every board compiles, keeps in memory and links. A probe that needs `core` and `alloc` alone
//! is 40 kB smaller (a simple one is then 30 kB) and imports only what it calls, and the log:
//!
//! ```ignore
//! #![cfg_attr(target_arch = "wasm32", no_std)] // natively, for the tests, std stays
//!
//! extern crate alloc;
//!
//! cardcage_sdk::export_probe!(Inlet, no_std);
//! ```
//!
//! The macro then also brings an allocator and a panic handler, which writes the message to the agent's log and traps.
//! Nothing else changes, and no dependency may use std: serde with `default-features = false`, for example.
//!
//! # Three rules
//!
//! * **Unknown is absent.** Leave a field `None` that was not measured; 0 always means a measured zero.
//! * **SI units**, named in the documentation of each field; [`units`] converts what the kernel says.
//! * **Finite numbers.** The host refuses an item that carries a NaN or an infinity.
//!
//! # Tests without a board
//!
//! The crate builds natively too: [`export_probe!`] then only checks its argument. Calls of the capabilities work in a
//! component alone, so keep what computes apart from what asks; [`files::Files`] lets the same code look through a
//! board's files or, in a test, through a tree in memory (`fake::Tree`, on native targets).

#![cfg_attr(target_arch = "wasm32", no_std)]
#![warn(missing_docs)]

extern crate alloc;

pub mod artifacts;
pub mod clock;
pub mod containers;
pub mod deploy;
pub mod device;
pub mod files;
#[cfg(feature = "http")]
pub mod http;
pub mod kernel;
pub mod log;
pub mod native;
pub mod processes;
pub mod state;
pub mod task;
pub mod units;

mod error;
mod probe;
mod readings;
mod search;
mod settings;

#[cfg(not(target_arch = "wasm32"))]
pub mod fake;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod deploy_bindings;
#[doc(hidden)]
pub mod export;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod no_std;
#[doc(hidden)]
pub mod task_bindings;

pub use error::code;
pub use probe::{Probe, Support};
pub use readings::{
    Cpu, Disk, Error, Extras, Gpu, Identity, Limits, Memory, Network, Place, Quantity, Reading, Sample,
    Sensor, Value,
};
pub use search::{Search, Step};
pub use settings::Settings;
