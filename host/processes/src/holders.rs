//! Who holds a lock: a supervisor that does not answer is found by the open file, and ended by it. That is exact where a
//! pid in a file is not: only a supervisor of this folder has this file open.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use tracing::warn;

use crate::place::Place;

/// Kills every process that serves this folder and has its lock open.
pub fn kill(place: &Place) {
    let Ok(lock) = fs::metadata(place.lock()) else { return };
    let Ok(entries) = fs::read_dir("/proc") else { return };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids.filter_map(Pid::from_raw) {
        if pid == rustix::process::getpid() || !holds(pid, place, &lock) {
            continue;
        }
        let opened = pidfd_open(pid, PidfdFlags::empty());
        // Looked at again after it was opened, so that it is the one that was looked at.
        if !holds(pid, place, &lock) {
            continue;
        }
        warn!(pid = pid.as_raw_nonzero().get(), folder = %place.dir.display(), "a supervisor that does not answer is killed");
        let _gone = match opened {
            Ok(fd) => pidfd_send_signal(fd, Signal::KILL),
            Err(Errno::NOSYS) => kill_process(pid, Signal::KILL),
            Err(error) => Err(error),
        };
    }
}

// A child of the agent's that is about to become something else has the agent's files for a moment; its arguments are not
// those of a supervisor.
fn holds(pid: Pid, place: &Place, lock: &fs::Metadata) -> bool {
    let base = format!("/proc/{}", pid.as_raw_nonzero());
    serves(Path::new(&base), place)
        && fs::read_dir(format!("{base}/fd")).into_iter().flatten().flatten().any(|entry| {
            fs::metadata(entry.path()).is_ok_and(|open| (open.dev(), open.ino()) == (lock.dev(), lock.ino()))
        })
}

fn serves(base: &Path, place: &Place) -> bool {
    let Ok(line) = fs::read(base.join("cmdline")) else { return false };
    let mut arguments = line.split(|&byte| byte == 0).skip(1);
    let (step, dir) = (arguments.next(), arguments.next());
    matches!(step, Some(b"launch" | b"run")) && dir.map(OsStr::from_bytes) == Some(place.dir.as_os_str())
}
