//! One program of the fleet, with its log in a file.

use std::fs::File;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

/// How much of a log is shown when something went wrong.
const LOG_LINES: usize = 30;

/// A program that runs until it is told to stop.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program in a process group of its own: Ctrl-C is for the demo, which then stops its programs in order.
    pub(super) fn start(name: &str, executable: &Path, arguments: &[&str], folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        let child = Command::new(executable)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", executable.display()))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Fails if the program has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended by itself with {status}", self.name),
            None => Ok(()),
        }
    }

    /// Asks it to stop.
    pub(super) fn terminate(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id {
            // It may have ended meanwhile; then there is nothing to ask.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
    }

    /// Waits for its end, which is forced after the deadline.
    pub(super) async fn ended(&mut self, deadline: Instant) -> Result<()> {
        match timeout_at(deadline, self.child.wait()).await {
            Ok(status) => match status? {
                status if status.success() => Ok(()),
                status => bail!("{} ended with {status}", self.name),
            },
            Err(_) => {
                self.child.kill().await?;
                bail!("{} did not stop in time and was killed", self.name)
            }
        }
    }

    /// The end of its log, for a person.
    pub(super) fn print_log(&self) {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let end = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
        // Where nobody reads any more, there is nobody to tell.
        let _ = writeln!(stderr(), "--- the log of {}\n{}", self.name, end.join("\n"));
    }
}
