//! `cardcage-agent`, as an operator runs it: a configuration, a folder of plugins, a process.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::Arc;

use nix::sys::signal::Signal;
use serde::Deserialize;

use crate::executables::{executable, install};
use crate::http::{Answer, get};
use crate::namespace::Namespace;
use crate::patience::until;
use crate::process::Process;
use crate::warm;
use crate::world::Group;

/// The document's port of the agent's service. Every agent has an address of its own, so all can have it.
const SERVICE_PORT: u16 = 23980;

/// An agent before its start.
#[derive(Debug, Clone)]
#[must_use]
pub struct AgentPlan {
    folder: PathBuf,
    /// Where it is asked.
    address: Ipv4Addr,
    listen: Ipv4Addr,
    interfaces: Vec<String>,
    machine: Option<Arc<Namespace>>,
    group: Group,
    config: String,
    service: String,
    plugins: Vec<(String, Vec<u8>)>,
    flags: Vec<String>,
    cold: bool,
    started_in: PathBuf,
    rust_log: String,
    variables: Vec<(String, String)>,
    unread: bool,
    installed: bool,
}

impl AgentPlan {
    pub(crate) fn new(folder: PathBuf, group: Group, address: Ipv4Addr) -> Self {
        Self {
            started_in: folder.clone(),
            folder,
            address,
            listen: address,
            interfaces: vec![address.to_string()],
            machine: None,
            group,
            config: String::new(),
            service: String::new(),
            plugins: Vec::new(),
            flags: Vec::new(),
            cold: false,
            rust_log: "info".into(),
            variables: Vec::new(),
            unread: false,
            installed: false,
        }
    }

    /// Adds to `agent.toml`, as an operator writes it; `state_dir`, `[discovery]` and `[service]` are there.
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// Adds to `[service]`.
    pub fn service(mut self, toml: &str) -> Self {
        self.service.push_str(toml);
        self.service.push('\n');
        self
    }

    /// Runs on a machine of its own, on every interface that suits.
    pub fn on(self, machine: &Arc<Namespace>) -> Self {
        let machine = Some(Arc::clone(machine));
        let (address, listen) = (Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED);
        Self { machine, address, listen, interfaces: Vec::new(), ..self }
    }

    /// Drops a file into the plugin folder.
    pub fn plugin(mut self, file: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.plugins.push((file.to_owned(), bytes.into()));
        self
    }

    /// Adds a flag of `cardcage-agent run`.
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Replays a board from a folder like those of `tests/boards`.
    #[track_caller]
    pub fn replaying(self, board: &Path) -> Self {
        let config = std::fs::read_to_string(board.join("agent.toml")).unwrap();
        Self { started_in: board.to_owned(), ..self.config(&config) }
    }

    /// Nothing is compiled yet.
    pub fn cold(mut self) -> Self {
        self.cold = true;
        self
    }

    /// What `RUST_LOG` says instead of `info`.
    pub fn rust_log(self, words: &str) -> Self {
        Self { rust_log: words.to_owned(), ..self }
    }

    /// Adds a variable to its environment.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Nobody reads what it writes: that is a pipe, which fills up.
    pub fn unread(self) -> Self {
        Self { unread: true, ..self }
    }

    /// Runs from a folder of its own, where its compiler is missing until [`Agent::install_compiler`].
    pub fn without_compiler(self) -> Self {
        Self { installed: true, ..self }
    }

    /// The agent's own folder: `agent.toml`, `state`, `plugins`, perhaps `bin`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub fn start(self) -> Agent {
        let prepared = self.prepare();
        let process = prepared.open();
        let id = std::fs::read_to_string(prepared.folder.join("state/agent_id")).unwrap().trim().to_owned();
        Agent { prepared, process, id }
    }

    /// Starts it and does not wait.
    #[track_caller]
    pub fn launch(self) -> Process {
        self.prepare().launch()
    }

    /// Runs a command of `cardcage-agent` with this configuration, to its end.
    #[track_caller]
    pub fn output(self, command: &[&str]) -> Output {
        self.prepare().command(command).output().unwrap()
    }

    fn prepare(self) -> Prepared {
        let state_dir = self.folder.join("state");
        let plugins = self.folder.join("plugins");
        std::fs::create_dir_all(&plugins).unwrap();
        for (file, bytes) in &self.plugins {
            std::fs::write(plugins.join(file), bytes).unwrap();
        }
        if !self.cold {
            warm::fill(&state_dir);
        }
        let own = format!(
            "state_dir = {state_dir:?}\n\
             [discovery]\ngroup = \"{}\"\nport = {}\ninterfaces = {:?}\n\
             [service]\nlisten = \"{}:{SERVICE_PORT}\"\n{}\
             [plugins]\ndir = {plugins:?}\n",
            self.group.address, self.group.port, self.interfaces, self.listen, self.service,
        );
        std::fs::write(self.folder.join("agent.toml"), own + &self.config).unwrap();
        let executable = match self.installed {
            true => install("cardcage-agent", &self.folder.join("bin")),
            false => executable("cardcage-agent"),
        };
        Prepared {
            executable,
            folder: self.folder,
            started_in: self.started_in,
            machine: self.machine,
            service: SocketAddrV4::new(self.address, SERVICE_PORT),
            flags: self.flags,
            rust_log: self.rust_log,
            variables: self.variables,
            unread: self.unread,
        }
    }
}

/// What an agent is started from, again and again.
#[derive(Debug)]
struct Prepared {
    executable: PathBuf,
    folder: PathBuf,
    started_in: PathBuf,
    machine: Option<Arc<Namespace>>,
    service: SocketAddrV4,
    flags: Vec<String>,
    rust_log: String,
    variables: Vec<(String, String)>,
    unread: bool,
}

impl Prepared {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = match &self.machine {
            Some(machine) => machine.command(&self.executable),
            None => Command::new(&self.executable),
        };
        command.args(words).arg("--config").arg(self.folder.join("agent.toml"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("RUST_LOG", &self.rust_log).current_dir(&self.started_in);
        command
    }

    fn launch(&self) -> Process {
        self.launch_as(self.run())
    }

    fn run(&self) -> Command {
        let mut command = self.command(&["run"]);
        command.args(&self.flags);
        command
    }

    fn launch_as(&self, command: Command) -> Process {
        let name = self.folder.file_name().unwrap().to_string_lossy().into_owned();
        let start = if self.unread { Process::start_unread } else { Process::start };
        start(&name, command, &self.folder.join("log"))
    }

    /// Launches it and waits until it answers.
    #[track_caller]
    fn open(&self) -> Process {
        let log = self.folder.join("log");
        let written = std::fs::metadata(log).map_or(0, |log| usize::try_from(log.len()).unwrap());
        let mut process = self.launch();
        match self.unread {
            false => drop(process.until_log_from(written, "service is open")),
            true => until("its service answers", || get(self.service, "/healthz").ok().map(drop)),
        }
        process
    }
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    prepared: Prepared,
    pub process: Process,
    id: String,
}

/// A plugin as `GET /plugins` shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Plugin {
    pub name: String,
    pub version: String,
    pub digest: String,
    pub built_in: bool,
    pub state: String,
    pub reason: Option<String>,
    pub kind: Option<String>,
    pub support: Option<String>,
    pub note: Option<String>,
    pub imports: Vec<String>,
    pub samples: u64,
    pub failures: u64,
    pub restarts: u64,
    pub cpu_ms: f64,
    pub host_calls: u64,
    pub longest_sample_ms: Option<f64>,
    pub memory: Option<u64>,
    pub readings: Option<u64>,
    pub last_error: Option<String>,
    pub asked: Vec<String>,
    pub given: Vec<String>,
    pub faults: Vec<String>,
    pub replacement: Option<Replacement>,
}

/// What is to take its place.
#[derive(Debug, Clone, Deserialize)]
pub struct Replacement {
    pub version: String,
    pub digest: String,
    pub state: String,
    pub reason: Option<String>,
}

impl Agent {
    pub fn service(&self) -> SocketAddrV4 {
        self.prepared.service
    }

    pub fn folder(&self) -> &Path {
        &self.prepared.folder
    }

    /// Asks its service.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        let ask = || get(self.service(), path);
        match &self.prepared.machine {
            Some(machine) => machine.run(ask),
            None => ask(),
        }
        .unwrap()
    }

    /// Every plugin, by name.
    #[track_caller]
    pub fn plugins(&self) -> Vec<Plugin> {
        serde_json::from_value(self.get("/plugins").json()).unwrap()
    }

    /// One plugin, once the agent has found its plugins.
    #[track_caller]
    pub fn plugin(&self, name: &str) -> Plugin {
        until(&format!("there is a plugin {name}"), || {
            self.plugins().into_iter().find(|plugin| plugin.name == name)
        })
    }

    /// Waits until a plugin is in a state.
    #[track_caller]
    pub fn until_plugin(&self, name: &str, state: &str) -> Plugin {
        until(&format!("{name} is {state}"), || {
            let plugin = self.plugin(name);
            (plugin.state == state).then_some(plugin)
        })
    }

    /// The value of a metric's series, written as in the text format.
    #[track_caller]
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no series {series} in\n{text}")).trim().parse().unwrap()
    }

    /// How many queries came in, by what became of them.
    #[track_caller]
    pub fn queries(&self, outcome: &str) -> f64 {
        self.metric(&format!("cardcage_agent_queries_total{{outcome=\"{outcome}\"}}"))
    }

    /// Runs another command of `cardcage-agent` with this agent's configuration.
    #[track_caller]
    pub fn output(&self, command: &[&str]) -> Output {
        self.prepared.command(command).output().unwrap()
    }

    /// Asks it to stop; returns how it ended.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.process.signal(Signal::SIGTERM);
        self.process.wait()
    }

    /// Ends it without asking.
    #[track_caller]
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, with the same configuration and state.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.process = self.prepared.open();
    }

    /// The same with a variable in its environment. It may end itself before it answers; whether it answers comes back.
    #[track_caller]
    pub fn start_again_with(&mut self, variable: &str, value: &str) -> bool {
        let written = self.process.log().len();
        let mut command = self.prepared.run();
        command.env(variable, value);
        self.process = self.prepared.launch_as(command);
        until("the agent answers, or ends", || match self.process.log().get(written..) {
            Some(log) if log.contains("service is open") => Some(true),
            _ => self.process.ended().map(|_| false),
        })
    }

    /// Who it is: what its containers and control groups are known by.
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// Puts the compiler beside an agent that was started without.
    #[track_caller]
    pub fn install_compiler(&self) {
        self.install("cardcage-compile");
    }

    /// Puts another executable beside an agent that was started without its compiler.
    #[track_caller]
    pub fn install(&self, executable: &str) {
        install(executable, self.prepared.executable.parent().unwrap());
    }
}
