//! A board in QEMU: a kernel of Debian's in pure version 2 of control groups, which few machines that run tests have, and
//! nothing on it but what a test carries there. It is emulated, so nothing depends on this machine's processor.
//!
//! `cargo xtask test` puts the kernel beside the executables. Another test cannot disturb it, nor it another test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::executables::{executable, folder};
use crate::lab_initramfs::Initramfs;
use crate::namespace::skip;
use crate::packages::busybox_is_static;
use crate::process::Process;

const QEMU: &str = "qemu-system-x86_64";
const INIT: &str = include_str!("lab_init.sh");
/// For everything on the board, which takes about a minute. Machines that run tests are busy.
const DEADLINE: Duration = Duration::from_secs(300);
/// For one suite of it, in the board's own seconds.
const SUITE: u32 = 120;
const POLL: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub struct LabBoard {
    kernel: PathBuf,
    root: Initramfs,
    script: String,
    workshop: tempfile::TempDir,
}

/// What a suite said, and how it ended.
#[derive(Debug)]
pub struct Suite {
    pub said: String,
    pub status: i32,
}

impl LabBoard {
    /// `None`, and a word to the reader of the tests, where this machine cannot have one.
    #[track_caller]
    pub fn new(test: &str) -> Option<Self> {
        if std::env::consts::ARCH != "x86_64" {
            skip(test, "a processor whose libraries the board could share: x86-64");
            return None;
        }
        if Command::new(QEMU).arg("--version").output().is_err() {
            skip(test, "QEMU (Debian: qemu-system-x86)");
            return None;
        }
        let kernel = folder().parent().unwrap().join("lab/vmlinuz");
        if !kernel.is_file() {
            skip(test, &format!("a kernel at {}, which `cargo xtask test` puts there", kernel.display()));
            return None;
        }
        if !busybox_is_static(test) {
            return None;
        }
        let mut root = Initramfs::default();
        ["/proc", "/sys", "/dev", "/tmp", "/root"].into_iter().for_each(|path| root.folder(path));
        root.file("/etc/passwd", 0o644, b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n");
        root.file("/etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n");
        root.file("/bin/busybox", 0o755, &std::fs::read("/bin/busybox").unwrap());
        Some(Self { kernel, root, script: INIT.to_owned(), workshop: tempfile::tempdir().unwrap() })
    }

    /// Carries an executable of this machine to the board, without what only debuggers want.
    #[track_caller]
    pub fn carry(&mut self, executable: &Path, path: &str) {
        let stripped = self.workshop.path().join("stripped");
        let done = Command::new("strip").arg("-o").arg(&stripped).arg(executable).status();
        assert!(done.unwrap().success(), "{} cannot be stripped", executable.display());
        self.root.file(path, 0o755, &std::fs::read(stripped).unwrap());
    }

    /// Carries the tests that are running to the board, as `/lab/debug/deps/cases`, with the product, which first compiles
    /// its plugins there, into `/lab/state/compiled`.
    #[track_caller]
    pub fn carry_these_tests(&mut self) {
        let tests = std::env::current_exe().unwrap();
        self.carry(&tests, "/lab/debug/deps/cases");
        let mut libraries = libraries_of(&tests);
        for name in ["cardcage-agent", "cardcage-compile", "cardcage-shim"] {
            let product = executable(name);
            self.carry(&product, &format!("/lab/debug/{name}"));
            libraries.extend(libraries_of(&product));
        }
        libraries.sort();
        libraries.dedup();
        for library in libraries {
            self.root.file(&library, 0o755, &std::fs::read(&library).unwrap());
        }
        self.root.folder("/lab/state");
        self.root.file("/lab/agent.toml", 0o644, b"state_dir = \"/lab/state\"\n");
        // There, since what is compiled is for the processor that compiled it: the emulated one has fewer extensions.
        self.run("warm", "warm", "/lab/debug/cardcage-agent plugin warm --config /lab/agent.toml");
    }

    /// Has the board run a command in a control group, below the root of them.
    pub fn run(&mut self, name: &str, group: &str, command: &str) {
        self.script.push_str(&format!("run {name} {group} {SUITE} {command}\n"));
    }

    /// Starts the board and waits until it has run everything.
    #[track_caller]
    pub fn boot(mut self) -> Console {
        self.script.push_str("reboot -f\n");
        self.root.file("/init", 0o755, self.script.as_bytes());
        let initramfs = self.workshop.path().join("initramfs");
        std::fs::write(&initramfs, self.root.finish()).unwrap();
        let mut qemu = Command::new(QEMU);
        qemu.args(["-accel", "tcg", "-cpu", "max", "-smp", "4", "-m", "1536", "-nodefaults", "-no-reboot"]);
        qemu.args(["-display", "none", "-serial", "stdio", "-append", "console=ttyS0 quiet panic=-1"]);
        qemu.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&initramfs);
        // Beside the kernel, so that it can be read when all is well, too.
        let console = self.kernel.with_file_name("console.log");
        let _first = std::fs::remove_file(&console);
        let mut board = Process::start("the lab board", qemu, &console);
        let late = Instant::now() + DEADLINE;
        while board.ended().is_none() {
            assert!(Instant::now() < late, "the lab board did not end within {DEADLINE:?}");
            std::thread::sleep(POLL);
        }
        Console { text: board.log().replace('\r', "") }
    }
}

/// What a board said.
#[derive(Debug)]
pub struct Console {
    text: String,
}

impl Console {
    /// What one of its suites said.
    #[track_caller]
    pub fn suite(&self, name: &str) -> Suite {
        let found = || {
            let (_, rest) = self.text.split_once(&format!("== begin {name}\n"))?;
            let (said, rest) = rest.split_once(&format!("== end {name} "))?;
            Some(Suite { said: said.to_owned(), status: rest.lines().next()?.parse().ok()? })
        };
        found().unwrap_or_else(|| panic!("{name} did not come to its end on the lab board:\n{}", self.text))
    }
}

impl Suite {
    /// It succeeded, and these tests are among those that did; returns how many did.
    #[track_caller]
    pub fn passed(&self, wanted: &[&str]) -> usize {
        assert_eq!(self.status, 0, "on the lab board:\n{}", self.said);
        let passed: Vec<&str> = self
            .said
            .lines()
            .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... ok"))
            .collect();
        for test in wanted {
            assert!(passed.contains(test), "{test} was not run on the lab board:\n{}", self.said);
        }
        passed.len()
    }
}

/// The libraries that an executable of this machine is linked with, by their paths.
#[track_caller]
fn libraries_of(executable: &Path) -> Vec<String> {
    let said = Command::new("ldd").arg(executable).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    let words = said.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    words.map(str::to_owned).collect()
}
