//! A helper that runs: one request at a time, one write and one read each.

use std::io;
use std::path::Path;
use std::process::ExitStatus;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::process::{Process, describe};
use super::said::{Listener, Said};
use crate::error::{Code, Error};
use crate::limits;
use crate::protocol::{self, Malformed, Reply, Request};

/// What the buffers keep between calls: most answers are a few bytes.
const KEPT: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct Helper {
    pub(super) process: Process,
    pub(super) started: Instant,
    stream: UnixStream,
    listener: Listener,
    /// Of the last request.
    number: u32,
    buffer: Vec<u8>,
}

/// Why a helper is of no use any more.
#[derive(Debug)]
pub(super) enum Broken {
    /// It closed its end.
    Ended,
    /// The deadline passed.
    Late,
    /// It does not speak the protocol.
    Nonsense(Option<Malformed>),
    /// The socket failed.
    Io(io::Error),
}

/// How it ended, and the last that it said.
#[derive(Debug)]
pub(super) struct Ended {
    status: Option<ExitStatus>,
    last: String,
}

impl Helper {
    pub(super) fn start(
        executable: &Path,
        environment: &[(String, String)],
        said: &Said,
    ) -> io::Result<Self> {
        let (process, stream, stderr) = Process::start(executable, environment)?;
        let (listener, buffer) = (Listener::start(stderr, said), Vec::with_capacity(KEPT));
        Ok(Self { process, started: Instant::now(), stream, listener, number: 0, buffer })
    }

    /// Who gives this up before its end must end the helper: its answer would be taken for that to the next request.
    pub(super) async fn exchange(&mut self, request: &Request<'_>) -> Result<Reply, Broken> {
        self.number = self.number.wrapping_add(1);
        protocol::encode(request, self.number, &mut self.buffer);
        self.stream.write_all(&self.buffer).await?;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
        let frame = loop {
            // Grows by what is missing only, and nothing comes after the frame.
            let whole = protocol::length(&self.buffer)?;
            match whole {
                Some(whole) if self.buffer.len() >= whole => break &self.buffer,
                Some(whole) => self.buffer.reserve(whole - self.buffer.len()),
                None => {}
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Broken::Ended);
            }
        };
        let (number, reply) = protocol::decode::<Reply>(frame)?;
        if number == self.number { Ok(reply) } else { Err(Broken::Nonsense(None)) }
    }

    /// Kills it, and waits until it is gone; back is what of it is still there after a while.
    pub(super) async fn end(mut self) -> (Ended, Option<Process>) {
        self.process.kill();
        let Ok(status) = timeout(limits::REAP, self.process.gone()).await else {
            let ended = Ended { status: None, last: String::new() };
            return (ended, Some(self.process));
        };
        (Ended { status, last: self.listener.last().await }, None)
    }
}

impl Broken {
    /// For the plugin.
    pub(super) fn error(&self, what: &str, ended: &Ended) -> Error {
        let how = ended.status.map_or_else(|| "is not gone yet".to_owned(), describe);
        let (code, mut detail) = match self {
            Self::Ended => (Code::Crashed, format!("{what}: the helper {how}")),
            Self::Late => (Code::Late, format!("{what}: no answer by the deadline; the helper was killed")),
            Self::Nonsense(Some(why)) => (Code::Io, format!("{what}: the helper answered nonsense: {why}")),
            Self::Nonsense(None) => (Code::Io, format!("{what}: the helper answered something else")),
            Self::Io(source) => (Code::Io, format!("{what}: the helper cannot be reached: {source}")),
        };
        if !ended.last.is_empty() {
            detail.push_str("; it said last: ");
            detail.push_str(&ended.last);
        }
        Error::new(code, detail)
    }
}

impl From<Malformed> for Broken {
    fn from(why: Malformed) -> Self {
        Self::Nonsense(Some(why))
    }
}

impl From<io::Error> for Broken {
    fn from(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                Self::Ended
            }
            _ => Self::Io(source),
        }
    }
}
