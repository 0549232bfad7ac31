//! The socket of a supervisor. One line is asked, `stop` or `status`, and one is answered; after `stop` the connection stays
//! open until the supervisor is gone, so that its end is noticed at once.
//!
//! The path of a socket may have 108 bytes and a state folder may be deeper: it is named through the open folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};

use crate::Error;
use crate::place::Place;
use crate::status::Status;

const NAME: &str = "control";
/// Connections at once; the agent needs one.
const CLIENTS: usize = 8;
/// The longest line that is asked.
const LONGEST: usize = 16;
/// The longest answer.
const ANSWER: u64 = 64 * 1024;
/// How long a stranger may take to ask, and we to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Stop,
    Status,
}

/// The supervisor's end.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    line: Vec<u8>,
    since: Instant,
    /// Has asked, and only waits for the end.
    waits: bool,
}

impl Listener {
    pub fn open(place: &Place) -> Result<Self, Error> {
        let path = place.dir.join(NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path, error));
            }
            _ => {}
        }
        let open = || -> io::Result<OwnedFd> {
            let (_folder, address) = address(&place.dir)?;
            let socket = socket()?;
            bind(&socket, &address)?;
            listen(&socket, 8)?;
            Ok(socket)
        };
        Ok(Self {
            socket: open().map_err(|error| Error::io("listen at", &path, error))?,
            clients: Vec::new(),
        })
    }

    /// What to wait for.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let asking = self.clients.iter().filter(|client| !client.waits);
        std::iter::once(self.socket.as_fd()).chain(asking.map(|client| client.stream.as_fd()))
    }

    /// When somebody's patience ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.clients.iter().filter(|client| !client.waits).map(|client| client.since + PATIENCE).min()
    }

    /// Takes new clients and answers those who have asked. Whether anybody wants a stop.
    pub fn serve(&mut self, status: &Status) -> bool {
        self.welcome();
        let mut stop = false;
        self.clients.retain_mut(|client| {
            if client.waits {
                return !client.is_gone();
            }
            match client.request() {
                Ok(Some(request)) => {
                    stop |= request == Request::Stop;
                    client.waits = true;
                    client.answer(request, status) && request == Request::Stop
                }
                Ok(None) => client.since.elapsed() < PATIENCE,
                Err(_) => false,
            }
        });
        stop
    }

    fn welcome(&mut self) {
        while let Ok(fd) = accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            let peer = rustix::net::sockopt::socket_peercred(&fd);
            let same = peer.is_ok_and(|peer| peer.uid == rustix::process::geteuid());
            if same && self.clients.len() < CLIENTS {
                let since = Instant::now();
                self.clients.push(Client { stream: fd.into(), line: Vec::new(), since, waits: false });
            }
        }
    }
}

impl Client {
    fn request(&mut self) -> io::Result<Option<Request>> {
        let mut buffer = [0; LONGEST];
        let count = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        self.line.extend(buffer.iter().take(count));
        match self.line.as_slice() {
            b"stop\n" => Ok(Some(Request::Stop)),
            b"status\n" => Ok(Some(Request::Status)),
            line if line.len() < LONGEST && !line.contains(&b'\n') => Ok(None),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    // It fits into the socket's buffer, or the client is not one of ours.
    fn answer(&mut self, request: Request, status: &Status) -> bool {
        let mut line = match request {
            Request::Stop => b"stopping".to_vec(),
            Request::Status => serde_json::to_vec(status).unwrap_or_default(),
        };
        line.push(b'\n');
        self.stream.write_all(&line).is_ok()
    }

    fn is_gone(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; LONGEST]), Ok(0))
    }
}

/// Asks a supervisor how its program is. `None` where none answers.
pub fn status(place: &Place) -> Option<Status> {
    let line = ask(place, b"status\n").ok()?.1;
    serde_json::from_slice(&line).ok()
}

/// Tells a supervisor to stop. What it gives back ends when the supervisor does; `None` where none answers.
pub fn stop(place: &Place) -> Option<UnixStream> {
    let (stream, line) = ask(place, b"stop\n").ok()?;
    (line == b"stopping\n").then_some(stream)
}

/// Waits until a supervisor that was told to stop is gone. False: the time is over.
pub fn gone(stream: &UnixStream, deadline: Instant) -> bool {
    // Nothing is said any more, so whatever happens is the end.
    readable(stream.as_fd(), deadline).unwrap_or(true)
}

fn ask(place: &Place, line: &[u8]) -> io::Result<(UnixStream, Vec<u8>)> {
    let deadline = Instant::now() + PATIENCE;
    let (_folder, address) = address(&place.dir)?;
    let socket = socket()?;
    connect(&socket, &address)?;
    let mut stream = UnixStream::from(socket);
    stream.write_all(line)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") && (answer.len() as u64) < ANSWER {
        if !readable(stream.as_fd(), deadline)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend(buffer.iter().take(count)),
        }
    }
    Ok((stream, answer))
}

// The folder must stay open while the address is used.
fn address(dir: &Path) -> io::Result<(File, SocketAddrUnix)> {
    let flags = nix::libc::O_PATH | nix::libc::O_DIRECTORY;
    let folder = OpenOptions::new().read(true).custom_flags(flags).open(dir)?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()))?;
    Ok((folder, address))
}

fn socket() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

/// Waits until something can be read, or is over. False: it was not in time.
pub fn readable(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(left))) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

pub fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}
