//! A manager of one's own: a process with a free port, a group port that nobody else uses, and an empty state directory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

/// Longest time that a state may take to come. Tests wait for states, and this is only for those that fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// Until something is there.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(10));
    }
}

/// A status and a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Where managers of one test live. Dropped last, with the files.
pub struct Place {
    dir: TempDir,
    group_port: u16,
}

impl Place {
    pub fn new() -> Self {
        let free = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        Self { dir: tempfile::tempdir().unwrap(), group_port: free.local_addr().unwrap().port() }
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn group_port(&self) -> u16 {
        self.group_port
    }

    pub fn token(&self) -> String {
        fs::read_to_string(self.state_dir().join("token")).unwrap().trim().to_owned()
    }

    /// Writes a configuration: the keys that tests need, and more under `[discovery]`.
    pub fn configure(&self, discovery: &str) -> PathBuf {
        self.configure_on("127.0.0.1", discovery)
    }

    fn configure_on(&self, interface: &str, discovery: &str) -> PathBuf {
        let path = self.dir.path().join("manager.toml");
        let text = format!(
            "state_dir = {:?}\nlisten = \"127.0.0.1:0\"\n[store]\nflush_every = \"100ms\"\n\
             [discovery]\nport = {}\ninterfaces = [{interface:?}]\n{discovery}\n",
            self.state_dir(),
            self.group_port
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts a manager that asks rarely, with these keys under `[agents]`.
    pub fn start_with_agents(&self, agents: &str) -> Manager {
        let path = self.configure("heartbeat_every = \"1h\"\nresource_every = \"1h\"");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}[agents]\n{agents}\n")).unwrap();
        Manager::start(&path)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a manager that asks rarely.
    pub fn start(&self) -> Manager {
        self.start_with("heartbeat_every = \"1h\"\nresource_every = \"1h\"")
    }

    pub fn start_with(&self, discovery: &str) -> Manager {
        Manager::start(&self.configure(discovery))
    }

    /// Starts a manager that asks on another interface than the loopback.
    pub fn start_on(&self, interface: &str, discovery: &str) -> Manager {
        Manager::start(&self.configure_on(interface, discovery))
    }
}

/// A running manager. Killed when it is dropped.
pub struct Manager {
    child: Child,
    pub url: String,
    log: PathBuf,
    agent: Agent,
}

pub fn manager_command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardcage-manager"));
    command.args(["serve", "--config"]).arg(config).env("RUST_LOG", "debug").stdin(Stdio::null());
    command
}

impl Manager {
    fn start(config: &Path) -> Self {
        let log = config.with_extension(format!("{}.log", uuid::Uuid::new_v4()));
        let mut child = manager_command(config)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("no address: {}", fs::read_to_string(&log).unwrap()));
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build()
            .new_agent();
        Self { child, url, log, agent }
    }

    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub fn get(&self, path: &str) -> Answer {
        let mut response = self.agent.get(format!("{}{path}", self.url)).call().unwrap();
        let body = response.body_mut().with_config().limit(64 << 20).read_to_string().unwrap();
        Answer { status: response.status().as_u16(), body }
    }

    pub fn delete(&self, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.agent.delete(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().unwrap();
        Answer { status: response.status().as_u16(), body: response.body_mut().read_to_string().unwrap() }
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        let mut response = self.agent.post(format!("{}{path}", self.url)).send(body).unwrap();
        Answer { status: response.status().as_u16(), body: response.body_mut().read_to_string().unwrap() }
    }

    /// Posts an order.
    pub fn order(&self, path: &str, token: &str, order: &Value) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.url));
        let mut response =
            request.header("Authorization", format!("Bearer {token}")).send_json(order).unwrap();
        Answer { status: response.status().as_u16(), body: response.body_mut().read_to_string().unwrap() }
    }

    pub fn get_with(&self, path: &str, token: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.url));
        let mut response = request.header("Authorization", format!("Bearer {token}")).call().unwrap();
        Answer { status: response.status().as_u16(), body: response.body_mut().read_to_string().unwrap() }
    }

    /// Posts a report that is taken.
    pub fn report(&self, path: &str, data: &Value) {
        let body = serde_json::to_vec(&json!({"api_version": 1, "data": data})).unwrap();
        assert_eq!(self.post(path, &body), Answer { status: 200, body: String::new() });
    }

    pub fn boards(&self) -> Vec<Value> {
        self.get("/fleet/v1/boards").json()["boards"].as_array().unwrap().clone()
    }

    pub fn board(&self, id: &str) -> Value {
        self.get(&format!("/fleet/v1/boards/{id}")).json()
    }

    /// The value of a series of `/metrics`, by the beginning of its line.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").body;
        let line = text.lines().find(|line| line.starts_with(series))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Until everything that was reported is on the disk.
    pub fn wait_until_saved(&self) {
        let saved = || self.metric("cardcage_manager_store_boards_total");
        let before = saved();
        wait_for("a flush", || (saved() > before || saved() > Some(0.0)).then_some(()));
        // One more flush may be under way with the latest; it is over when two looks agree.
        wait_for("the flushes to end", || {
            let first = saved();
            sleep(Duration::from_millis(300));
            (saved() == first).then_some(())
        });
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the manager to end", || self.child.try_wait().unwrap())
    }

    /// Stops it in order.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// Kills it.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The heartbeat of an agent that speaks v1.1 alone.
pub fn plain(slot_id: i32, hostname: &str, host_ip: &str) -> Value {
    json!({
        "box_id": 1, "slot_id": slot_id, "cpu_id": 1, "srio_id": 0, "host_ip": host_ip, "hostname": hostname,
        "service_port": 23980, "box_type": "计算I型", "board_type": "GPU", "cpu_type": "Phytium,D2000/8",
        "os_type": "Kylin Linux Advanced Server V10", "resource_type": "GPU I", "cpu_arch": "aarch64",
        "gpu": [{"index": 0, "name": "A"}]
    })
}

/// The heartbeat of an agent of ours.
pub fn ours(agent_id: &str, slot_id: i32, host_ip: &str) -> Value {
    let mut heartbeat = plain(slot_id, "ours", host_ip);
    heartbeat["cardcage"] = json!({
        "agent_id": agent_id, "agent_version": "0.1.0",
        "identity": {"model": "B1", "extra": {"bmc-present": true}},
        "plugins": [{"name": "hwmon", "version": "0.1.0", "digest": "ab12", "built_in": true, "state": "ready"}]
    });
    heartbeat
}

/// The readings of an agent of ours.
pub fn readings(agent_id: &str, host_ip: &str) -> Value {
    let sensor = |part: &str, kind: &str, name: &str, unit: &str, value: f64| {
        json!({"place": {"part": part}, "kind": kind, "name": name, "unit": unit, "value": value, "status": "ok",
               "limits": {"upper_critical": 95.0}, "age_ms": 40, "plugin": "hwmon"})
    };
    json!({
        "host_ip": host_ip,
        "resource": {"cpu": {"usage_percent": 12.5, "core_count": 8, "core_allocated": 2},
                     "memory": {"total": 16, "used": 4, "free": 12, "usage_percent": 25.0}},
        "component": [],
        "cardcage": {"agent_id": agent_id, "readings": {
            "cpu": {"age_ms": 40, "usage_percent": 12.5, "cores": 8},
            "memory": {"age_ms": 40, "total": 16_000_000_000_u64, "used": 4_000_000_000_u64},
            "network": [{"interface": "eth0", "age_ms": 40, "rx_bytes": 1, "tx_bytes": 2, "state": "up"}],
            "disk": [{"mount_point": "/", "age_ms": 40, "device": "/dev/vda1", "total": 100, "used": 60, "free": 30}],
            "gpu": [{"index": 0, "device": "0000:03:00.0", "age_ms": 40, "compute_usage": 50.0}],
            "sensors": [
                sensor("cpu", "temperature", "Tctl", "Cel", 61.5), sensor("board", "power", "input", "W", 120.0),
                sensor("rail", "voltage", "12V", "V", 12.1), sensor("rail", "current", "12V", "A", 2.5),
                sensor("fan", "fan", "fan1", "RPM", 2200.0), sensor("cpu", "energy", "package", "J", 5000.0),
                sensor("board", "humidity", "inlet", "%", 40.0), sensor("board", "flow", "coolant", "l/min", 3.0)
            ]
        }}
    })
}

pub const AGENT: &str = "2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a11";
pub const OTHER_AGENT: &str = "2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a12";
