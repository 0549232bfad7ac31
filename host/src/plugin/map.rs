//! The one module that maps compiled plugins into the agent.
#![expect(
    unsafe_code,
    reason = "compiled code is native code; mapping it is a promise about where it came from"
)]

use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Component;

/// A file that the cache vouches for: made by this agent's own compiler, in a folder that only this user can write, with
/// the digest that its name says, and never written again. Only [`super::cache`] makes one.
#[derive(Debug)]
pub(super) struct Vouched<'a>(pub(super) &'a Path);

/// Maps it. Fails, and does not crash, if it was compiled for another engine.
pub(super) fn map(engine: &Engine, Vouched(path): &Vouched<'_>) -> wasmtime::Result<Component> {
    // SAFETY: the content is what `Engine::precompile_component` wrote (see `Vouched`), and the file is not changed
    // while it is mapped: its name is its content, it is read-only, and it is only ever replaced by renaming.
    unsafe { Component::deserialize_file(engine, path) }
}
