//! Network namespaces: machines with interfaces of their own, on bridges of their own. Nothing of the machine's own
//! network is touched.

use std::cell::Cell;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};

/// Where the kernel's namespaces have their names.
const NAMES: &str = "/run/netns";
/// All of ours begin so; the number of the test process follows.
const PREFIX: &str = "cardcage";

/// Whether this machine lets a test make namespaces. Where it does not, the test says so and is over; in continuous
/// integration that is a failure, because nobody would read it there.
#[track_caller]
pub fn namespaces_are_allowed(test: &str) -> bool {
    static ALLOWED: OnceLock<Result<(), String>> = OnceLock::new();
    match ALLOWED.get_or_init(try_namespace) {
        Ok(()) => true,
        Err(missing) => skip(test, missing),
    }
}

fn try_namespace() -> Result<(), String> {
    let name = format!("{PREFIX}-{}-try", std::process::id());
    let added = Command::new("ip").args(["netns", "add", &name]).output();
    let added = added.map_err(|error| format!("the program ip (Debian: iproute2), {error}"))?;
    remove(&name);
    match added.status.success() {
        true => Ok(()),
        false => Err(format!("root; {}", String::from_utf8_lossy(&added.stderr).trim())),
    }
}

/// Whether what a machine can be given must be there.
pub fn in_ci() -> bool {
    ["CI", "CARDCAGE_CI"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Says that a test was left out, and why.
#[track_caller]
pub fn skip(test: &str, missing: &str) -> bool {
    assert!(!in_ci(), "{test} needs {missing}");
    // Not by eprintln, which is only shown for tests that fail.
    let _unread = writeln!(std::io::stderr(), "skipped: {test} needs {missing}");
    false
}

/// One machine, as far as the network is concerned. It is gone with this handle.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// With its loopback up.
    #[track_caller]
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if NUMBER.load(Ordering::Relaxed) == 0 {
            remove_those_of_dead_tests();
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}", std::process::id());
        ip(&["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// Runs `ip` in here.
    #[track_caller]
    pub fn ip(&self, words: &[&str]) {
        ip(&[&["-n", &self.name], words].concat());
    }

    /// A command that runs in here.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// The same without a view of `/sys` of its own, as `ip` makes one: for what makes control groups.
    pub fn enter(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={NAMES}/{}", self.name)).arg(program);
        command
    }

    /// Does something on a thread that is in here; the sockets that it makes stay in here.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(File::open(Path::new(NAMES).join(&self.name)).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        let done = std::thread::scope(|scope| scope.spawn(inside).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

#[track_caller]
fn ip(words: &[&str]) {
    let done = Command::new("ip").args(words).output().unwrap();
    assert!(done.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr));
}

fn remove(name: &str) {
    let _done = Command::new("ip").args(["netns", "delete", name]).output();
}

/// A test that was killed could not remove its own.
fn remove_those_of_dead_tests() {
    for entry in std::fs::read_dir(NAMES).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut words = name.split('-');
        if let (Some(PREFIX), Some(process)) = (words.next(), words.next())
            && !Path::new("/proc").join(process).exists()
        {
            remove(&name);
        }
    }
}

/// A room with switches in it.
#[derive(Debug, Default)]
pub struct Lab {
    switches: Namespace,
    cables: Cell<u32>,
}

impl Lab {
    #[track_caller]
    pub fn new() -> Self {
        Self::default()
    }

    /// A switch: what is plugged into it is one network.
    #[track_caller]
    pub fn switch(&self, name: &str) {
        self.switches.ip(&["link", "add", name, "type", "bridge"]);
        self.switches.ip(&["link", "set", name, "up"]);
    }

    /// Gives a machine an interface with an address, and plugs it into a switch.
    #[track_caller]
    pub fn plug(&self, switch: &str, machine: &Namespace, interface: &str, address: &str) {
        let port = format!("port{}", self.cables.get());
        self.cables.set(self.cables.get() + 1);
        let (other, here) = (&machine.name, &self.switches.name);
        ip(&["link", "add", interface, "netns", other, "type", "veth", "peer", "name", &port, "netns", here]);
        self.switches.ip(&["link", "set", &port, "master", switch, "up"]);
        machine.ip(&["address", "add", address, "dev", interface]);
        machine.ip(&["link", "set", interface, "up"]);
    }
}
