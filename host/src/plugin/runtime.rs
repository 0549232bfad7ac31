//! The engine, what plugins are linked to, and the clock that ends those that run too long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use cardcage_compile::engine_config;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Engine, EngineWeak};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::p2::bindings;

use super::bindings::cardcage::host;
use super::bindings::deploy::cardcage::host as deploy_host;
use super::bindings::task::cardcage::task::progress;
use super::instance::State;
use crate::capability::tape::Taped;
use crate::capability::{
    deploys::Deploys, files::Files, kernel::Kernel, log::Log, native::Native, progress::Progress,
};

/// Time between two ticks, while a plugin runs: how long a spinning plugin keeps the others waiting.
const TICK: Duration = Duration::from_millis(10);

/// One for all plugins.
pub struct Runtime {
    engine: Engine,
    /// What plugins without a standard library import: our own capabilities, and time that runs evenly.
    own: Linker<State>,
    /// The same with base WASI, made when the first plugin asks for it: that is two hundred functions more.
    with_wasi: OnceLock<Result<Linker<State>, String>>,
    /// And that with requests over HTTP, for the few that send any.
    with_http: OnceLock<Result<Linker<State>, String>>,
    clock: Clock,
}

impl Runtime {
    /// Sets up the engine as the compiler's.
    pub fn new() -> wasmtime::Result<Self> {
        let engine = Engine::new(&engine_config())?;
        let mut own = Linker::new(&engine);
        add_capabilities(&mut own)?;
        bindings::clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(&mut own, State::clocks)?;
        let clock = Clock::start(engine.weak())?;
        Ok(Self { engine, own, with_wasi: OnceLock::new(), with_http: OnceLock::new(), clock })
    }

    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Matches what a component imports with what the agent has.
    pub(super) fn link(
        &self,
        component: &Component,
        imports: &[String],
    ) -> Result<InstancePre<State>, String> {
        let base_wasi = |import: &String| {
            import.starts_with("wasi:") && !import.starts_with("wasi:clocks/monotonic-clock@")
        };
        let linker = match () {
            () if imports.iter().any(|import| import.starts_with("wasi:http/")) => {
                self.with_http.get_or_init(|| with_http(&self.engine)).as_ref().map_err(Clone::clone)?
            }
            () if imports.iter().any(base_wasi) => {
                self.with_wasi.get_or_init(|| with_wasi(&self.engine)).as_ref().map_err(Clone::clone)?
            }
            () => &self.own,
        };
        linker.instantiate_pre(component).map_err(|error| format!("{error:#}"))
    }

    /// While this lives, the clock ticks.
    pub(super) fn running(&self) -> Running<'_> {
        self.clock.begin()
    }
}

fn add_capabilities(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    host::kernel::add_to_linker::<State, Taped<'static, Kernel>>(linker, State::kernel)?;
    host::files::add_to_linker::<State, Taped<'static, Files>>(linker, State::files)?;
    host::log::add_to_linker::<State, HasSelf<Log>>(linker, State::log)?;
    host::native::add_to_linker::<State, Taped<'static, Native>>(linker, State::native)?;
    deploy_host::artifacts::add_to_linker::<State, HasSelf<Deploys>>(linker, State::deploys)?;
    deploy_host::containers::add_to_linker::<State, HasSelf<Deploys>>(linker, State::deploys)?;
    deploy_host::processes::add_to_linker::<State, HasSelf<Deploys>>(linker, State::deploys)?;
    deploy_host::state::add_to_linker::<State, HasSelf<Deploys>>(linker, State::deploys)?;
    progress::add_to_linker::<State, HasSelf<Progress>>(linker, State::progress)
}

fn with_wasi(engine: &Engine) -> Result<Linker<State>, String> {
    let mut linker = Linker::new(engine);
    add_capabilities(&mut linker)
        .and_then(|()| wasmtime_wasi::p2::add_to_linker_async(&mut linker))
        .map(|()| linker)
        .map_err(|error| format!("{error:#}"))
}

/// What is asked for and what is answered, but not `incoming-handler`: a plugin serves nobody.
fn with_http(engine: &Engine) -> Result<Linker<State>, String> {
    let mut linker = with_wasi(engine)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)
        .map(|()| linker)
        .map_err(|error| format!("{error:#}"))
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
