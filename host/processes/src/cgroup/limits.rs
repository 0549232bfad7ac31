//! Groups are made with their limits before anything is in them, entered by a process for itself, and removed when empty.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::detect::LEAF;
use super::{Cage, Layout, PROGRAM, Root, SHIM, Version, put, read, unavailable};
use crate::Error;
use crate::model::Limits;
use crate::status;

/// Processes and threads of one program; a fork bomb ends here.
const PIDS: u32 = 4096;
/// The controllers of version 2 that are used; the last one only where it is there.
const NEEDED_V2: [&str; 3] = ["cpuset", "memory", "pids"];
/// Where controllers are handed down to the groups below.
const CONTROL: &str = "cgroup.subtree_control";
/// How long who else is in the agent's group may take to leave it.
const SETTLING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

impl Layout {
    /// Makes room for limited groups beside the agent, which must be who calls this.
    pub fn settle(&self) -> Result<(), Error> {
        let root = self.roots.first().filter(|_| self.version == Version::V2);
        let Some(base) = root.map(|root| root.path.as_path()) else { return Ok(()) };
        let wanted = wanted(base)?;
        let control = base.join(CONTROL);
        let deadline = Instant::now() + SETTLING;
        loop {
            match put(&control, wanted) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::ResourceBusy => {
                    return Err(unavailable("cannot write into", &control, &error));
                }
                Err(_) if Instant::now() >= deadline => {
                    let why = format!(
                        "others are in the agent's group {}: start it in one of its own",
                        base.display()
                    );
                    return Err(Error::Unavailable { why });
                }
                Err(_) => move_aside(base)?,
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Cage {
    /// Makes the groups and puts the limits on. What an earlier supervisor left must have been killed and removed.
    pub fn make(&self, limits: &Limits) -> Result<(), Error> {
        for root in &self.layout.roots {
            if self.layout.version == Version::V2 {
                self.make_v2(root)?;
            } else {
                self.make_v1(root)?;
            }
        }
        self.limit_cores(limits)?;
        self.limit_memory(limits)?;
        self.must("pids", "pids.max", &PIDS.to_string())
    }

    /// Moves the calling process.
    pub fn enter(&self, leaf: &str) -> Result<(), Error> {
        for root in &self.layout.roots {
            let path = self.dir(root, leaf).join("cgroup.procs");
            put(&path, "0").map_err(|error| unavailable("cannot move into", &path, &error))?;
        }
        Ok(())
    }

    /// Removes a group; what is in it must have been killed. Gone already is as good.
    pub fn remove(&self, leaf: &str) -> Result<(), Error> {
        for root in &self.layout.roots {
            remove_tree(&self.dir(root, leaf), 0)?;
        }
        Ok(())
    }

    /// Removes all groups of the deployment. The agent's own stays: another supervisor may be about to make its groups there.
    pub fn remove_all(&self) -> Result<(), Error> {
        self.remove(PROGRAM)?;
        self.remove(SHIM)?;
        for root in &self.layout.roots {
            remove_one(&self.dir(root, ""))?;
        }
        Ok(())
    }

    /// Whether any group of the deployment is there.
    pub fn exists(&self) -> bool {
        self.layout.roots.iter().any(|root| self.dir(root, "").exists())
    }

    fn make_v1(&self, root: &Root) -> Result<(), Error> {
        let cores = root.controllers.iter().any(|name| name == "cpuset");
        let own = self.dir(root, "");
        for path in
            own.parent().into_iter().chain([own.as_path(), &self.dir(root, SHIM), &self.dir(root, PROGRAM)])
        {
            make_one(path)?;
            // An empty set of cores or of memory nodes cannot be entered, and it is empty until somebody says otherwise.
            for file in ["cpuset.cpus", "cpuset.mems"].into_iter().filter(|_| cores) {
                inherit(path, file).map_err(|error| unavailable("cannot set", &path.join(file), &error))?;
            }
        }
        Ok(())
    }

    fn make_v2(&self, root: &Root) -> Result<(), Error> {
        let own = self.dir(root, "");
        let group = own.parent().unwrap_or(&own);
        for path in [root.path.as_path(), group, &own] {
            if path != root.path {
                make_one(path)?;
            }
            hand_down(path)?;
        }
        make_one(&self.dir(root, SHIM))?;
        make_one(&self.dir(root, PROGRAM))
    }

    fn limit_cores(&self, limits: &Limits) -> Result<(), Error> {
        self.must("cpuset", "cpuset.cpus", &list(&limits.cores))?;
        self.must_have_cores(limits)?;
        let Some(shares) = limits.shares.map(u64::from) else { return Ok(()) };
        match self.layout.version {
            Version::V1 => self.may("cpu", "cpu.shares", &(shares * 1024).clamp(2, 262_144).to_string()),
            Version::V2 => self.may("cpu", "cpu.weight", &(shares * 100).clamp(1, 10_000).to_string()),
        }
    }

    /// Version 2 takes cores that the groups above do not have, and then runs the program on all that they have.
    fn must_have_cores(&self, limits: &Limits) -> Result<(), Error> {
        let path = self.file("cpuset", "cpuset.cpus.effective").filter(|path| path.exists());
        let Some(path) = path.filter(|_| self.layout.version == Version::V2) else { return Ok(()) };
        let given = read(&path).map_err(|error| unavailable("cannot read", &path, &error))?;
        let mut wanted = limits.cores.clone();
        wanted.sort_unstable();
        wanted.dedup();
        if cores(&given).as_ref() == Some(&wanted) {
            return Ok(());
        }
        let (wanted, given) = (list(&wanted), given.trim());
        Err(Error::Unavailable {
            why: format!("cores {wanted} are not all offered to {}, which got {given}", path.display()),
        })
    }

    fn limit_memory(&self, limits: &Limits) -> Result<(), Error> {
        let memory = limits.memory.to_string();
        match self.layout.version {
            Version::V1 => {
                self.must("memory", "memory.limit_in_bytes", &memory)?;
                self.may("memory", "memory.memsw.limit_in_bytes", &memory)
            }
            Version::V2 => {
                self.must("memory", "memory.max", &memory)?;
                self.may("memory", "memory.swap.max", "0")
            }
        }
    }

    fn must(&self, controller: &str, file: &str, value: &str) -> Result<(), Error> {
        let why = || Error::Unavailable { why: format!("there is no {controller} controller") };
        let path = self.file(controller, file).ok_or_else(why)?;
        put(&path, value).map_err(|error| unavailable(&format!("cannot write {value} into"), &path, &error))
    }

    // For what some kernels do not have.
    fn may(&self, controller: &str, file: &str, value: &str) -> Result<(), Error> {
        match self.file(controller, file) {
            Some(path) if path.exists() => self.must(controller, file, value),
            _ => Ok(()),
        }
    }
}

fn list(cores: &[u32]) -> String {
    cores.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// The reverse, as the kernel writes it: `0-3,6`. `None` where it is no such list.
fn cores(list: &str) -> Option<Vec<u32>> {
    let mut cores = Vec::new();
    for range in list.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        // No board has so many.
        if last > 1 << 16 {
            return None;
        }
        cores.extend(first..=last);
    }
    Some(cores)
}

fn make_one(path: &Path) -> Result<(), Error> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(unavailable("cannot make", path, &error))
        }
        _ => Ok(()),
    }
}

fn inherit(path: &Path, file: &str) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    match put(&path.join(file), read(&parent.join(file))?.trim()) {
        // It has a set already, which groups below it use.
        Err(_) if !read(&path.join(file))?.trim().is_empty() => Ok(()),
        other => other,
    }
}

fn hand_down(path: &Path) -> Result<(), Error> {
    let control = path.join(CONTROL);
    put(&control, wanted(path)?).map_err(|error| unavailable("cannot write into", &control, &error))
}

/// What groups below this one need, all of it if they can have that.
fn wanted(path: &Path) -> Result<&'static str, Error> {
    let offered = path.join("cgroup.controllers");
    let offered = read(&offered).map_err(|error| unavailable("cannot read", &offered, &error))?;
    let offers = |name: &str| offered.split_ascii_whitespace().any(|offer| offer == name);
    let missing: Vec<&str> = NEEDED_V2.into_iter().filter(|name| !offers(name)).collect();
    if !missing.is_empty() {
        let why =
            format!("{} does not offer {}: a unit needs Delegate=yes", path.display(), missing.join(", "));
        return Err(Error::Unavailable { why });
    }
    Ok(if offers("cpu") { "+cpuset +memory +pids +cpu" } else { "+cpuset +memory +pids" })
}

/// Moves this process into the leaf, and its children: a plugin may be being compiled. Who else is there is not ours.
fn move_aside(base: &Path) -> Result<(), Error> {
    let leaf = base.join(LEAF);
    make_one(&leaf)?;
    let procs = leaf.join("cgroup.procs");
    put(&procs, "0").map_err(|error| unavailable("cannot move into", &procs, &error))?;
    let others = read(&base.join("cgroup.procs")).unwrap_or_default();
    for pid in others.lines() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if status::parent(&stat) == Some(std::process::id()) {
            // It may have ended.
            let _gone = put(&procs, pid);
        }
    }
    Ok(())
}

fn remove_tree(path: &Path, depth: u32) -> Result<(), Error> {
    // A program that is root may have made groups of its own.
    if depth < 16
        && let Ok(entries) = fs::read_dir(path)
    {
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            remove_tree(&entry.path(), depth + 1)?;
        }
    }
    remove_one(path)
}

fn remove_one(path: &Path) -> Result<(), Error> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Layout;

    /// What the kernel would put into a new group of version 2.
    fn v2(path: &Path, files: &[&str]) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("cgroup.controllers"), "cpuset cpu io memory pids\n").unwrap();
        fs::write(path.join("cgroup.subtree_control"), "").unwrap();
        for file in files {
            fs::write(path.join(file), "").unwrap();
        }
    }

    fn cage(base: &Path, version: Version, controllers: &[&str]) -> Cage {
        let roots = vec![Root {
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
            path: base.to_owned(),
        }];
        Cage { layout: Layout { version, roots }, group: "g".to_owned(), key: "k".to_owned() }
    }

    fn limits() -> Limits {
        Limits { cores: vec![2, 3], shares: Some(2), memory: 64 << 20, gpus: Vec::new() }
    }

    #[test]
    fn limits_of_version_2_stand_in_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        for path in ["", "cardcage-g", "cardcage-g/k"] {
            v2(&base.join(path), &[]);
        }
        let program = base.join("cardcage-g/k/program");
        v2(&program, &["cpuset.cpus", "cpu.weight", "memory.max", "memory.swap.max", "pids.max"]);
        let cage = cage(base, Version::V2, &[]);
        cage.layout.settle().unwrap();
        cage.make(&limits()).unwrap();
        let holds = |file: &str| fs::read_to_string(program.join(file)).unwrap();
        assert_eq!(holds("cpuset.cpus"), "2,3");
        assert_eq!(holds("cpu.weight"), "200");
        assert_eq!(holds("memory.max"), (64 << 20).to_string());
        assert_eq!(holds("memory.swap.max"), "0");
        assert_eq!(holds("pids.max"), PIDS.to_string());
        let control = fs::read_to_string(base.join("cardcage-g/k/cgroup.subtree_control")).unwrap();
        assert_eq!(control, "+cpuset +memory +pids +cpu");
    }

    #[test]
    fn cores_that_the_kernel_did_not_give_are_unavailable() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["", "cardcage-g", "cardcage-g/k"] {
            v2(&folder.path().join(path), &[]);
        }
        let program = folder.path().join("cardcage-g/k/program");
        let files = ["cpuset.cpus", "cpuset.cpus.effective", "memory.max", "pids.max"];
        v2(&program, &files);
        let cage = cage(folder.path(), Version::V2, &[]);
        for (given, fits) in
            [("2-3\n", true), ("0-3\n", false), ("2\n", false), ("\n", false), ("a-b\n", false)]
        {
            fs::write(program.join("cpuset.cpus.effective"), given).unwrap();
            let made = cage.make(&limits());
            assert_eq!(made.is_ok(), fits, "{given:?}: {made:?}");
            assert!(made.is_ok() || made.unwrap_err().code() == "unavailable");
        }
    }

    #[test]
    fn lists_of_cores_are_read_as_the_kernel_writes_them() {
        assert_eq!(cores("0-2,5,7-8\n"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!(cores("\n"), Some(Vec::new()));
        for wrong in ["x", "1-", "0-4000000000", "-1"] {
            assert_eq!(cores(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_tree_that_was_not_delegated_is_unavailable() {
        let folder = tempfile::tempdir().unwrap();
        v2(folder.path(), &[]);
        fs::write(folder.path().join("cgroup.controllers"), "memory pids\n").unwrap();
        let error = cage(folder.path(), Version::V2, &[]).make(&limits()).unwrap_err();
        assert_eq!(error.code(), "unavailable");
        assert!(error.to_string().contains("cpuset") && error.to_string().contains("Delegate"), "{error}");
    }

    #[test]
    fn version_1_inherits_cores_and_nodes_on_every_level() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        let files = ["cpuset.cpus", "cpuset.mems", "memory.limit_in_bytes", "cpu.shares", "pids.max"];
        for path in ["", "cardcage-g", "cardcage-g/k", "cardcage-g/k/shim", "cardcage-g/k/program"] {
            fs::create_dir_all(base.join(path)).unwrap();
            for file in files {
                fs::write(base.join(path).join(file), "").unwrap();
            }
        }
        fs::write(base.join("cpuset.cpus"), "0-7\n").unwrap();
        fs::write(base.join("cpuset.mems"), "0\n").unwrap();
        cage(base, Version::V1, &["cpuset", "memory", "pids", "cpu"]).make(&limits()).unwrap();
        let holds = |path: &str| fs::read_to_string(base.join("cardcage-g").join(path)).unwrap();
        assert_eq!((holds("cpuset.cpus"), holds("k/shim/cpuset.mems")), ("0-7".to_owned(), "0".to_owned()));
        // The file that stands in for the kernel's keeps what was longer before.
        assert!(holds("k/program/cpuset.cpus").starts_with("2,3"));
        assert_eq!(holds("k/program/cpu.shares"), "2048");
        assert_eq!(holds("k/program/memory.limit_in_bytes"), (64 << 20).to_string());
    }

    #[test]
    fn a_controller_that_is_missing_is_unavailable() {
        let folder = tempfile::tempdir().unwrap();
        let error = cage(folder.path(), Version::V1, &["memory"]).make(&limits()).unwrap_err();
        assert_eq!(error.code(), "unavailable");
    }
}
