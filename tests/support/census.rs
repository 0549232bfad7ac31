//! Who runs on this machine, by the kernel's own account: programs of deployments by what is in their environment, and the
//! control groups that are theirs. Nothing here asks the product.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a deployed shell of [`crate::SERVE`] was called with.
const SHELL: &[u8] = b"\0-c\0";

/// A process, for as long as it is the same one: its number, and when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub pid: i32,
    pub parent: i32,
    began: u64,
}

impl Seen {
    pub fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // A zombie is no instance.
        let alive = fields.first().is_some_and(|state| !["Z", "X"].contains(state));
        alive.then(|| {
            Some(Self { pid, parent: fields.get(1)?.parse().ok()?, began: fields.get(19)?.parse().ok()? })
        })?
    }

    /// Whether it still is the same process, and alive.
    pub fn lives(self) -> bool {
        Self::of(self.pid).is_some_and(|now| now.began == self.began)
    }

    /// The cores that it may run on, as the kernel writes them.
    pub fn cores(self) -> Option<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        Some(cores.trim().to_owned())
    }

    pub fn kill(self, signal: Signal) {
        if self.lives() {
            let _gone = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
}

/// Every process that has `MARK` in its environment, by what it says.
pub fn marked() -> BTreeMap<String, Vec<Seen>> {
    let mut marked = BTreeMap::<String, Vec<Seen>>::new();
    for pid in pids() {
        let Some(seen) = Seen::of(pid) else { continue };
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mark = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"MARK="));
        if let Some(mark) = mark {
            marked.entry(String::from_utf8_lossy(mark).into_owned()).or_default().push(seen);
        }
    }
    marked
}

/// Of those, the shells that a deployment is made of: one an instance. What a shell starts is a copy of it for a moment,
/// which is no instance.
pub fn instances() -> BTreeMap<String, Vec<Seen>> {
    let mut marked = marked();
    for seen in marked.values_mut() {
        seen.retain(|seen| {
            let words = std::fs::read(format!("/proc/{}/cmdline", seen.pid)).unwrap_or_default();
            words.windows(SHELL.len()).any(|window| window == SHELL) && seen.lives()
        });
        let shells: Vec<i32> = seen.iter().map(|seen| seen.pid).collect();
        seen.retain(|seen| {
            let own = executable(seen.pid);
            !shells.contains(&seen.parent) && own.is_some() && own != executable(seen.parent)
        });
    }
    marked.retain(|_, seen| !seen.is_empty());
    marked
}

/// The processes that this one started and that run the executable of this name.
pub fn children(parent: i32, name: &str) -> Vec<Seen> {
    let own = |seen: &Seen| {
        let executable = executable(seen.pid);
        seen.parent == parent && executable.is_some_and(|path| path.ends_with(name))
    };
    pids().filter_map(Seen::of).filter(own).collect()
}

/// What it runs. That is known before its words are, when a program begins.
fn executable(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The control groups of an agent's programs, in every hierarchy.
pub fn groups(agent: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(PathBuf::from("/sys/fs/cgroup"), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && entry.file_name().to_string_lossy() == format!("cardcage-{agent}") {
                found.push(path);
            } else if is_folder && depth < 6 {
                folders.push((path, depth + 1));
            }
        }
    }
    found
}

/// The groups of single programs below those of an agent.
pub fn program_groups(agent: &str) -> Vec<PathBuf> {
    let below =
        |group: &PathBuf| std::fs::read_dir(group).into_iter().flatten().flatten().collect::<Vec<_>>();
    let folders = groups(agent).iter().flat_map(below).collect::<Vec<_>>();
    folders.into_iter().filter(|entry| entry.path().is_dir()).map(|entry| entry.path()).collect()
}

/// Ends everything that an agent's groups hold, supervisors first, and removes the groups.
pub(crate) fn clear(agent: &str) {
    for leaf in ["shim", "program"] {
        for group in program_groups(agent) {
            thaw(&group.join(leaf));
            for pid in members(&group.join(leaf)) {
                let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
    for group in groups(agent) {
        remove(&group);
    }
}

pub fn thaw(group: &Path) {
    for (file, word) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        if group.join(file).exists() {
            let _gone = std::fs::write(group.join(file), word);
        }
    }
}

/// The processes of a control group.
pub fn members(group: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
}

/// A group can be removed when its last process is gone, which takes a moment.
fn remove(group: &Path) {
    for _ in 0..100 {
        for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                for leaf in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                    let _kept = std::fs::remove_dir(leaf.path());
                }
                let _kept = std::fs::remove_dir(entry.path());
            }
        }
        if std::fs::remove_dir(group).is_ok() || !group.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
