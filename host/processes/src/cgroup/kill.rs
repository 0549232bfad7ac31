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
        if !all_at_once {
            self.kill_frozen(leaf);
        }
    }

    fn kill_frozen(&self, leaf: &str) {
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

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;
    use crate::cgroup::{Layout, PROGRAM, Root};

    /// A group of version 2 with two processes in it, one of them in a group below.
    fn real() -> Option<(Cage, Vec<Child>)> {
        let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
        let mount = mounts.into_iter().find(|mount| mount.join("cgroup.controllers").exists());
        let Some(path) = mount.filter(|_| rustix::process::geteuid().is_root()) else {
            crate::crash_tests::skipped("no root, or no control groups of version 2");
            return None;
        };
        let layout = Layout { version: Version::V2, roots: vec![Root { controllers: Vec::new(), path }] };
        let key = format!("{:?}", std::thread::current().id());
        let cage = Cage { layout, group: format!("kill-{}", std::process::id()), key };
        let program = cage.dir(&cage.layout.roots[0], PROGRAM);
        fs::create_dir_all(program.join("below")).unwrap();
        let children = [program.join("cgroup.procs"), program.join("below/cgroup.procs")].map(|procs| {
            let child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
            put(&procs, &child.id().to_string()).unwrap();
            child
        });
        assert_eq!(cage.processes(&[PROGRAM]).len(), 2);
        Some((cage, children.into()))
    }

    fn end(cage: &Cage, children: Vec<Child>) {
        for mut child in children {
            let status = child.wait().unwrap();
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        }
        assert!(cage.processes(&[PROGRAM]).is_empty());
        cage.remove_all().unwrap();
        assert!(!cage.exists());
        let _others = fs::remove_dir(cage.dir(&cage.layout.roots[0], "").parent().unwrap());
    }

    #[test]
    fn version_2_is_frozen_and_killed_at_once() {
        let Some((cage, children)) = real() else { return };
        cage.freeze(PROGRAM, true);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !cage.is_frozen(PROGRAM) {
            assert!(Instant::now() < deadline);
            thread::sleep(PAUSE);
        }
        cage.kill(&[PROGRAM], Duration::from_secs(10), || {}).unwrap();
        end(&cage, children);
    }

    #[test]
    fn version_2_of_older_kernels_is_killed_one_by_one() {
        let Some((cage, children)) = real() else { return };
        cage.kill_frozen(PROGRAM);
        end(&cage, children);
    }

    #[test]
    fn nobody_is_killed_for_having_been_in_the_list() {
        let Some((cage, children)) = real() else { return };
        let mut stranger = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        cage.kill_some(PROGRAM, &[stranger.id().try_into().unwrap()]);
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        cage.kill(&[PROGRAM], Duration::from_secs(10), || {}).unwrap();
        end(&cage, children);
    }
}
