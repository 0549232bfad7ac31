//! Memory of one packaged agent with all its built-in probes, some minutes after its start.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::figures::{Figures, Goal, MEBIBYTE, say};
use crate::process::{Process, Programs, free_port, listening};

/// As Prometheus does by default.
const SCRAPE_EVERY: Duration = Duration::from_secs(15);

/// Programs that grow old while the rest is measured.
pub struct Aging {
    _state: TempDir,
    agent: Process,
    node_exporter: Option<(Process, SocketAddr)>,
    since: Instant,
}

pub fn start(programs: &Programs) -> Result<Aging> {
    let state = tempfile::tempdir()?;
    let config = state.path().join("agent.toml");
    std::fs::write(
        &config,
        format!(
            "state_dir = {:?}\n[discovery]\ninterfaces = [\"127.0.0.1\"]\ngroup = \"239.192.77.1\"\nport = {}\n[service]\nlisten = \"127.0.0.1:0\"\n",
            state.path().join("state"),
            free_port()?,
        ),
    )?;
    // As a package does when it is installed.
    let warmed = Command::new(&programs.agent).args(["plugin", "warm", "--config"]).arg(&config).output()?;
    ensure!(warmed.status.success(), "plugin warm: {}", String::from_utf8_lossy(&warmed.stderr));
    let agent = Process::start(&programs.agent, ["run".as_ref(), "--config".as_ref(), config.as_os_str()])?;
    let exporter = |program| -> Result<(Process, SocketAddr)> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let process = Process::start(program, [format!("--web.listen-address={address}")])?;
        listening(address)?;
        Ok((process, address))
    };
    let node_exporter = programs.node_exporter.as_deref().map(exporter).transpose()?;
    Ok(Aging { _state: state, agent, node_exporter, since: Instant::now() })
}

impl Aging {
    pub fn measure(self, age: Duration, figures: &mut Figures) -> Result<()> {
        let left = age.saturating_sub(self.since.elapsed());
        say(format_args!("memory: {} s until the agent is {} s old", left.as_secs(), age.as_secs()));
        // An exporter is scraped while it runs, as the agent samples while it runs.
        while self.since.elapsed() < age {
            std::thread::sleep(SCRAPE_EVERY.min(age.saturating_sub(self.since.elapsed())));
            if let Some((_, address)) = &self.node_exporter {
                crate::sample::scrape(*address)?;
            }
        }
        let megabytes = |bytes: u64| {
            #[expect(clippy::cast_precision_loss, reason = "a size for people")]
            let megabytes = bytes as f64 / MEBIBYTE;
            megabytes
        };
        let ours = megabytes(self.agent.pss()?);
        figures.against("PSS of the agent", ours, "MiB", ("the goal", 10.0), Goal::AtMost(1.0));
        match &self.node_exporter {
            Some((process, _)) => {
                let theirs = megabytes(process.pss()?);
                figures.against(
                    "PSS of the agent",
                    ours,
                    "MiB",
                    ("node_exporter", theirs),
                    Goal::AtMost(0.5),
                );
            }
            None => figures.skip("memory against node_exporter", "prometheus-node-exporter is not installed"),
        }
        Ok(())
    }
}
