//! A child and its log. It ends with its handle, however the test ends.

use std::fs::OpenOptions;
use std::io::PipeReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::patience::until;

/// A failed test prints this much of each log.
const LINES: usize = 60;

/// A running product.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// The end of its output that nobody reads from.
    _unread: Option<PipeReader>,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts it; its output is appended to the log.
    #[track_caller]
    pub fn start(name: &str, command: Command, log: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(log).unwrap();
        Self::spawn(name, command, log, file.try_clone().unwrap(), file, None)
    }

    /// Starts it; its output goes into a pipe that is never read, so the log stays as it is.
    #[track_caller]
    pub fn start_unread(name: &str, command: Command, log: &Path) -> Self {
        let (unread, pipe) = std::io::pipe().unwrap();
        Self::spawn(name, command, log, pipe.try_clone().unwrap(), pipe, Some(unread))
    }

    #[track_caller]
    fn spawn(
        name: &str,
        mut command: Command,
        log: &Path,
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
        unread: Option<PipeReader>,
    ) -> Self {
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap();
        Self { name: name.to_owned(), child, log: log.to_owned(), _unread: unread, ended: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it ever had resident, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that is its own now, in KiB: without what it maps from files.
    pub fn memory_kib(&self) -> u64 {
        self.status("RssAnon:")
    }

    fn status(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// What it has written so far, what came before a restart included.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits for a line that holds this sentence, in what was written from a place on; returns the line.
    #[track_caller]
    pub fn until_log_from(&mut self, from: usize, sentence: &str) -> String {
        let name = self.name.clone();
        until(&format!("{name} logs {sentence:?}"), || {
            let log = self.log();
            let line = log.get(from..)?.lines().find(|line| line.contains(sentence)).map(str::to_owned);
            if line.is_none() {
                let ended = self.ended();
                assert!(ended.is_none(), "{name} ended by itself: {ended:?}\n{log}");
            }
            line
        })
    }

    /// Waits for a line that holds this sentence; returns the line.
    #[track_caller]
    pub fn until_log(&mut self, sentence: &str) -> String {
        self.until_log_from(0, sentence)
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        until(&format!("{} ends", self.name.clone()), || self.ended())
    }

    /// Ends it without asking, as a loss of power does.
    #[track_caller]
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::SIGKILL);
            self.wait();
        }
    }
}

impl Process {
    /// Ends it if it runs, and never fails: for when a test is over.
    pub(crate) fn end(&mut self) {
        if self.ended.is_none() {
            let _ended = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let log = self.log();
            let skipped = log.lines().count().saturating_sub(LINES);
            let last: Vec<_> = log.lines().skip(skipped).collect();
            eprintln!("--- the log of {}\n{}\n---", self.name, last.join("\n"));
        }
    }
}
