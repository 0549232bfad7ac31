//! What makes a vendor's plugin: `plugin new` and `plugin build`, in an executable beside the agent, so that an agent on a
//! board carries none of it.
//!
//! ```text
//! new:   embedded ── interfaces, SDK, template ──▶ a project
//! build: a project ── the language's own tool ──▶ component ── plugin.toml ──▶ NAME.wasm
//! ```

mod bindings; // C's, of the interfaces of a project
pub mod build;
mod embedded; // what a project is made of
pub mod language; // which there are, and what each needs
pub mod new;
mod tool; // a program that must be there

pub use language::Language;
