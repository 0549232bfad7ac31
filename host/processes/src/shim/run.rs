//! The supervisor's beginning: everything that may fail before the program runs, and the answer to the agent.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::supervisor::Supervisor;
use super::{Answer, take_stdin, take_stdout};
use crate::Error;
use crate::cgroup::{PROGRAM, SHIM};
use crate::control::Listener;
use crate::files::{self, Found};
use crate::lock::Lock;
use crate::model::State;
use crate::output::Writer;
use crate::place::{Launch, Place};
use crate::status::{Process, Status, boot_id};

/// How long what an earlier supervisor left may take to die.
const LEFTOVERS: Duration = Duration::from_secs(5);
/// What a supervisor hears and does not follow: it ends when it is told to through its socket, and a board that goes down
/// tells the program itself.
const IGNORED: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

/// From the first moment to the last.
pub fn run(place: Place) -> io::Result<()> {
    let handed = take_stdin()?;
    let answer = take_stdout()?;
    std::env::set_current_dir("/")?;
    // Before the lock is looked at nothing is touched: whoever starts this by hand has no lock to hand over.
    let Ok(Some(lock)) = Lock::inherited(&place, handed) else {
        return Err(io::Error::other("this is not started by hand"));
    };
    let signals = signals()?;
    match prepare(place, signals) {
        Ok(supervisor) => serve(supervisor, answer, lock),
        Err(error) => {
            say(answer, &Answer::failed(&error));
            drop(lock);
            Err(io::Error::other(error))
        }
    }
}

fn serve(mut supervisor: Supervisor, answer: OwnedFd, lock: Lock) -> io::Result<()> {
    match supervisor.first() {
        Ok(()) => {
            say(answer, &Answer::Ready);
            supervisor.run();
        }
        Err(error) => say(answer, &Answer::failed(&error)),
    }
    // To the very end.
    drop(lock);
    Ok(())
}

fn say(answer: OwnedFd, what: &Answer) {
    // A pipe of the agent's; for anything else it would have been bad to write there.
    let mut file = std::fs::File::from(answer);
    let is_pipe = file.metadata().is_ok_and(|meta| meta.mode() & nix::libc::S_IFMT == nix::libc::S_IFIFO);
    if let (true, Ok(mut line)) = (is_pipe, serde_json::to_vec(what)) {
        line.push(b'\n');
        // If the agent is gone it will find out by the lock and the status.
        let _gone = file.write_all(&line);
    }
}

fn signals() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    IGNORED.into_iter().for_each(|signal| set.add(signal));
    set.thread_block()?;
    prctl::set_child_subreaper(true)?;
    prctl::set_name(c"cardcage-shim")?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

fn prepare(place: Place, signals: SignalFd) -> Result<Supervisor, Error> {
    let lost =
        |what: &str| Error::io("read", &place.dir.join(what), io::Error::other("it is gone or damaged"));
    let Found::Good(definition) = place.definition()? else { return Err(lost("program.json")) };
    let Found::Good(launch) = files::read::<Launch>(&place.launch())? else {
        return Err(lost("launch.json"));
    };
    let mut status = Status::new(boot_id()?, Process::of(std::process::id()));
    files::write(&place.status(), &status, false)?;
    let control = Listener::open(&place)?;
    let made = launch
        .cage
        .kill(&[SHIM, PROGRAM], LEFTOVERS, || {})
        .and_then(|()| launch.cage.remove_all())
        .and_then(|()| launch.cage.make(&definition.limits))
        .and_then(|()| launch.cage.enter(SHIM));
    if let Err(error) = made {
        let _empty = launch.cage.remove_all();
        status.state = State::Exited;
        status.error = Some(error.text());
        files::write(&place.status(), &status, false)?;
        return Err(error);
    }
    let output = Writer::open(&place.dir, launch.log_limit);
    Ok(Supervisor::new(place, definition, launch.cage, signals, control, output, status))
}
