//! How a program is, as its supervisor writes it down. It is true only within one boot of the board, and as far as the lock
//! agrees: a supervisor that was killed cannot say so.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::model::State;

/// The status file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which boot of the board this was in.
    pub boot: String,
    pub shim: Process,
    pub program: Option<Process>,
    /// `Created` while the supervisor prepares the first start.
    pub state: State,
    /// It was told to stop, and is at it: who wants it to run waits for the end.
    #[serde(default)]
    pub stopping: bool,
    pub exit_code: Option<i32>,
    pub signal: Option<String>,
    pub error: Option<String>,
    pub restarts: u32,
    /// Milliseconds since 1970, by the board's clock.
    pub started: Option<u64>,
    pub changed: u64,
}

/// A process, for people who look into the file. Nothing is signalled by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    /// Clock ticks since the boot at which it began; 0 where the kernel would not say.
    pub start: u64,
}

impl Process {
    pub fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        Self { pid, start: start_time(&stat).unwrap_or(0) }
    }
}

impl Status {
    pub fn new(boot: String, shim: Process) -> Self {
        Self {
            boot,
            shim,
            program: None,
            state: State::Created,
            stopping: false,
            exit_code: None,
            signal: None,
            error: None,
            restarts: 0,
            started: None,
            changed: now(),
        }
    }
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The kernel's name for this boot of the board.
pub fn boot_id() -> Result<String, Error> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
    Ok(text.trim().to_owned())
}

/// The parent of a process, from its line in `/proc/PID/stat`.
pub fn parent(stat: &str) -> Option<u32> {
    fields(stat).nth(1)?.parse().ok()
}

fn start_time(stat: &str) -> Option<u64> {
    fields(stat).nth(19)?.parse().ok()
}

// From the third field on: the second is the program's name in brackets, which may hold blanks and brackets itself.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) R 7 ) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 10 -10 13 0 2400 46673920 3816 1";
        assert_eq!((parent(stat), start_time(stat)), (Some(7), Some(2400)));
        assert_eq!((parent(""), start_time("1 (x) R")), (None, None));
    }

    #[test]
    fn this_process_has_a_start_and_this_board_a_boot() {
        let me = Process::of(std::process::id());
        assert!(me.start > 0);
        assert_eq!(me, Process::of(std::process::id()));
        assert_eq!(boot_id().unwrap().len(), 36);
    }
}
