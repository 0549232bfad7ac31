//! The points at which a deploy could be cut off: before and after everything that leaves a trace. A test build can be told
//! to end there as by `kill -9`, so that every one of them is tried.

/// The variable that says at which step, counted from 1.
#[cfg(debug_assertions)]
const CRASH_AT: &str = "CARDCAGE_CRASH_AT_STEP";

/// Passes a step. Does nothing, unless this is a test build and the variable names this one.
#[cfg(debug_assertions)]
pub fn step(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    static END: OnceLock<Option<u64>> = OnceLock::new();
    let end = END.get_or_init(|| std::env::var(CRASH_AT).ok()?.parse().ok());
    if end.is_some_and(|end| PASSED.fetch_add(1, Ordering::SeqCst) + 1 == end) {
        // What a test prints, so that it can say which step it was.
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), format!("crash at step {name}\n").as_bytes());
        let _sent = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
        loop {
            std::thread::park();
        }
    }
}

/// Passes a step.
#[cfg(not(debug_assertions))]
pub const fn step(_name: &str) {}
