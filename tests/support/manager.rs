//! `cardcage-manager` and `cardcage`, as an operator runs them.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::executables::{executable, folder};
use crate::http::{Answer, delete, get, post};
use crate::namespace::Namespace;
use crate::patience::until;
use crate::process::Process;
use crate::world::Group;

/// The document's port of a manager.
const PORT: u16 = 3926;

/// A manager before its start.
#[derive(Debug)]
#[must_use]
pub struct ManagerPlan {
    folder: PathBuf,
    address: Ipv4Addr,
    group: Group,
    interfaces: Vec<String>,
    machine: Option<Arc<Namespace>>,
    more: String,
}

impl ManagerPlan {
    pub(crate) fn new(folder: PathBuf, group: Group, address: Ipv4Addr) -> Self {
        let interfaces = vec![address.to_string()];
        Self { folder, address, group, interfaces, machine: None, more: String::new() }
    }

    /// Runs on a machine of its own, on every interface that suits.
    pub fn on(self, machine: &Arc<Namespace>) -> Self {
        let machine = Some(Arc::clone(machine));
        Self { machine, address: Ipv4Addr::LOCALHOST, interfaces: Vec::new(), ..self }
    }

    /// Adds to `[discovery]` of `manager.toml`; group, port, interfaces and cadences are there.
    pub fn discovery(mut self, toml: &str) -> Self {
        self.more.push_str(toml);
        self.more.push('\n');
        self
    }

    /// Starts it and waits until it answers. It asks several times a second.
    #[track_caller]
    pub fn start(self) -> Manager {
        let state_dir = self.folder.join("state");
        let listen = if self.machine.is_some() { Ipv4Addr::UNSPECIFIED } else { self.address };
        let config = format!(
            "state_dir = {state_dir:?}\nlisten = \"{listen}:{PORT}\"\n\
             [store]\nflush_every = \"100ms\"\n\
             [discovery]\ngroup = \"{}\"\nport = {}\ninterfaces = {:?}\n\
             heartbeat_every = \"500ms\"\nresource_every = \"1s\"\n{}",
            self.group.address, self.group.port, self.interfaces, self.more,
        );
        std::fs::write(self.folder.join("manager.toml"), config).unwrap();
        let (folder, machine) = (self.folder, self.machine);
        let prepared = Prepared { folder, machine, service: SocketAddrV4::new(self.address, PORT) };
        let mut process = prepared.launch();
        process.until_log("listening on http://");
        Manager { prepared, process }
    }
}

/// What a manager is started from, again and again.
#[derive(Debug)]
struct Prepared {
    folder: PathBuf,
    machine: Option<Arc<Namespace>>,
    service: SocketAddrV4,
}

impl Prepared {
    fn command(&self, program: &str) -> Command {
        self.command_of(&executable(program))
    }

    fn command_of(&self, program: &Path) -> Command {
        let mut command = match &self.machine {
            Some(machine) => machine.command(program),
            None => Command::new(program),
        };
        command.env("RUST_LOG", "info").env("NO_COLOR", "1").current_dir(&self.folder);
        command
    }

    fn launch(&self) -> Process {
        let mut command = self.command("cardcage-manager");
        command.args(["serve", "--config"]).arg(self.folder.join("manager.toml"));
        Process::start("manager", command, &self.folder.join("log"))
    }

    fn inside<T: Send>(&self, ask: impl FnOnce() -> T + Send) -> T {
        match &self.machine {
            Some(machine) => machine.run(ask),
            None => ask(),
        }
    }
}

/// A running manager.
#[derive(Debug)]
pub struct Manager {
    prepared: Prepared,
    pub process: Process,
}

impl Manager {
    pub fn folder(&self) -> &Path {
        &self.prepared.folder
    }

    pub fn service(&self) -> SocketAddrV4 {
        self.prepared.service
    }

    /// Runs a command of `cardcage-manager` with this configuration, to its end.
    #[track_caller]
    pub fn output(&self, words: &[&str]) -> Output {
        let mut command = self.prepared.command("cardcage-manager");
        command.args(words).arg("--config").arg(self.folder().join("manager.toml")).output().unwrap()
    }

    /// Asks its service.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.prepared.inside(|| get(self.prepared.service, path)).unwrap()
    }

    /// Posts a body to its service.
    #[track_caller]
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.prepared.inside(|| post(self.prepared.service, path, body)).unwrap()
    }

    /// Asks its service to delete something.
    #[track_caller]
    pub fn delete(&self, path: &str, token: Option<&str>) -> Answer {
        self.prepared.inside(|| delete(self.prepared.service, path, token)).unwrap()
    }

    /// The boards, as the API lists them.
    #[track_caller]
    pub fn boards(&self) -> Vec<Value> {
        self.get("/fleet/v1/boards").json()["boards"].as_array().unwrap().clone()
    }

    /// Waits until the boards are as is wanted; returns them.
    #[track_caller]
    pub fn until_boards(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        until(what, || {
            let boards = self.boards();
            wanted(&boards).then_some(boards)
        })
    }

    /// Runs `cardcage` against this manager.
    #[track_caller]
    pub fn cardcage(&self, words: &[&str]) -> Output {
        let mut command = self.prepared.command("cardcage");
        command.args(words).args(["--manager", &format!("http://{}", self.prepared.service)]);
        command.arg("--token-file").arg(self.folder().join("state/token")).output().unwrap()
    }

    /// A command of somebody who operates this manager: `cardcage` is in the path, and set up.
    #[track_caller]
    pub fn operator(&self, program: &str) -> Command {
        let mut path = folder().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let mut command = self.prepared.command_of(Path::new(program));
        command.env("PATH", path).env("CARDCAGE_MANAGER", format!("http://{}", self.prepared.service));
        command.env("CARDCAGE_TOKEN_FILE", self.folder().join("state/token"));
        command
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
        let written = self.process.log().len();
        self.process = self.prepared.launch();
        self.process.until_log_from(written, "listening on http://");
    }
}
