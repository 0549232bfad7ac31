//! From a plugin file that is moved into the folder of a running agent to its first reading.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use cardcage_tests::ACME_BOARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::figures::{Figures, say};
use crate::process::{Process, Programs, free_port};

/// Versions that were never compiled.
const COLD: usize = 10;
/// Changes between two that were.
const WARM: usize = 40;
/// An agent that takes longer does not take it at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// A file that keeps changing is made to wait; a vendor who tries something out drops it once in a while.
const CALM: Duration = Duration::from_secs(10);

pub fn measure(programs: &Programs, figures: &mut Figures) -> Result<()> {
    say("plugins: files that are dropped in");
    let board = Board::start(programs)?;
    let mut cold = (0..COLD).map(|n| board.drop_in(&format!("1.0.{n}"))).collect::<Result<Vec<_>>>()?;
    // Each under a name of its own, so that none has to wait.
    let mut warm = (0..WARM).map(|n| board.drop_in(&format!("1.0.{}", n % 2))).collect::<Result<Vec<_>>>()?;
    let size = std::fs::metadata(board.file(board.last.get()))?.len();
    #[expect(clippy::cast_precision_loss, reason = "a plugin has less than 2^53 bytes")]
    figures.alone("size of the plugin that is dropped in", size as f64 / 1024.0, "KiB");
    for (took, median, worst) in [
        (&mut cold, "new plugin moved in to first reading, p50", "the same, worst (goal: 1000)"),
        (&mut warm, "known plugin moved in to first reading, p50", "the same again, worst (goal: 100)"),
    ] {
        took.sort();
        let at = |index: usize| took.get(index).map_or(0.0, |took| took.as_secs_f64() * 1000.0);
        figures.alone(median, at(took.len() / 2), "ms");
        figures.alone(worst, at(took.len() - 1), "ms");
    }
    // One file that is written over, after a while.
    std::thread::sleep(CALM);
    let over = board.write_over("1.0.0")?;
    figures.alone("known plugin copied over itself to first reading", over.as_secs_f64() * 1000.0, "ms");
    Ok(())
}

struct Board {
    folder: TempDir,
    port: u16,
    _agent: Process,
    last: std::cell::Cell<usize>,
}

impl Board {
    fn start(programs: &Programs) -> Result<Self> {
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        std::fs::create_dir(folder.path().join("plugins"))?;
        let config = folder.path().join("agent.toml");
        let text = format!(
            "state_dir = {:?}\n[discovery]\ninterfaces = [\"127.0.0.3\"]\nport = {}\n[service]\nlisten = \"127.0.0.1:{port}\"\n[plugins]\ndir = {:?}\n",
            folder.path().join("state"),
            free_port()?,
            folder.path().join("plugins"),
        );
        std::fs::write(&config, text)?;
        let agent =
            Process::start(&programs.agent, ["run".as_ref(), "--config".as_ref(), config.as_os_str()])?;
        let board = Self { folder, port, _agent: agent, last: std::cell::Cell::new(0) };
        let is_ready = |plugin: &Value| plugin["name"] == "hwmon" && plugin["samples"].as_u64() > Some(0);
        board.until(is_ready)?;
        Ok(board)
    }

    fn file(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("plugins/acme-{number}.wasm"))
    }

    /// Puts this version in the place of the one before; returns when it has been sampled.
    fn drop_in(&self, version: &str) -> Result<Duration> {
        let number = self.last.get() + 1;
        let new = self.folder.path().join("new");
        std::fs::write(&new, packed(version))?;
        let before = self.file(self.last.replace(number));
        let began = Instant::now();
        let _first = std::fs::remove_file(before).is_err();
        std::fs::rename(new, self.file(number))?;
        self.until(|plugin| plugin["version"] == *version && plugin["samples"].as_u64() > Some(0))?;
        Ok(began.elapsed())
    }

    fn write_over(&self, version: &str) -> Result<Duration> {
        let began = Instant::now();
        std::fs::write(self.file(self.last.get()), packed(version))?;
        self.until(|plugin| plugin["version"] == *version && plugin["samples"].as_u64() > Some(0))?;
        Ok(began.elapsed())
    }

    fn until(&self, holds: impl Fn(&Value) -> bool) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.plugins().is_ok_and(|plugins| plugins.iter().any(&holds)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("the agent does not take the plugin")
    }

    fn plugins(&self) -> Result<Vec<Value>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(b"GET /plugins HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
        Ok(serde_json::from_str(body)?)
    }
}

fn packed(version: &str) -> Vec<u8> {
    ACME_BOARD.packed_with(&ACME_BOARD.manifest.replacen("1.2.0", version, 1))
}
