//! The fleet of the demo: its configurations, its programs, and what the operator's command line says about it.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::process::Process;

/// Longest time that the command line may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Longer than the grace that the programs give themselves.
const STOP: Duration = Duration::from_secs(15);

/// Three boards of one chassis. Their positions differ, their readings are this machine's.
const BOARDS: [Board; 3] = [
    Board { slot: 1, cpu: 0, board_type: "CPU", resource_type: "CPU I" },
    Board { slot: 2, cpu: 0, board_type: "GPU", resource_type: "GPU I" },
    Board { slot: 3, cpu: 1, board_type: "存储", resource_type: "SSD II" },
];

struct Board {
    slot: u8,
    cpu: u8,
    board_type: &'static str,
    resource_type: &'static str,
}

/// A manager and its boards. Dropped without [`Fleet::stop`], it ends at once.
#[derive(Debug)]
pub(super) struct Fleet {
    /// The first one is the manager.
    processes: Vec<Process>,
    cardcage: PathBuf,
    manager: String,
    folder: Folder,
}

/// A folder for states, configurations and logs, as long as the fleet.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Fleet {
    /// Starts everything; nothing has been asked or answered yet.
    pub(super) fn start(executables: &Path) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("cardcage-demo-{}", std::process::id()));
        std::fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let folder = Folder(folder);
        // A port of its own keeps another fleet on this machine out of the demo, and the demo out of it.
        let group_port = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port();
        let port = free_port(Ipv4Addr::LOCALHOST, 3926)?;
        let mut fleet = Self {
            processes: Vec::with_capacity(1 + BOARDS.len()),
            cardcage: executables.join("cardcage"),
            manager: format!("http://{}:{port}", Ipv4Addr::LOCALHOST),
            folder,
        };
        let manager = executables.join("cardcage-manager");
        fleet.launch("manager", &manager, "serve", &manager_config(group_port, port))?;
        for board in &BOARDS {
            let agent = executables.join("cardcage-agent");
            let config = agent_config(board, group_port)?;
            fleet.launch(&format!("agent-{}", board.slot), &agent, "run", &config)?;
        }
        Ok(fleet)
    }

    fn launch(&mut self, name: &str, executable: &Path, command: &str, config: &str) -> Result<()> {
        let folder = &self.folder.0;
        let file = format!("{name}.toml");
        let state = folder.join(name);
        std::fs::write(folder.join(&file), format!("state_dir = {state:?}\n{config}"))?;
        self.processes.push(Process::start(name, executable, &[command, "--config", &file], folder)?);
        Ok(())
    }

    /// How many boards there are.
    pub(super) const fn size(&self) -> usize {
        BOARDS.len()
    }

    /// What a person at the terminal can do with it.
    pub(super) fn describe(&self) -> String {
        let (cardcage, manager) = (self.cardcage.display(), &self.manager);
        let logs = self.folder.0.display();
        format!(
            "A fleet of {} boards. Ctrl-C stops it. One board: {cardcage} --manager {manager} board 1/1/0\n\
             Metrics: {manager}/metrics, API: {manager}/fleet/v1/openapi.json, logs: {logs}/*.log\n",
            BOARDS.len()
        )
    }

    /// Fails if a program has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(Process::check)
    }

    /// The boards as `cardcage boards --json` has them.
    pub(super) async fn boards(&self) -> Result<Vec<Value>> {
        let output = timeout(ANSWER, self.command(&["--json"]).output()).await??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        Ok(answer.get("boards").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// Prints the table.
    pub(super) async fn print_boards(&self) -> Result<()> {
        let status = timeout(ANSWER, self.command(&[]).status()).await??;
        ensure!(status.success(), "cardcage boards ended with {status}");
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cardcage);
        command.args(["--manager", &self.manager, "boards"]).args(arguments).kill_on_drop(true);
        command
    }

    pub(super) fn print_logs(&self) {
        self.processes.iter().for_each(Process::print_log);
    }

    /// Ends all programs and removes what they left.
    pub(super) async fn stop(mut self) -> Result<()> {
        let deadline = Instant::now() + STOP;
        self.processes.iter().for_each(Process::terminate);
        let mut stopped = Ok(());
        for process in &mut self.processes {
            stopped = stopped.and(process.ended(deadline).await);
        }
        stopped
    }
}

fn manager_config(group_port: u16, port: u16) -> String {
    format!(
        r#"
listen = "127.0.0.1:{port}"
[discovery]
port = {group_port}
interfaces = ["127.0.0.1"]
heartbeat_every = "1s"
resource_every = "1s"
"#
    )
}

fn agent_config(board: &Board, group_port: u16) -> Result<String> {
    let Board { slot, cpu, board_type, resource_type } = board;
    let address = Ipv4Addr::new(127, 0, 0, *slot);
    let port = free_port(address, 23980)?;
    Ok(format!(
        r#"
[board]
box_id = 1
slot_id = {slot}
cpu_id = {cpu}
box_type = "计算I型"
board_type = "{board_type}"
resource_type = "{resource_type}"
hostname = "demo-{slot}"
[discovery]
port = {group_port}
interfaces = ["{address}"]
[service]
listen = "{address}:{port}"
"#
    ))
}

/// The usual port, or another one where that is taken.
fn free_port(address: Ipv4Addr, usual: u16) -> Result<u16> {
    let listener = TcpListener::bind((address, usual)).or_else(|_| TcpListener::bind((address, 0)))?;
    Ok(listener.local_addr()?.port())
}
