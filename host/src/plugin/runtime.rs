//! The engine, what plugins are linked to, and the clock that ends those that run too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use cardcage_compile::engine_config;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Engine, EngineWeak};

use super::bindings::cardcage::host;
use super::instance::State;
use crate::capability::{files::Files, kernel::Kernel, log::Log};

/// Time between two ticks, while a plugin runs: how long a spinning plugin keeps the others waiting.
const TICK: Duration = Duration::from_millis(10);

/// One for all plugins.
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    clock: Clock,
}

impl Runtime {
    /// Sets up the engine as the compiler's.
    pub fn new() -> wasmtime::Result<Self> {
        let engine = Engine::new(&engine_config())?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        host::kernel::add_to_linker::<State, HasSelf<Kernel>>(&mut linker, |state| &mut state.kernel)?;
        host::files::add_to_linker::<State, HasSelf<Files>>(&mut linker, |state| &mut state.files)?;
        host::log::add_to_linker::<State, HasSelf<Log>>(&mut linker, |state| &mut state.log)?;
        let clock = Clock::start(engine.weak())?;
        Ok(Self { engine, linker, clock })
    }

    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// While this lives, the clock ticks.
    pub(super) fn running(&self) -> Running<'_> {
        self.clock.begin()
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Runtime").finish_non_exhaustive()
    }
}

/// Ticks on a thread of its own, since the one that runs a spinning plugin cannot; sleeps while none runs.
#[derive(Debug)]
struct Clock {
    running: Arc<AtomicUsize>,
    thread: Thread,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Clock {
    fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let running = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&running);
        let thread =
            thread::Builder::new().name("plugin-clock".into()).stack_size(64 << 10).spawn(move || {
                loop {
                    match counted.load(Ordering::Relaxed) {
                        0 => thread::park(),
                        _ => thread::sleep(TICK),
                    }
                    let Some(engine) = engine.upgrade() else { break };
                    engine.increment_epoch();
                }
            })?;
        Ok(Self { running, thread: thread.thread().clone() })
    }

    fn begin(&self) -> Running<'_> {
        if self.running.fetch_add(1, Ordering::Relaxed) == 0 {
            self.thread.unpark();
        }
        Running(&self.running)
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // Wakes it to find that the engine is gone.
        self.thread.unpark();
    }
}
