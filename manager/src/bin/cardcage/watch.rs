//! The same output again and again, in place.

use std::thread::sleep;
use std::time::Duration;

use crate::failure::Failure;
use crate::screen::{self, Screen};

/// Shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(200);

/// Home; after each line, clear what was right of it; after the last, what was below.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Shows what `look` gives until the process is ended. What may pass by itself is shown too, and the
/// manager is asked again.
pub(crate) fn run(
    every: Duration,
    screen: &Screen,
    look: impl Fn() -> Result<String, Failure>,
) -> Result<(), Failure> {
    loop {
        let text = match look() {
            Err(failure) if failure.may_pass() => format!("{failure}\n"),
            looked => looked?,
        };
        if screen.terminal {
            let lines = text.replace('\n', &format!("{CLEAR_LINE}\n"));
            screen::print(&format!("{HOME}{lines}{CLEAR_BELOW}"))?;
        } else {
            screen::print(&text)?;
        }
        sleep(every.max(SHORTEST));
    }
}
