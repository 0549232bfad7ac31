//! Points at which a test kills the agent, to see that what it leaves is never two programs and never one that nobody knows.

/// Does nothing outside this crate's own tests.
#[cfg(not(test))]
pub fn point(_name: &str) {}

/// Kills this process if this is the point that was asked for.
#[cfg(test)]
pub fn point(name: &str) {
    if std::env::var("CARDCAGE_CRASH_AT").is_ok_and(|at| at == name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
