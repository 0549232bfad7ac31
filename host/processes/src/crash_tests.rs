//! An agent is killed, at every point that has a name and at points that have none; the next one finds at most one program
//! of each deployment and knows of it, and can stop and remove it.
//!
//! The agent that is killed is this test executable again, told by its environment to be one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cgroup::{Cage, PROGRAM, SHIM, detect};
use crate::place::{Place, key};
use crate::{Limits, Owner, Processes, Program, Restart, State};

const UUID: &str = "one";
const POINTS: [&str; 12] = [
    "create: written",
    "create: moved in",
    "create: given",
    "create: in place",
    "start: locked",
    "start: launched",
    "start: answered",
    "stop: asking",
    "stop: asked",
    "stop: locked",
    "remove: cleared",
    "remove: renamed",
];
/// Kills at random times.
const ROUNDS: u32 = 25;

fn shim() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("cardcage-shim");
    assert!(path.exists(), "first: cargo build -p cardcage-processes");
    path
}

fn open(root: &Path) -> Processes {
    Processes::open(&root.join("programs"), &shim(), &group(root), 64 * 1024).unwrap()
}

fn group(root: &Path) -> String {
    format!("crash-{}", key(root.to_str().unwrap()))
}

fn program() -> Program {
    Program {
        name: "test".to_owned(),
        command: ["/bin/sh", "-c", "setsid sleep 1000 & exec sleep 1000"].map(str::to_owned).to_vec(),
        environment: Vec::new(),
        user: None,
        stop_signal: "SIGTERM".to_owned(),
        stop_grace: 2,
        restart: Restart::Always,
        health: None,
    }
}

fn create(processes: &Processes, root: &Path) {
    let text = String::new;
    let owner =
        Owner { uuid: UUID.to_owned(), instance_id: text(), backend: text(), order: text(), record: text() };
    let limits = Limits { cores: vec![0], shares: None, memory: 64 << 20, gpus: Vec::new() };
    let package = root.join("package");
    fs::create_dir_all(&package).unwrap();
    if processes.info(UUID).unwrap().is_none() {
        processes.create(&owner, &program(), &limits, &package).unwrap();
    }
}

#[test]
#[ignore = "the agent that the other tests kill"]
fn agent() {
    let root = PathBuf::from(std::env::var_os("CARDCAGE_CRASH_ROOT").unwrap());
    let processes = open(&root);
    create(&processes, &root);
    processes.start(UUID).unwrap();
    processes.stop(UUID).unwrap();
    processes.remove(UUID).unwrap();
}

fn begin(root: &Path, at: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "crash_tests::agent"])
        .env("CARDCAGE_CRASH_ROOT", root)
        .env("CARDCAGE_CRASH_AT", at)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn cage(root: &Path) -> Cage {
    Cage { layout: detect().unwrap(), group: group(root), key: key(UUID) }
}

/// Supervisors of this world, by their arguments.
fn supervisors(root: &Path) -> Vec<i32> {
    serving(root, &[b"run"])
}

fn steps(root: &Path) -> Vec<i32> {
    serving(root, &[b"launch", b"run"])
}

fn serving(root: &Path, steps: &[&[u8]]) -> Vec<i32> {
    let dir = root.canonicalize().unwrap().join("programs").join(key(UUID));
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut arguments = line.split(|&byte| byte == 0).skip(1);
        arguments.next().is_some_and(|step| steps.contains(&step))
            && arguments.next() == Some(dir.to_str().unwrap().as_bytes())
    })
    .collect()
}

/// The supervisor itself, at whichever of its steps, is killed while the program starts.
#[test]
fn supervisors_at_any_time() {
    if !possible() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let processes = open(root.path());
    create(&processes, root.path());
    for round in 0..ROUNDS {
        thread::scope(|scope| {
            let start = scope.spawn(|| processes.start(UUID));
            let began = Instant::now();
            let moment = Duration::from_micros(u64::from(round) * 400);
            while began.elapsed() < moment {
                thread::yield_now();
            }
            let killed = steps(root.path());
            for pid in &killed {
                let pid = rustix::process::Pid::from_raw(*pid).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            // Killed before or after it had answered.
            let _ = start.join().unwrap();
        });
        look(root.path());
        create(&processes, root.path());
    }
    processes.remove(UUID).unwrap();
    forget(root.path());
}

/// What the next agent must find.
fn look(root: &Path) {
    let processes = open(root);
    let deadline = Instant::now() + Duration::from_secs(20);
    // A supervisor that was on its way when the agent was killed arrives, or does not.
    let found = loop {
        let found = processes.info(UUID).unwrap();
        let on_its_way = crate::lock::Lock::held(&processes_place(root)).unwrap();
        match &found {
            Some(info) if info.state == State::Created && on_its_way => {}
            _ => break found,
        }
        assert!(Instant::now() < deadline, "it is always about to be started: {found:?}");
        thread::sleep(Duration::from_millis(10));
    };
    assert!(supervisors(root).len() <= 1, "two supervisors");
    let Some(info) = found else {
        assert!(cage(root).processes(&[PROGRAM, SHIM]).is_empty(), "a program that nobody knows");
        assert!(supervisors(root).is_empty(), "a supervisor that nobody knows");
        return;
    };
    // What the agent asked for with its last breath, a stop, may be heard only now; after that nobody asks for another.
    let alive = loop {
        let alive = processes.start(UUID).unwrap();
        if alive.state == State::Running && processes.info(UUID).unwrap().unwrap().state == State::Running {
            break alive;
        }
        assert!(Instant::now() < deadline, "it does not run: {info:?}, {alive:?}");
    };
    assert_eq!(supervisors(root), [i32::try_from(alive.pid).unwrap()]);
    assert_eq!(cage(root).processes(&[SHIM]).len(), 1);
    processes.stop(UUID).unwrap();
    assert_eq!(processes.info(UUID).unwrap().unwrap().state, State::Stopped);
    assert!(cage(root).processes(&[PROGRAM, SHIM]).is_empty() && supervisors(root).is_empty());
    processes.remove(UUID).unwrap();
    assert_eq!(processes.info(UUID).unwrap(), None);
}

fn processes_place(root: &Path) -> Place {
    Place::new(&root.join("programs"), &key(UUID))
}

/// Whether limits can be put on here.
fn possible() -> bool {
    let possible = rustix::process::geteuid().is_root() && detect().is_ok();
    if !possible {
        skipped("no root, or no control groups");
        return false;
    }
    // The agents that these tests kill are in this process's group with it, and cannot settle there before it has.
    detect().unwrap().settle().unwrap();
    true
}

#[expect(clippy::print_stdout, reason = "who runs the tests must see what was not tested")]
pub fn skipped(why: &str) {
    assert!(std::env::var("CARDCAGE_CI").unwrap_or_default().is_empty(), "not skipped in CI: {why}");
    println!("skipped: {why}");
}

fn forget(root: &Path) {
    for group in
        detect().unwrap().roots.iter().map(|base| base.path.join(format!("cardcage-{}", group(root))))
    {
        let _ = fs::remove_dir(group);
    }
}

#[test]
fn at_every_point() {
    if !possible() {
        return;
    }
    for point in POINTS {
        let root = tempfile::tempdir().unwrap();
        let status = begin(root.path(), point).wait().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9),
            "{point} was not come by"
        );
        look(root.path());
        forget(root.path());
    }
}

#[test]
fn at_any_time() {
    if !possible() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let whole = Instant::now();
    assert!(begin(root.path(), "never").wait().unwrap().success());
    let whole = whole.elapsed();
    for round in 0..ROUNDS {
        let mut agent = begin(root.path(), "never");
        // Spread over a whole life, and a little beside the round before.
        thread::sleep(whole * round / ROUNDS + Duration::from_micros(u64::from(round) * 37 % 500));
        agent.kill().unwrap();
        agent.wait().unwrap();
        look(root.path());
    }
    forget(root.path());
}
