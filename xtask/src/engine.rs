//! The container engine that tests of deploys need. One that runs is used as it is; where none does, one is started for as
//! long as the tests take.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::target_dir;
use crate::setup::{in_ci, is_installed};

const SOCKET: &str = "/var/run/docker.sock";
/// It answers by then, or not at all; and it has ended by then.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Does something while an engine answers, if this machine can have one.
pub fn with_engine(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let engine = match Engine::start() {
        Ok(engine) => engine,
        Err(error) if in_ci() => return Err(error),
        Err(error) => {
            println!("Tests with containers are skipped: {error:#}.");
            None
        }
    };
    let done = work();
    let ended = engine.map_or(Ok(()), Engine::end);
    done.and(ended)
}

/// One that was started here.
struct Engine {
    child: Child,
}

impl Engine {
    /// Nothing to start where one answers.
    fn start() -> Result<Option<Self>> {
        if answers() {
            return Ok(None);
        }
        if !nix::unistd::geteuid().is_root() {
            bail!("no container engine answers at {SOCKET}, and only root can start one");
        }
        if !is_installed("dockerd") {
            bail!("no container engine answers at {SOCKET}; on Debian: apt-get install docker.io");
        }
        let log = target_dir().join("dockerd.log");
        let output = File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        println!("Starting dockerd for the tests; it writes to {}.", log.display());
        let mut command = Command::new("dockerd");
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut engine = Self { child: command.spawn().context("dockerd cannot be started")? };
        let late = Instant::now() + PATIENCE;
        while !answers() {
            if let Some(status) = engine.child.try_wait()? {
                bail!("dockerd ended with {status}; {} says why", log.display());
            }
            if Instant::now() > late {
                engine.end()?;
                bail!("dockerd does not answer after {PATIENCE:?}; {} says why", log.display());
            }
            sleep(LOOK);
        }
        Ok(Some(engine))
    }

    /// Asked first, so that it ends what it started itself.
    fn end(mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, Signal::SIGTERM).context("dockerd cannot be ended")?;
        let late = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > late {
                self.child.kill()?;
            }
            sleep(LOOK);
        }
        Ok(())
    }
}

/// Whether an engine is there and says so.
fn answers() -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = UnixStream::connect(SOCKET)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer)?;
        Ok(answer.get(..length).is_some_and(|begin| begin.windows(4).any(|window| window == b" 200")))
    };
    ask().unwrap_or(false)
}
