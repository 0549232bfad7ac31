//! Whether the program is well: a command of its own, in its control group, as its user. So many failures in a row, and the
//! program counts as failed. A check that hangs is killed; it is our child and unreaped, so its pid is its own.

use std::io::{PipeReader, Read as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rustix::process::WaitStatus;

use super::exec::What;
use super::spawn::{complaint, spawn};
use crate::model::Health;
use crate::place::Place;

#[derive(Debug)]
pub struct Checker {
    health: Health,
    next: Instant,
    under_way: Option<Check>,
    failures: u32,
    last: String,
}

#[derive(Debug)]
struct Check {
    pid: u32,
    until: Instant,
    late: bool,
    report: PipeReader,
}

impl Checker {
    pub fn new(health: Health) -> Self {
        let next = Instant::now() + Duration::from_secs(health.every.into());
        Self { health, next, under_way: None, failures: 0, last: String::new() }
    }

    pub fn deadline(&self) -> Instant {
        match &self.under_way {
            // A check that was killed is waited for by its end, not by the clock.
            Some(check) if check.late => Instant::now() + Duration::from_secs(1),
            Some(check) => check.until,
            None => self.next,
        }
    }

    /// Starts a check that is due, and kills one that is late. `asleep`: the program is frozen, and so would be the check.
    pub fn turn(&mut self, place: &Place, asleep: bool) {
        let now = Instant::now();
        let timeout = self.timeout();
        match &mut self.under_way {
            Some(check) if now >= check.until && asleep => check.until = now + timeout,
            Some(check) if now >= check.until => {
                check.late = true;
                check.kill();
            }
            Some(_) => {}
            None if now < self.next => {}
            None if asleep => self.next = now + self.every(),
            None => self.begin(place),
        }
    }

    fn every(&self) -> Duration {
        Duration::from_secs(self.health.every.into())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.health.timeout.into())
    }

    fn begin(&mut self, place: &Place) {
        let until = Instant::now() + self.timeout();
        match spawn(place, What::Health, Stdio::null(), Stdio::null()) {
            Ok((pid, report)) => self.under_way = Some(Check { pid, until, late: false, report }),
            Err(error) => self.failed(format!("it could not be started: {error}")),
        }
    }

    /// A child ended. Whether it was the check.
    pub fn ended(&mut self, pid: u32, status: WaitStatus) -> bool {
        let Some(mut check) = self.under_way.take_if(|check| check.pid == pid) else { return false };
        if check.late {
            self.failed(format!("it took longer than {} s", self.health.timeout));
        } else if status.exit_status() == Some(0) {
            self.failures = 0;
            self.next = Instant::now() + self.every();
        } else {
            let why = check.complaint().unwrap_or_else(|| super::supervisor::said_by(status));
            self.failed(why);
        }
        true
    }

    fn failed(&mut self, why: String) {
        self.failures += 1;
        self.last = why;
        self.next = Instant::now() + self.every();
    }

    /// Why the program counts as failed, if it does.
    pub fn verdict(&self) -> Option<String> {
        let times = self.failures;
        (times >= self.health.retries)
            .then(|| format!("its health check failed {times} times in a row, at last: {}", self.last))
    }
}

impl Check {
    fn kill(&self) {
        let Ok(pid) = i32::try_from(self.pid) else { return };
        // Its group, once it has one; itself, before.
        let _gone = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }

    fn complaint(&mut self) -> Option<String> {
        let mut said = Vec::new();
        // It ended, so the pipe has an end, or nothing holds it but a descendant that closed it when it became something.
        (&mut self.report).take(4096).read_to_end(&mut said).ok()?;
        (!said.is_empty()).then(|| complaint("health check", &said).text())
    }
}
