//! What the process gives up before it loads anything.

use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use rustix::fs::{Dir, Mode, OFlags};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use rustix::stdio::{dup2_stdin, dup2_stdout, stdin};
use rustix::thread::set_no_new_privs;

use cardcage_native::limits::MEMORY;

use super::{Failed, foreign};

/// The agent's socket, which no library finds at a number that it expects.
pub fn confine() -> Result<UnixStream, Failed> {
    step("the agent's end cannot be watched", set_parent_process_death_signal(Some(Signal::KILL)))?;
    step("privileges cannot be given up", set_no_new_privs(true))?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    step("core dumps cannot be turned off", setrlimit(Resource::Core, none))?;
    let memory = Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) };
    step("memory cannot be limited", setrlimit(Resource::Data, memory))?;
    // Where the board has too little, this process goes before the agent and its deployments. A kernel may not let it say so.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let socket: OwnedFd = step("the socket cannot be moved", rustix::io::fcntl_dupfd_cloexec(stdin(), 3))?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let null = step("/dev/null cannot be opened", null)?;
    step("standard input cannot be closed", dup2_stdin(&null))?;
    step("standard output cannot be closed", dup2_stdout(&null))?;
    drop(null);
    foreign::close(&step("/proc/self/fd cannot be read", inherited(socket.as_raw_fd()))?);
    Ok(UnixStream::from(socket))
}

fn step<T>(what: &'static str, result: rustix::io::Result<T>) -> Result<T, Failed> {
    result.map_err(|source| Failed::Confine(what, source.into()))
}

/// What else is open: who started the agent may have left it descriptors, and they are not the libraries'. (Boards have
/// kernels without `close_range`.)
fn inherited(socket: RawFd) -> rustix::io::Result<Vec<RawFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folder = Dir::new(rustix::fs::open("/proc/self/fd", flags, Mode::empty())?)?;
    let own = folder.fd()?.as_raw_fd();
    let mut found = Vec::new();
    while let Some(entry) = folder.read() {
        let number: Option<RawFd> = entry?.file_name().to_str().ok().and_then(|name| name.parse().ok());
        found.extend(number.filter(|number| *number > 2 && *number != socket && *number != own));
    }
    Ok(found)
}
