//! The engine that runs plugins: one set of settings for the agent, which has no compiler in it, and for the child
//! process that compiles. Code compiled under other settings does not load.

use wasmtime::Config;

/// Name of the executable that compiles; it lies beside the agent's.
pub const EXECUTABLE: &str = "cardcage-compile";

/// The child's exit code where the plugin is at fault: it will never compile. Every other end but 0 may be the machine's
/// fault, such as a full disk, and a later try may do better.
pub const REFUSED: u8 = 3;

/// Longest plugin that is compiled, in bytes. A Python guest has 18 MB.
pub const PLUGIN_LIMIT: u64 = 64 << 20;

/// Names the engine and its settings: part of the name of everything that was compiled. A new number goes with every
/// change of [`engine_config`]; a change of wasmtime is noticed by itself when the code does not load.
pub const ENGINE: &str = concat!("wasmtime48-cardcage1-", env!("CARDCAGE_TARGET"));

/// The settings.
///
/// Deterministic from the first day (NaNs, relaxed SIMD), so that a recording replays bit for bit on another
/// architecture. Epochs, because every call has a deadline. Nothing of WebAssembly that plugins do not need.
pub fn engine_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .relaxed_simd_deterministic(true)
        // A guest's own words about its end come over its standard error; frames without names would add nothing, and
        // their tables are memory.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        // Nothing profiles the agent through its unwinder, and registering with it is slow on musl.
        .native_unwind_info(false);
    #[cfg(feature = "compiler")]
    config.cranelift_nan_canonicalization(true);
    config
}
