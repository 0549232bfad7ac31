//! Everything in a group is killed, and nothing else.
//!
//! Version 2 has one file for it on newer kernels. Elsewhere the group is frozen first, so that nothing in it can fork or
//! end, and then killed one by one and thawed, again until it is empty. A pid from the list is opened, and only killed if
//! it is in the list after that too: then what was opened is what is in the group, even if the pid was recycled in between.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::{Cage, Version, put, read};
use crate::Error;

/// Opened at once: there is a limit to open files.
const BATCH: usize = 128;
/// How long freezing may take; a process that waits for a disk does not freeze, and is killed unfrozen.
const FREEZING: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(5);

impl Cage {
    /// Kills until these groups are empty. `between` is called each time around: who is a parent of what dies reaps there.
    pub fn kill(&self, leaves: &[&str], wait: Duration, mut between: impl FnMut()) -> Result<(), Error> {
        let deadline = Instant::now() + wait;
        loop {
            if self.processes(leaves).is_empty() {
                return Ok(());
            }
            leaves.iter().for_each(|leaf| self.kill_once(leaf));
            between();
            if self.processes(leaves).is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::Unkillable {
                    what: format!("a process in control group {}/{}", self.group, self.key),
                });
            }
            thread::sleep(PAUSE);
        }
    }

    /// Stops or continues everything in a group.
    pub fn freeze(&self, leaf: &str, freeze: bool) {
        let (file, value) = match (self.layout.version, freeze) {
            (Version::V1, true) => ("freezer.state", "FROZEN"),
            (Version::V1, false) => ("freezer.state", "THAWED"),
            (Version::V2, true) => ("cgroup.freeze", "1"),
            (Version::V2, false) => ("cgroup.freeze", "0"),
        };
        if let Some(root) = self.root("freezer") {
            // Freezing only makes killing exact; where it fails, killing goes on without it.
            let _unfrozen = put(&self.dir(root, leaf).join(file), value);
        }
    }

    fn kill_once(&self, leaf: &str) {
        let all_at_once = self.layout.version == Version::V2
            && self
                .layout
                .roots
                .first()
                .is_some_and(|root| put(&self.dir(root, leaf).join("cgroup.kill"), "1").is_ok());
        if all_at_once {
            return;
        }
        self.freeze(leaf, true);
        let deadline = Instant::now() + FREEZING;
        while !self.is_frozen(leaf) && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
        for pids in self.processes(&[leaf]).chunks(BATCH) {
            self.kill_some(leaf, pids);
        }
        self.freeze(leaf, false);
    }

    fn kill_some(&self, leaf: &str, pids: &[i32]) {
        let opened: Vec<_> = pids
            .iter()
            .filter_map(|&pid| Some((pid, pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()))))
            .collect();
        let members = self.processes(&[leaf]);
        for (pid, fd) in opened.into_iter().filter(|(pid, _)| members.contains(pid)) {
            let _gone = match (fd, Pid::from_raw(pid)) {
                (Ok(fd), _) => pidfd_send_signal(fd, Signal::KILL),
                // An older kernel: frozen, the process cannot have ended since it was listed.
                (Err(Errno::NOSYS), Some(pid)) => kill_process(pid, Signal::KILL),
                _ => Ok(()),
            };
        }
    }

    /// What is in these groups, in whichever hierarchy, and in groups below them.
    pub fn processes(&self, leaves: &[&str]) -> Vec<i32> {
        let mut pids = Vec::new();
        for root in &self.layout.roots {
            leaves.iter().for_each(|leaf| collect(&self.dir(root, leaf), 0, &mut pids));
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

fn collect(group: &Path, depth: u32, pids: &mut Vec<i32>) {
    let Ok(text) = read(&group.join("cgroup.procs")) else { return };
    // A process of another pid namespace shows as 0.
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|&pid| pid > 0));
    if depth < 16 {
        folders(group).iter().for_each(|below| collect(below, depth + 1, pids));
    }
}

fn folders(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
