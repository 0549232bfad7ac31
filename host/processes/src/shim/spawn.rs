//! Starting `exec`, and hearing whether it became what it should.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::exec::What;
use super::{Answer, ITSELF, NAME};
use crate::Error;
use crate::control::readable;
use crate::place::Place;

/// From the start of `exec` until it is the program: it reads two small files, and a disk may be slow.
const BEGINNING: Duration = Duration::from_secs(8);
/// The longest complaint.
const LONGEST: u64 = 16 * 1024;

/// Starts `exec`. What it has to say comes on the pipe.
pub fn spawn(place: &Place, what: What, stdout: Stdio, stderr: Stdio) -> io::Result<(u32, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let child = Command::new(ITSELF)
        .arg0(NAME)
        .args(["exec", what.word()])
        .arg(&place.dir)
        .arg(std::process::id().to_string())
        .env_clear()
        .current_dir("/")
        .stdin(writer)
        .stdout(stdout)
        .stderr(stderr)
        .spawn()?;
    Ok((child.id(), reader))
}

/// Waits until it is the program, or says why it is not.
pub fn begun(name: &str, mut report: PipeReader) -> Result<(), Error> {
    let not = |why: String| Error::NotStarted { name: name.to_owned(), why };
    let deadline = Instant::now() + BEGINNING;
    match readable(report.as_fd(), deadline) {
        Ok(true) => {}
        Ok(false) => return Err(not(format!("it did not begin within {} s", BEGINNING.as_secs()))),
        Err(error) => return Err(not(error.to_string())),
    }
    let mut said = Vec::new();
    (&mut report).take(LONGEST).read_to_end(&mut said).map_err(|error| not(error.to_string()))?;
    if said.is_empty() { Ok(()) } else { Err(complaint(name, &said)) }
}

/// What `exec` said, as an error.
pub fn complaint(name: &str, said: &[u8]) -> Error {
    let name = name.to_owned();
    match serde_json::from_slice(said) {
        Ok(Answer::Failed { code, detail }) => refusal(name, &code, detail),
        _ => Error::NotStarted { name, why: "its first step said something unreadable".to_owned() },
    }
}

/// The error that another process had.
pub fn refusal(name: String, code: &str, detail: String) -> Error {
    // The step before said so in the same words.
    let said = format!("program {name} did not start: ");
    let detail = detail.strip_prefix(&said).map(str::to_owned).unwrap_or(detail);
    match code {
        "absent" => Error::Missing { name, why: detail },
        "unavailable" => Error::Unavailable { why: detail },
        "no-space" => Error::NoSpace { what: detail },
        "io" => Error::Io { what: format!("start program {name}"), source: io::Error::other(detail) },
        _ => Error::NotStarted { name, why: detail },
    }
}
