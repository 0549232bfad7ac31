//! Where `/proc` and `/sys` are: the real ones, or a recording of a board that is not here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::{self, Space};

/// The roots that probes read below. Nothing but probes ever reads a recording.
#[derive(Debug, Clone)]
pub struct Roots {
    pub proc: PathBuf,
    /// The facts there can be read without a thread that may get stuck.
    pub proc_answers_at_once: bool,
    pub sys: PathBuf,
    /// The same without links, as places are told.
    sys_place: PathBuf,
    /// Absent in a recording that has none: another machine's must not stand in.
    pub os_release: Option<PathBuf>,
    pub architecture: Option<String>,
    pub space: RecordedSpace,
}

/// Whether the space on file systems is asked of the kernel or comes from the recording.
#[derive(Debug, Clone)]
pub enum RecordedSpace {
    Live,
    Recorded(BTreeMap<String, Space>),
}

impl Roots {
    pub fn new(kernel: &config::Kernel) -> Self {
        let replayed = kernel.proc.is_some();
        let sys = kernel.sys.clone().unwrap_or_else(|| "/sys".into());
        let proc = kernel.proc.clone().unwrap_or_else(|| "/proc".into());
        Self {
            proc_answers_at_once: is_of_this_kernel(&proc) && !is_covered(&proc, &mounts()),
            proc,
            sys_place: sys.canonicalize().unwrap_or_else(|_| sys.clone()),
            sys,
            os_release: kernel.os_release.clone().or_else(|| (!replayed).then(|| "/etc/os-release".into())),
            architecture: kernel.architecture.clone().or_else(|| (!replayed).then(machine)),
            space: match replayed {
                true => RecordedSpace::Recorded(kernel.space.clone()),
                false => RecordedSpace::Live,
            },
        }
    }

    /// Where a path of the board is on this machine.
    pub fn locate(&self, board: &Path) -> PathBuf {
        match (board.strip_prefix("/sys"), board.strip_prefix("/proc")) {
            (Ok(rest), _) => self.sys.join(rest),
            (_, Ok(rest)) => self.proc.join(rest),
            _ => board.to_owned(),
        }
    }

    /// The board's path of a place on this machine; `None` if a recording led out of itself.
    pub fn board_path(&self, here: &Path) -> Option<PathBuf> {
        match here.strip_prefix(&self.sys_place) {
            Ok(rest) => Some(Path::new("/sys").join(rest)),
            Err(_) => (self.sys_place == Path::new("/sys")).then(|| here.to_owned()),
        }
    }

    /// Never what is behind `/proc`, whatever leads there: the memory and the secrets of processes.
    pub fn may_read(&self, here: &Path) -> bool {
        !here.starts_with("/proc") && (!here.starts_with(&self.proc) || here.starts_with(&self.sys_place))
    }
}

/// Whether the file system is the kernel's own, or in its memory, or on a disk of this machine: not one of a network or
/// of another program, which may never answer.
fn is_of_this_kernel(folder: &Path) -> bool {
    /// From `linux/magic.h`: proc, tmpfs, ext2 to ext4, xfs, btrfs, squashfs, overlay.
    const KINDS: [i64; 7] = [0x9fa0, 0x0102_1994, 0xef53, 0x5846_5342, 0x9123_683e, 0x7371_7368, 0x794c_7630];
    rustix::fs::statfs(folder).is_ok_and(|about| KINDS.contains(&about.f_type))
}

/// The facts that are read on the plugins' own thread.
const FACTS: [&str; 5] = ["stat", "loadavg", "meminfo", "net", "net/dev"];

/// Whether something is mounted over one of the facts: containers get some of them from a program (lxcfs), which may not
/// answer. Asked of the table of mounts, since whoever asks the file may wait.
fn is_covered(proc: &Path, mounts: &str) -> bool {
    let mut points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    points.any(|point| FACTS.iter().any(|fact| proc.join(fact) == Path::new(point)))
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

/// As `uname -m` says it.
fn machine() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_another_program_are_noticed() {
        let table = "23 28 0:21 / /proc rw,nosuid - proc proc rw\n\
                     31 23 0:27 / /proc/sys/fs/binfmt_misc rw - binfmt_misc binfmt_misc rw\n";
        assert!(!is_covered(Path::new("/proc"), table));
        let lxcfs = format!("{table}40 23 0:30 /proc/stat /proc/stat rw - fuse.lxcfs lxcfs rw\n");
        assert!(is_covered(Path::new("/proc"), &lxcfs));
        assert!(!is_covered(Path::new("/srv/board/proc"), &lxcfs));
        assert!(!is_covered(Path::new("/proc"), ""));
    }
}
