//! Processes: what is started is ended, and what they cost is read from `/proc`.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// The executables under test; they lie beside this one.
pub struct Programs {
    pub agent: PathBuf,
    pub compiler: PathBuf,
    pub supervisor: PathBuf,
    /// Calls vendors' libraries.
    pub helper: PathBuf,
    pub manager: PathBuf,
    pub bench: PathBuf,
    /// A peer that may not be installed.
    pub node_exporter: Option<PathBuf>,
}

impl Programs {
    pub fn find() -> Result<Self> {
        let bench = std::env::current_exe()?;
        let beside = |name: &str| {
            let path = bench.with_file_name(name);
            match path.is_file() {
                true => Ok(path),
                false => bail!("{} is not there; run `cargo xtask bench`, which builds it", path.display()),
            }
        };
        let node_exporter = Path::new("/usr/bin/prometheus-node-exporter");
        Ok(Self {
            agent: beside("cardcage-agent")?,
            compiler: beside("cardcage-compile")?,
            supervisor: beside("cardcage-shim")?,
            helper: beside("cardcage-native")?,
            manager: beside("cardcage-manager")?,
            node_exporter: node_exporter.is_file().then(|| node_exporter.to_owned()),
            bench,
        })
    }
}

/// A process that ends with this.
pub struct Process(Child);

impl Process {
    pub fn start<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("RUST_LOG", "warn")
            .spawn()
            .with_context(|| program.display().to_string())?;
        Ok(Self(child))
    }

    /// Processor time of all its threads so far, also of those that have ended.
    pub fn processor_time(&self) -> Result<Duration> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?);
        Ok(clock_gettime(ClockId::pid_cpu_clock_id(pid)?)?.into())
    }

    /// Proportional set size of it and its children, in bytes.
    pub fn pss(&self) -> Result<u64> {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.0.id()));
        let children = children.unwrap_or_default();
        let all = children.split_whitespace().map(str::to_owned).chain([self.0.id().to_string()]);
        all.map(|pid| pss(&pid)).sum()
    }
}

fn pss(pid: &str) -> Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line =
        rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("smaps_rollup has no Pss")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port of the loopback that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until somebody listens.
pub fn listening(address: SocketAddr) -> Result<()> {
    wait_for("a listener", || TcpStream::connect(address).is_ok())
}

/// Waits for a state.
pub fn wait_for(what: &str, mut there: impl FnMut() -> bool) -> Result<()> {
    let began = Instant::now();
    while !there() {
        if began.elapsed() > Duration::from_secs(30) {
            bail!("waited for {what} in vain");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
