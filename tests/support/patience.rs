//! Waiting for states. A deadline only says when a test has failed, so it is generous: the machine may be busy.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// What does not happen by then does not happen.
pub const PATIENCE: Duration = Duration::from_secs(45);
const POLL: Duration = Duration::from_millis(20);

/// Waits until there is something to return.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "this did not happen within {PATIENCE:?}: {what}");
        sleep(POLL);
    }
}
