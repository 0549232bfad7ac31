//! What a group says of itself.

use super::{Cage, PROGRAM, Version, read};

impl Cage {
    /// Whether everything in a group is stopped.
    pub fn is_frozen(&self, leaf: &str) -> bool {
        let Some(root) = self.root("freezer") else { return false };
        let dir = self.dir(root, leaf);
        match self.layout.version {
            Version::V1 => read(&dir.join("freezer.state")).is_ok_and(|state| state.trim() == "FROZEN"),
            Version::V2 => {
                read(&dir.join("cgroup.events")).is_ok_and(|events| field(&events, "frozen") == Some(1))
            }
        }
    }

    /// Processor time of the program, in nanoseconds.
    pub fn cpu_time(&self) -> Option<u64> {
        match self.layout.version {
            Version::V1 => self.number("cpuacct", "cpuacct.usage"),
            Version::V2 => self.field("cpu", "cpu.stat", "usage_usec")?.checked_mul(1000),
        }
    }

    /// Memory that could not be reclaimed, in bytes.
    pub fn memory_used(&self) -> Option<u64> {
        let (used, cached) = match self.layout.version {
            Version::V1 => ("memory.usage_in_bytes", "total_inactive_file"),
            Version::V2 => ("memory.current", "inactive_file"),
        };
        let cached = self.field("memory", "memory.stat", cached).unwrap_or(0);
        Some(self.number("memory", used)?.saturating_sub(cached))
    }

    /// How many processes of the program were killed for want of memory.
    pub fn killed_for_memory(&self) -> u64 {
        let file = match self.layout.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        self.field("memory", file, "oom_kill").unwrap_or(0)
    }

    /// Whether the program's group is there and has somebody in it.
    pub fn is_populated(&self) -> bool {
        !self.processes(&[PROGRAM]).is_empty()
    }

    fn number(&self, controller: &str, file: &str) -> Option<u64> {
        read(&self.file(controller, file)?).ok()?.trim().parse().ok()
    }

    fn field(&self, controller: &str, file: &str, name: &str) -> Option<u64> {
        field(&read(&self.file(controller, file)?).ok()?, name)
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cgroup::{Layout, Root};

    fn recorded(version: Version, files: &[(&str, &str)]) -> (tempfile::TempDir, Cage) {
        let folder = tempfile::tempdir().unwrap();
        let controllers = ["memory", "cpuacct", "freezer"].map(str::to_owned).to_vec();
        let roots = vec![Root { controllers, path: folder.path().to_owned() }];
        let cage = Cage { layout: Layout { version, roots }, group: "g".to_owned(), key: "k".to_owned() };
        let program = folder.path().join("cardcage-g/k/program");
        fs::create_dir_all(&program).unwrap();
        for (file, text) in files {
            fs::write(program.join(file), text).unwrap();
        }
        (folder, cage)
    }

    #[test]
    fn version_1() {
        let (_folder, cage) = recorded(
            Version::V1,
            &[
                ("cpuacct.usage", "1500000000\n"),
                ("memory.usage_in_bytes", "1000\n"),
                ("memory.stat", "cache 700\ninactive_file 1\ntotal_inactive_file 300\n"),
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
                ("freezer.state", "FROZEN\n"),
                ("cgroup.procs", "12\n0\n7\n"),
            ],
        );
        assert_eq!((cage.cpu_time(), cage.memory_used()), (Some(1_500_000_000), Some(700)));
        assert_eq!((cage.killed_for_memory(), cage.is_frozen(PROGRAM)), (2, true));
        assert_eq!(cage.processes(&[PROGRAM]), [7, 12]);
    }

    #[test]
    fn version_2() {
        let (_folder, cage) = recorded(
            Version::V2,
            &[
                ("cpu.stat", "usage_usec 1500\nuser_usec 1000\n"),
                ("memory.current", "1000\n"),
                ("memory.stat", "anon 1\ninactive_file 300\n"),
                ("memory.events", "low 0\noom 3\noom_kill 2\n"),
                ("cgroup.events", "populated 1\nfrozen 0\n"),
            ],
        );
        assert_eq!((cage.cpu_time(), cage.memory_used()), (Some(1_500_000), Some(700)));
        assert_eq!((cage.killed_for_memory(), cage.is_frozen(PROGRAM)), (2, false));
        assert!(!cage.is_populated());
    }

    #[test]
    fn what_is_not_there_is_absent() {
        let (_folder, cage) = recorded(Version::V1, &[("memory.usage_in_bytes", "many\n")]);
        assert_eq!((cage.cpu_time(), cage.memory_used(), cage.killed_for_memory()), (None, None, 0));
    }
}
