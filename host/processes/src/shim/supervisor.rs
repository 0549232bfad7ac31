//! From the first start to the end, in one thread and one loop.
//!
//! ```text
//!  first ─▶ Running ──ended by itself──────────▶ Clearing ──will be started again──▶ Waiting ─▶ Running
//!              │                                    ▲   └──will not──▶ the end: exited
//!              └─told to stop, unwell─▶ Ending ─────┘   └──told to───▶ the end: stopped
//! ```
//! Ending has a grace, after which the control group is killed. Clearing is not over before everything is dead that the
//! program left behind, in its group or (where it was root and moved itself out) below this process.
//!
//! A pid is signalled only while it is in `running`, and it is taken out in the same step in which it is reaped.

use std::fs;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::Stdio;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitOptions, WaitStatus};

use super::backoff::Backoff;
use super::exec::What;
use super::health::Checker;
use super::spawn;
use crate::Error;
use crate::cgroup::{Cage, PROGRAM};
use crate::control::{Listener, timespec};
use crate::files;
use crate::model::{Definition, Restart, State};
use crate::output::Writer;
use crate::place::Place;
use crate::status::{self, Process, Status};

/// What one round of killing may take before others are listened to again.
const ROUND: Duration = Duration::from_millis(500);
/// Rounds of killing after a first start that failed: the agent waits for the answer.
const FIRST_ROUNDS: u32 = 3;
/// What is read of the program's output before others are listened to again.
const GULP: usize = 64 * 1024;
/// A pipe holds 64 KiB, or up to a mebibyte where its program asked for it.
const LAST_GULPS: u32 = 17;
/// The longest sleep: nothing depends on it.
const IDLE: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub struct Supervisor {
    place: Place,
    definition: Definition,
    cage: Cage,
    signals: SignalFd,
    control: Listener,
    output: Writer,
    status: Status,
    running: Option<Running>,
    pipe: Option<PipeReader>,
    phase: Phase,
    backoff: Backoff,
    stopping: bool,
}

#[derive(Debug)]
struct Running {
    pid: u32,
    since: Instant,
    oom_before: u64,
    checker: Option<Checker>,
}

#[derive(Debug)]
enum Phase {
    Running,
    Ending { until: Instant },
    Clearing { ran: Duration, failed: bool },
    Waiting { until: Instant },
    Over,
}

impl Supervisor {
    pub fn new(
        place: Place,
        definition: Definition,
        cage: Cage,
        signals: SignalFd,
        control: Listener,
        output: Writer,
        status: Status,
    ) -> Self {
        Self {
            place,
            definition,
            cage,
            signals,
            control,
            output,
            status,
            running: None,
            pipe: None,
            phase: Phase::Over,
            backoff: Backoff::default(),
            stopping: false,
        }
    }

    /// The first start. If it fails, that is the end.
    pub fn first(&mut self) -> Result<(), Error> {
        let begun = self.begin();
        if let Err(error) = &begun {
            self.status.error = Some(error.text());
            for _ in 0..FIRST_ROUNDS {
                if self.cleared() {
                    break;
                }
            }
            self.over(State::Exited);
        }
        begun
    }

    pub fn run(&mut self) {
        while !matches!(self.phase, Phase::Over) {
            self.wait();
            self.reap();
            self.listen();
            // Who asks in the middle of a stop must not take the program for one that runs.
            let state = if self.stopping { State::Stopped } else { self.status.state };
            if self.control.serve(&Status { state, ..self.status.clone() }) {
                self.stop();
            }
            self.turn();
        }
    }

    fn begin(&mut self) -> Result<(), Error> {
        let name = &self.definition.program.name;
        let not = |error: io::Error| Error::NotStarted { name: name.clone(), why: error.to_string() };
        let (reader, writer) = io::pipe().map_err(not)?;
        rustix::io::ioctl_fionbio(&reader, true).map_err(|error| not(error.into()))?;
        let both = writer.try_clone().map_err(not)?;
        let oom_before = self.cage.killed_for_memory();
        let (pid, report) =
            spawn::spawn(&self.place, What::Program, Stdio::from(writer), Stdio::from(both)).map_err(not)?;
        self.pipe = Some(reader);
        spawn::begun(name, report)?;
        let checker = self.definition.program.health.clone().map(Checker::new);
        self.running = Some(Running { pid, since: Instant::now(), oom_before, checker });
        self.phase = Phase::Running;
        self.status.program = Some(Process::of(pid));
        self.status.started = Some(status::now());
        self.note(State::Running);
        Ok(())
    }

    fn wait(&mut self) {
        let now = Instant::now();
        let mut until = now + IDLE;
        match self.phase {
            Phase::Ending { until: end } | Phase::Waiting { until: end } => until = until.min(end),
            Phase::Clearing { .. } => until = now,
            Phase::Running | Phase::Over => {}
        }
        let running = self.running.as_ref().filter(|_| matches!(self.phase, Phase::Running));
        let checker = running.and_then(|running| running.checker.as_ref());
        let others = checker.map(Checker::deadline).into_iter().chain(self.control.deadline());
        let until = others.fold(until, Instant::min);
        let inputs: Vec<BorrowedFd<'_>> = std::iter::once(self.signals.as_fd())
            .chain(self.pipe.as_ref().map(|pipe| pipe.as_fd()))
            .chain(self.control.fds())
            .collect();
        let mut inputs: Vec<PollFd<'_>> =
            inputs.iter().map(|&fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        // Rounded up, so that a time has come when it is waited for.
        let time = until.saturating_duration_since(now) + Duration::from_millis(1);
        // Whatever it says, everything is looked at afterwards.
        let _interrupted = poll(&mut inputs, Some(&timespec(time)));
    }

    fn reap(&mut self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let pid = u32::try_from(pid.as_raw_nonzero().get()).unwrap_or(0);
            let Some(running) = &mut self.running else { continue };
            if running.pid == pid {
                self.ended(status);
            } else if let Some(checker) = &mut running.checker {
                checker.ended(pid, status);
            }
        }
    }

    fn ended(&mut self, status: WaitStatus) {
        let Some(running) = self.running.take() else { return };
        let unwell = running.checker.as_ref().and_then(Checker::verdict);
        self.status.exit_code = status.exit_status();
        self.status.signal = status.terminating_signal().map(signal_name);
        self.status.error = unwell.clone();
        if self.cage.killed_for_memory() > running.oom_before {
            let mebibytes = self.definition.limits.memory / (1024 * 1024);
            self.status.error =
                Some(format!("a process of it was killed: it used more than its {mebibytes} MiB of memory"));
        }
        let failed = unwell.is_some() || status.exit_status() != Some(0);
        self.phase = Phase::Clearing { ran: running.since.elapsed(), failed };
    }

    fn listen(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut buffer = [0; GULP];
        match pipe.read(&mut buffer) {
            Ok(count) if count > 0 => self.output.write(buffer.get(..count).unwrap_or_default()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // Closed by all who could write.
            _ => self.pipe = None,
        }
    }

    fn turn(&mut self) {
        let now = Instant::now();
        match self.phase {
            Phase::Running => self.check(),
            Phase::Ending { until } if now >= until => {
                // What does not die in this round is killed again in the next.
                let _again = self.cage.kill(&[PROGRAM], ROUND, || {});
                // A program of root may have left its group. Its pid is still its own, because it is not reaped; what it
                // started becomes ours with its end.
                if let Some(pid) = self.running.as_ref().and_then(|running| i32::try_from(running.pid).ok()) {
                    let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
                self.phase = Phase::Ending { until: Instant::now() + ROUND };
            }
            Phase::Clearing { ran, failed } => self.clear(ran, failed),
            Phase::Waiting { until } if now >= until => self.again(),
            _ => {}
        }
    }

    fn check(&mut self) {
        let Some(checker) = self.running.as_mut().and_then(|running| running.checker.as_mut()) else {
            return;
        };
        let asleep = Instant::now() >= checker.deadline() && self.cage.is_frozen(PROGRAM);
        checker.turn(&self.place, asleep);
        if checker.verdict().is_some() {
            self.end();
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.status.stopping = true;
        match self.phase {
            Phase::Running => self.end(),
            Phase::Waiting { .. } => self.over(State::Stopped),
            Phase::Ending { .. } | Phase::Clearing { .. } | Phase::Over => {}
        }
    }

    fn end(&mut self) {
        let Some(pid) = self.running.as_ref().and_then(|running| i32::try_from(running.pid).ok()) else {
            return;
        };
        let program = &self.definition.program;
        let signal = Signal::from_str(&program.stop_signal).unwrap_or(Signal::SIGTERM);
        // What is frozen does not hear.
        self.cage.freeze(PROGRAM, false);
        if killpg(Pid::from_raw(pid), signal).is_err() {
            // It left its group; its pid is still its own, because it is not reaped.
            let _gone = kill(Pid::from_raw(pid), signal);
        }
        self.phase = Phase::Ending { until: Instant::now() + Duration::from_secs(program.stop_grace.into()) };
    }

    fn clear(&mut self, ran: Duration, failed: bool) {
        if self.cleared() {
            self.settle(ran, failed);
        }
    }

    /// Kills what the program left behind. False: there is still something.
    fn cleared(&mut self) -> bool {
        let killed = self.cage.kill(&[PROGRAM], ROUND, reap_all).is_ok();
        reap_all();
        let strays = children();
        for pid in &strays {
            // Ours and unreaped, since only this thread reaps.
            let _gone = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        if !strays.is_empty() {
            std::thread::sleep(Duration::from_millis(2));
            reap_all();
        }
        killed && strays.is_empty()
    }

    fn settle(&mut self, ran: Duration, failed: bool) {
        // Nobody is left to write, and a pipe holds no more than this.
        for _ in 0..LAST_GULPS {
            self.listen();
        }
        self.pipe = None;
        let again = match self.definition.program.restart {
            Restart::No => false,
            Restart::OnFailure => failed,
            Restart::Always => true,
        };
        if self.stopping {
            self.over(State::Stopped);
        } else if again {
            self.phase = Phase::Waiting { until: Instant::now() + self.backoff.after(ran) };
            self.status.program = None;
            self.note(State::Waiting);
        } else {
            self.over(State::Exited);
        }
    }

    fn again(&mut self) {
        self.status.restarts = self.status.restarts.saturating_add(1);
        if let Err(error) = self.begin() {
            self.status.error = Some(error.text());
            (self.status.exit_code, self.status.signal) = (None, None);
            self.phase = Phase::Clearing { ran: Duration::ZERO, failed: true };
        } else {
            (self.status.exit_code, self.status.signal, self.status.error) = (None, None, None);
            self.note(State::Running);
        }
    }

    fn over(&mut self, state: State) {
        self.phase = Phase::Over;
        self.status.program = None;
        // The rest is removed by the agent: we are in it.
        let _busy = self.cage.remove(PROGRAM);
        self.note(state);
    }

    fn note(&mut self, state: State) {
        self.status.state = state;
        self.status.changed = status::now();
        // Without space there is no news; the agent asks through the socket then.
        let _full = files::write(&self.place.status(), &self.status, false);
    }
}

fn reap_all() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

fn children() -> Vec<i32> {
    let me = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| status::parent(&stat) == Some(me))
    })
    .collect()
}

fn signal_name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.as_str().to_owned())
}

/// How a process ended, in words.
pub fn said_by(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(signal)) => format!("ended by {}", signal_name(signal)),
        _ => "it ended".to_owned(),
    }
}
