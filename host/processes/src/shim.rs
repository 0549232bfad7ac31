//! The supervisor: one executable, three steps, each one process.
//!
//! | step | what it does | ends |
//! |---|---|---|
//! | `launch DIR` | leaves the agent's session, starts `run` | at once, so that `run` is nobody's child |
//! | `run DIR` | holds the lock, makes the control groups, starts and restarts the program, is told to stop | when the program will not be started again |
//! | `exec WHAT DIR PARENT` | enters the control group, becomes the user, becomes the program | as the program |
//!
//! `launch` and `run` are handed the lock as standard input and the agent's question ("did it start?") as standard output.
//! `exec` is handed a pipe as standard input on which it says why it could not become the program; a pipe that closes
//! without a word says that it did.

mod backoff; // when to start again
mod exec; // becoming the program
mod health; // asking whether it is well
mod run; // preparing, and the answer to the agent
mod spawn; // starting `exec`
mod supervisor; // from the first start to the end

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use serde::{Deserialize, Serialize};

pub(crate) use spawn::refusal;

use crate::Error;
use crate::place::Place;

/// Itself, even where a newer one has been put in its place: a supervisor's steps must be of one make.
const ITSELF: &str = "/proc/self/exe";
/// What it is called, to people who list processes.
const NAME: &str = "cardcage-shim";
/// Exit status for arguments that make no sense.
const USAGE: u8 = 2;

/// What a step says to the one that started it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Ready,
    Failed { code: String, detail: String },
}

impl Answer {
    fn failed(error: &Error) -> Self {
        Self::Failed { code: error.code().to_owned(), detail: error.text() }
    }

    /// For `exec`: what it could not do, and why.
    fn refused(code: &str, detail: String) -> Self {
        Self::Failed { code: code.to_owned(), detail }
    }
}

/// The executable's `main`.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    close_inherited();
    let arguments: Vec<OsString> = arguments.collect();
    let texts: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
    match texts.as_slice() {
        ["launch", dir] => finish(launch(Path::new(dir))),
        ["run", dir] => place(dir).map_or(ExitCode::from(USAGE), |place| finish(run::run(place))),
        ["exec", what, dir, parent] => match (place(dir), what.parse(), parent.parse()) {
            (Some(place), Ok(what), Ok(parent)) => exec::exec(&place, what, parent),
            _ => ExitCode::from(USAGE),
        },
        _ => ExitCode::from(USAGE),
    }
}

/// Files that whoever started the agent left open are neither ours nor the program's. Nothing is open yet that is.
fn close_inherited() {
    let listed = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open: Vec<i32> =
        listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|&fd| fd > 2).collect();
    for fd in open {
        // One of them was the list itself.
        let _closed = nix::unistd::close(fd);
    }
}

fn place(dir: &str) -> Option<Place> {
    Place::at(Path::new(dir))
}

fn finish(done: io::Result<()>) -> ExitCode {
    done.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn launch(dir: &Path) -> io::Result<()> {
    rustix::process::setsid()?;
    Command::new(ITSELF).arg0(NAME).arg("run").arg(dir).stderr(Stdio::null()).spawn().map(drop)
}

/// Takes standard input or output away, so that it ends with us and is not inherited.
fn take(standard: rustix::fd::BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(standard, 3)?)
}

fn take_stdin() -> io::Result<OwnedFd> {
    let taken = take(io::stdin().as_fd())?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(taken)
}

fn take_stdout() -> io::Result<OwnedFd> {
    let taken = take(io::stdout().as_fd())?;
    rustix::stdio::dup2_stdout(std::fs::OpenOptions::new().write(true).open("/dev/null")?)?;
    Ok(taken)
}
