//! A world of one agent: a root, an own group of control groups, and everything in it ended when the test is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cardcage_processes::{Info, Limits, Owner, Processes, Program, Restart};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub folder: tempfile::TempDir,
    pub processes: Processes,
    pub group: String,
}

/// A world, unless limits cannot be put on here: then the test is skipped, and says so.
pub fn world() -> Option<World> {
    if !rustix::process::geteuid().is_root() {
        skipped("only root can make control groups");
        return None;
    }
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let group = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = tempfile::tempdir().unwrap();
    let world = World { processes: open(folder.path(), &group), folder, group };
    world.create("probe", sh("exit 0"));
    let started = world.processes.start("probe");
    if let Err(error) = &started
        && error.code() == "unavailable"
    {
        skipped(&error.to_string());
        return None;
    }
    started.unwrap();
    world.processes.stop("probe").unwrap();
    world.processes.remove("probe").unwrap();
    Some(world)
}

#[expect(clippy::print_stdout, reason = "who runs the tests must see what was not tested")]
pub fn skipped(why: &str) {
    assert!(std::env::var("CARDCAGE_CI").unwrap_or_default().is_empty(), "not skipped in CI: {why}");
    println!("skipped: {why}");
}

pub fn open(root: &Path, group: &str) -> Processes {
    open_with(root, &shim(), group)
}

pub fn open_with(root: &Path, shim: &Path, group: &str) -> Processes {
    Processes::open(&root.join("programs"), shim, group, 64 * 1024).unwrap()
}

/// The supervisor under test: the one that cargo built, or where these tests were carried to another machine, the one
/// that was carried with them.
pub fn shim() -> PathBuf {
    std::env::var_os("CARDCAGE_SHIM").unwrap_or_else(|| env!("CARGO_BIN_EXE_cardcage-shim").into()).into()
}

impl World {
    pub fn create(&self, uuid: &str, program: Program) -> Info {
        self.create_within(uuid, program, limits())
    }

    pub fn create_within(&self, uuid: &str, program: Program, limits: Limits) -> Info {
        self.processes.create(&owner(uuid), &program, &limits, &self.package(uuid)).unwrap()
    }

    /// An unpacked package.
    pub fn package(&self, uuid: &str) -> PathBuf {
        let package = self.folder.path().join(format!("package-{uuid}"));
        fs::create_dir_all(&package).unwrap();
        package
    }

    pub fn run(&self, uuid: &str, program: Program) -> Info {
        self.create(uuid, program);
        self.processes.start(uuid).unwrap()
    }

    pub fn info(&self, uuid: &str) -> Info {
        self.processes.info(uuid).unwrap().unwrap()
    }

    /// Waits until a program is as wanted.
    pub fn until(&self, uuid: &str, what: &str, wanted: impl Fn(&Info) -> bool) -> Info {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info = self.info(uuid);
            if wanted(&info) {
                return info;
            }
            assert!(
                Instant::now() < deadline,
                "{uuid} never was {what}: {info:?}, it said {:?}",
                self.said(uuid)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn until_state(&self, uuid: &str, state: &str) -> Info {
        self.until(uuid, state, |info| info.state.word() == state)
    }

    pub fn said(&self, uuid: &str) -> String {
        let chunk = self.processes.log(uuid, None, 1 << 20).unwrap().unwrap();
        String::from_utf8_lossy(&chunk.bytes).into_owned()
    }

    /// Waits until a program has said something.
    pub fn until_said(&self, uuid: &str, what: &str) -> String {
        wait(&format!("{uuid} says {what:?}"), || Some(self.said(uuid)).filter(|said| said.contains(what)))
    }

    /// The folder of a deployment.
    pub fn dir(&self) -> PathBuf {
        let root = self.folder.path().join("programs");
        let mut entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.file_name().unwrap().len() == 32).unwrap()
    }

    /// The control groups of this world, in every hierarchy.
    pub fn groups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        find(Path::new("/sys/fs/cgroup"), &format!("cardcage-{}", self.group), 0, &mut found);
        found
    }

    /// Every process in them.
    pub fn processes_left(&self) -> Vec<i32> {
        self.groups().iter().flat_map(|group| members(group)).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for info in self.processes.survey("backend").unwrap_or_default() {
            let _ = self.processes.stop(&info.uuid);
            let _ = self.processes.remove(&info.uuid);
        }
        self.groups().iter().for_each(|group| drop(fs::remove_dir(group)));
    }
}

fn find(dir: &Path, name: &str, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name() == name {
            found.push(entry.path());
        } else if depth < 6 {
            find(&entry.path(), name, depth + 1, found);
        }
    }
}

fn members(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<i32> = text.lines().map(|line| line.parse().unwrap()).collect();
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids.extend(members(&entry.path()));
        }
    }
    pids
}

pub fn wait<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = seen() {
            return value;
        }
        assert!(Instant::now() < deadline, "it never happened: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process runs; a zombie does not.
pub fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub fn owner(uuid: &str) -> Owner {
    let text = |what: &str| format!("{what} of {uuid}");
    Owner {
        uuid: uuid.to_owned(),
        instance_id: text("instance"),
        backend: "backend".to_owned(),
        order: text("order"),
        record: text("record"),
    }
}

pub fn sh(script: &str) -> Program {
    Program {
        name: "test".to_owned(),
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        environment: Vec::new(),
        user: None,
        stop_signal: "SIGTERM".to_owned(),
        stop_grace: 5,
        restart: Restart::No,
        health: None,
    }
}

pub fn limits() -> Limits {
    Limits { cores: vec![0], shares: Some(1), memory: 256 << 20, gpus: vec![(0, "0000:01:00.0".to_owned())] }
}

/// A pid that a program said, as `name=PID`.
pub fn pid_in(said: &str, name: &str) -> i32 {
    let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap().parse().unwrap()
}
