//! One running plugin: a store of its own, with a budget. Whatever goes wrong in it ends it and nothing else: a store
//! that trapped or was left in the middle of a call is dead, so it is dropped, and a new one takes a few microseconds.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use tokio::time::timeout;
use wasmtime::component::{Component, ResourceTable};
use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use super::runtime::Runtime;
use super::sampler::{Sampler, SamplerPre};
use super::{contract, convert};
use crate::capability::http::guest::Http;
use crate::capability::tape::{Outcome, Stage, Tape, Taped};
use crate::capability::{
    Patience, deploys::Deploys, files::Files, http, kernel::Kernel, log, native::Native, progress::Progress,
};
use crate::model::{Readings, Support};

/// Most linear memory of one plugin, over all its memories. A Python guest has 40 MiB. [`CallError::Memory`] names it.
const MEMORY: usize = cardcage_manifest::Limits::MOST_MEMORY;
/// Linear memory of all instances of one plugin: a backend has one for each call, and there may be many calls.
const POOL: usize = 4 * MEMORY;
/// Entries of all its tables.
const TABLE_ENTRIES: usize = 100_000;
/// What one call may hand over, in bytes: four thousand sensors have half a mebibyte.
const HANDED_OVER: usize = 4 << 20;
/// Handles of resources that a guest holds.
const HANDLES: usize = 1024;
/// Once its deadline is over, a plugin that does not run (it sleeps, or a host call is slow) is given this much more.
const GRACE: Duration = Duration::from_millis(100);

/// What the store of a plugin carries.
pub(super) struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: Limits,
    deadline: Instant,
    patience: Patience,
    /// Calls of the agent's own capabilities, so far.
    host_calls: u64,
    kernel: Kernel,
    files: Files,
    http: Http,
    log: log::Log,
    native: Native,
    pub(super) deploys: Deploys,
    tape: Tape,
    progress: Progress,
}

/// How the runtime finds what a call is for: once a call, so calls are counted here.
impl State {
    pub(super) fn kernel(&mut self) -> Taped<'_, Kernel> {
        self.host_calls += 1;
        Taped { live: &mut self.kernel, tape: &self.tape }
    }

    pub(super) fn files(&mut self) -> Taped<'_, Files> {
        self.host_calls += 1;
        Taped { live: &mut self.files, tape: &self.tape }
    }

    pub(super) fn log(&mut self) -> &mut log::Log {
        self.host_calls += 1;
        &mut self.log
    }

    pub(super) fn native(&mut self) -> Taped<'_, Native> {
        self.host_calls += 1;
        Taped { live: &mut self.native, tape: &self.tape }
    }

    pub(super) fn deploys(&mut self) -> &mut Deploys {
        self.host_calls += 1;
        &mut self.deploys
    }

    pub(super) fn progress(&mut self) -> &mut Progress {
        self.host_calls += 1;
        &mut self.progress
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.host_calls += 1;
        let Http { ctx, hooks } = &mut self.http;
        WasiHttpCtxView { hooks, table: &mut self.table, ctx }
    }
}

/// What the instances of one plugin have of memory together.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool(Arc<AtomicUsize>);

impl Pool {
    fn take(&self, more: usize) -> bool {
        let after = |taken: usize| taken.checked_add(more).filter(|after| *after <= POOL);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).is_ok()
    }

    fn give_back(&self, memory: usize) {
        self.0.fetch_sub(memory, Ordering::Relaxed);
    }
}

/// Sums what all memories and tables of a plugin have: the limit is the plugin's, not each memory's.
#[derive(Debug, Default)]
struct Limits {
    memory: usize,
    /// What it has at most: less than [`MEMORY`] where its manifest asks for less.
    most_memory: usize,
    table_entries: usize,
    refused: bool,
    pool: Pool,
}

impl Drop for Limits {
    fn drop(&mut self) {
        self.pool.give_back(self.memory);
    }
}

impl Limits {
    fn grow(
        &mut self,
        sum: impl FnOnce(&mut Self) -> &mut usize,
        current: usize,
        desired: usize,
        most: usize,
    ) -> bool {
        let total = sum(self);
        let after = total.saturating_add(desired.saturating_sub(current));
        let fits = after <= most;
        if fits {
            *total = after;
        }
        self.refused |= !fits;
        fits
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if !self.pool.take(more) {
            self.refused = true;
            return Ok(false);
        }
        let fits = self.grow(|limits| &mut limits.memory, current, desired, self.most_memory);
        if !fits {
            self.pool.give_back(more);
        }
        Ok(fits)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(|limits| &mut limits.table_entries, current, desired, TABLE_ENTRIES))
    }

    // One component is some core instances: the guest's module and the adapters that lower its imports.
    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        8
    }
}

/// Why a call gave nothing, and the instance ended.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("did not answer within {0:?}")]
    Deadline(Duration),
    #[error("trapped after it was refused more than {} of memory: {what}", memory(*limit))]
    Memory { limit: usize, what: String },
    #[error("computed for {0:?} without a pause")]
    Breathless(Duration),
    #[error("called more than {0} times")]
    Restless(u32),
    #[error("trapped: {0}")]
    Trap(String),
}

/// As the limit stands in the agent's guides, or in a manifest.
fn memory(bytes: usize) -> String {
    match bytes >> 20 {
        mebibytes if mebibytes << 20 == bytes => format!("{mebibytes} MiB"),
        _ => format!("{} KiB", bytes >> 10),
    }
}

/// A refusal that the plugin itself gave; the instance lives on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Declined {
    pub code: String,
    pub detail: String,
}

/// What a probe makes of the board.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub support: Support,
    /// For the operator: what it found, or missed.
    pub note: Option<String>,
}

/// One sample, checked, and what of it was refused or could not be read.
#[derive(Debug)]
pub struct Sampled {
    pub readings: Readings,
    pub faults: Vec<String>,
    /// How many of the faults, from the first, are the agent's: it refused what broke a rule.
    pub refused: usize,
}

/// What a new instance is given.
#[derive(Debug)]
pub struct Capabilities {
    pub kernel: Kernel,
    pub files: Files,
    /// For probes; backends have none of it.
    pub native: Native,
    pub http: http::Client,
    pub patience: Patience,
    pub lines: log::Lines,
    pub(super) pool: Pool,
    /// Linear memory that it may have, in bytes.
    pub(super) memory: usize,
    /// For backends; probes have none of it.
    pub deploys: Deploys,
    /// For a probe that is tried; nothing is recorded in the agent.
    pub tape: Tape,
    /// For tasks.
    pub progress: Progress,
}

/// A plugin that runs. Dropping it ends it.
pub struct Instance {
    store: Store<State>,
    probe: Sampler,
    deadline: Duration,
    cpu: Duration,
}

/// What an instance has cost since it started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Processor time of its calls: its own, and the agent's where that did not wait for another thread.
    pub cpu: Duration,
    /// Calls of the agent's capabilities.
    pub host_calls: u64,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Instance").field("memory", &self.memory()).finish_non_exhaustive()
    }
}

/// A component whose imports were matched with what the agent has. Made once, instantiated again after each failure.
#[derive(Clone)]
pub struct LinkedProbe(SamplerPre);

impl LinkedProbe {
    pub fn new(runtime: &Runtime, component: &Component, imports: &[String]) -> Result<Self, String> {
        let linked = runtime.link(component, imports);
        let linked = linked
            .and_then(|linked| SamplerPre::new(component, linked).map_err(|error| format!("{error:#}")));
        linked.map(Self).map_err(|reason| contract::does_not_fit(imports, &reason))
    }
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, host_calls: self.host_calls + other.host_calls }
    }
}

impl Instance {
    /// Starts an instance. Its start-up code runs under the same deadline as every call.
    pub async fn start(
        runtime: &Runtime,
        linked: &LinkedProbe,
        capabilities: Capabilities,
        deadline: Duration,
    ) -> Result<Self, CallError> {
        let mut store = store(runtime, capabilities, deadline);
        // A tick gives way to the other plugins; past the deadline it ends the call.
        store.epoch_deadline_callback(|store| match Instant::now() < store.data().deadline {
            true => Ok(UpdateDeadline::Yield(1)),
            false => Ok(UpdateDeadline::Interrupt),
        });
        store.data().tape.begin(Stage::Start);
        let _running = runtime.running();
        let mut cpu = Duration::ZERO;
        let start = metered(&mut cpu, linked.0.instantiate(&mut store));
        let probe = match timeout(deadline + GRACE, start).await {
            Ok(Ok(probe)) => probe,
            Ok(Err(error)) => return Err(ended(&store, &error, deadline)),
            Err(_) => return Err(CallError::Deadline(deadline)),
        };
        store.data().tape.end(|| Outcome::Started);
        Ok(Self { store, probe, deadline, cpu })
    }

    /// Hands the plugin its settings and asks how well it knows this board.
    pub async fn configure(
        &mut self,
        runtime: &Runtime,
        settings: &str,
    ) -> Result<Result<Found, Declined>, CallError> {
        let _running = self.begin(runtime, Stage::Configure);
        let call = self.probe.configure(&mut self.store, settings);
        let answer = match timeout(self.deadline + GRACE, metered(&mut self.cpu, call)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(ended(&self.store, &error, self.deadline)),
            Err(_) => return Err(CallError::Deadline(self.deadline)),
        };
        let answer = answer.map(convert::finding).map_err(declined);
        self.store.data().tape.end(|| match &answer {
            Ok(found) => {
                Outcome::Support { level: found.support.as_str().to_owned(), note: found.note.clone() }
            }
            Err(declined) => Outcome::Declined(declined.to_string()),
        });
        Ok(answer)
    }

    /// Takes a sample.
    pub async fn sample(&mut self, runtime: &Runtime) -> Result<Result<Sampled, Declined>, CallError> {
        let _running = self.begin(runtime, Stage::Sample);
        let call = self.probe.sample(&mut self.store);
        let answer = match timeout(self.deadline + GRACE, metered(&mut self.cpu, call)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(ended(&self.store, &error, self.deadline)),
            Err(_) => return Err(CallError::Deadline(self.deadline)),
        };
        let answer = answer.map_err(declined);
        self.store.data().tape.end(|| match &answer {
            Ok(sample) => Outcome::sample(sample),
            Err(declined) => Outcome::Declined(declined.to_string()),
        });
        Ok(answer.map(convert::sample))
    }

    /// Linear memory, in bytes.
    pub fn memory(&self) -> usize {
        self.store.data().limits.memory
    }

    pub fn cost(&self) -> Cost {
        Cost { cpu: self.cpu, host_calls: self.store.data().host_calls }
    }

    fn begin<'a>(&mut self, runtime: &'a Runtime, stage: Stage) -> super::runtime::Running<'a> {
        let state = self.store.data_mut();
        state.tape.begin(stage);
        state.deadline = Instant::now() + self.deadline;
        state.patience.begin(self.deadline);
        state.limits.refused = false;
        state.log.words.forget();
        self.store.set_epoch_deadline(1);
        runtime.running()
    }
}

/// Adds up the processor time that a call takes on this thread.
async fn metered<F: Future>(cpu: &mut Duration, call: F) -> F::Output {
    let mut call = pin!(call);
    poll_fn(|context| {
        let before = thread_time();
        let polled = call.as_mut().poll(context);
        *cpu += thread_time().saturating_sub(before);
        polled
    })
    .await
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// A store with its limits.
pub(super) fn store(runtime: &Runtime, capabilities: Capabilities, deadline: Duration) -> Store<State> {
    let Capabilities { kernel, files, http, native, patience, lines, pool, memory, deploys, tape, progress } =
        capabilities;
    let words = log::Words::default();
    let output = log::guest::Output::new(lines.clone(), words.clone());
    let mut wasi = WasiCtx::builder();
    wasi.stdout(output.clone()).stderr(output);
    tape.time_and_randomness(&mut wasi);
    let wasi = wasi.build();
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES);
    let limits = Limits { pool, most_memory: memory, ..Limits::default() };
    let log = log::Log { lines, words };
    let http = Http::new(http, patience.clone(), tape.clone());
    patience.begin(deadline);
    let deadline = Instant::now() + deadline;
    let host_calls = 0;
    let state = State {
        wasi,
        table,
        limits,
        deadline,
        patience,
        host_calls,
        kernel,
        files,
        http,
        log,
        native,
        deploys,
        tape,
        progress,
    };
    let mut store = Store::new(runtime.engine(), state);
    store.limiter(|state| &mut state.limits);
    store.set_hostcall_fuel(HANDED_OVER);
    store.set_max_component_handles(HANDLES);
    store.set_epoch_deadline(1);
    store
}

fn declined(error: super::bindings::cardcage::types::errors::Error) -> Declined {
    Declined { code: convert::text(error.code, 64), detail: convert::text(error.detail, 1024) }
}

pub(super) fn ended(store: &Store<State>, error: &wasmtime::Error, deadline: Duration) -> CallError {
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return CallError::Deadline(deadline);
    }
    // The first line names the frames, the root cause names the trap.
    let trap = error.root_cause();
    let what = match store.data().log.words.last() {
        said if said.is_empty() => trap.to_string(),
        said => format!("{trap}; it said: {said}"),
    };
    let what = convert::text(what, 512);
    match store.data().limits.refused {
        true => CallError::Memory { limit: store.data().limits.most_memory, what },
        false => CallError::Trap(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instances_of_one_plugin_share_what_it_may_have() {
        let pool = Pool::default();
        let instance = || Limits { pool: pool.clone(), most_memory: MEMORY, ..Limits::default() };
        let grows = |limits: &mut Limits, to: usize| limits.memory_growing(0, to, None).unwrap();
        let mut four: Vec<Limits> = (0..4).map(|_| instance()).collect();
        assert!(!grows(&mut four[0], MEMORY + 1) && four[0].refused);
        assert!(four.iter_mut().all(|limits| grows(limits, MEMORY)));
        let mut fifth = instance();
        assert!(!grows(&mut fifth, 1) && fifth.refused);
        // What one had is free when it ends.
        four.pop();
        assert!(grows(&mut fifth, MEMORY));
        assert!(!grows(&mut instance(), 1));
    }
}
