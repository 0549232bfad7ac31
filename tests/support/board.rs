//! A board that things are deployed to: an agent, a repository with software in it, and a kind of deployment. What was
//! deployed ends with it, also when the test fails.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::census;
use crate::deploys::{Order, stop};
use crate::engine::Engine;
use crate::namespace::skip;
use crate::packages::{SERVE, busybox_is_static, gzip, image, script};
use crate::patience::until;
use crate::repository::Repository;
use crate::world::World;

/// Both of them; most of what holds for one holds for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Docker,
    Bar,
}

impl Kind {
    pub const BOTH: [Self; 2] = [Self::Docker, Self::Bar];

    /// `type` of a request.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Bar => "bar",
        }
    }

    /// What serves until it is asked to end, in every board's repository.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Docker => "serve.tar.gz",
            Self::Bar => "serve.bar",
        }
    }
}

/// Where its container engine is.
const SEAT: u8 = 200;

/// See the module.
#[derive(Debug)]
pub struct Board {
    pub agent: Agent,
    pub repository: Repository,
    pub engine: Option<Engine>,
    pub kind: Kind,
    pub world: World,
}

impl Board {
    /// `None`, and a word to the reader of the tests, where this machine does not let a test deploy such things.
    #[track_caller]
    pub fn new(test: &str, kind: Kind) -> Option<Self> {
        Self::with(test, kind, "")
    }

    /// With more of `agent.toml`.
    #[track_caller]
    pub fn with(test: &str, kind: Kind, config: &str) -> Option<Self> {
        Self::set_up(test, kind, |_| config.to_owned())
    }

    /// With more of `agent.toml`, which is written by who knows the world.
    #[track_caller]
    pub fn set_up(test: &str, kind: Kind, config: impl FnOnce(&World) -> String) -> Option<Self> {
        let test = format!("{test}, {}", kind.name());
        if !nix::unistd::geteuid().is_root() {
            skip(&test, "root");
            return None;
        }
        if !busybox_is_static(&test) {
            return None;
        }
        let engine = match kind {
            Kind::Docker => Some(Engine::of_this_machine(&test)?),
            Kind::Bar => None,
        };
        let world = World::new();
        let repository = Repository::open(world.address(SEAT));
        match kind {
            Kind::Docker => {
                repository.put(kind.file(), gzip(&image("cardcage-tests:serve", &["sh", "-c", SERVE])))
            }
            Kind::Bar => repository.put(kind.file(), script("serve", SERVE, "stop_grace = \"1s\"")),
        }
        let config = config(&world);
        let agent = world.agent().config(&config).start();
        let board = Self { agent, repository, engine, kind, world };
        board.until_ready();
        Some(board)
    }

    /// With an agent that has backends of the test's own, which run programs.
    #[track_caller]
    pub fn of_programs(agent: Agent, repository: Repository, world: World) -> Self {
        Self { agent, repository, engine: None, kind: Kind::Bar, world }
    }

    /// Waits until its backends are there.
    #[track_caller]
    pub fn until_ready(&self) {
        self.agent.until_plugin(&format!("deploy-{}", self.kind.name()), "ready");
    }

    /// An address of the board's world that is nobody's.
    pub fn address(&self, host: u8) -> Ipv4Addr {
        self.world.address(host)
    }

    /// An order for what serves until it is asked to end.
    pub fn serve(&self, uuid: &str) -> Order {
        self.of(uuid, self.kind.file())
    }

    /// An order for a file of the repository; for containers without a network, and soon ended.
    pub fn of(&self, uuid: &str, file: &str) -> Order {
        let order = Order::new(self.kind.name(), uuid, &self.repository.url(), file);
        let order = order.option("env", json!({"MARK": self.mark(uuid)}));
        match self.kind {
            // Names are the engine's, which has the containers of other tests too.
            Kind::Docker => {
                let name = format!("{}-{uuid}", self.agent.service().ip());
                order.with("name", name).option("network", "none").option("grace", 1)
            }
            Kind::Bar => order,
        }
    }

    /// An order for a line of shell, put into the repository for it.
    pub fn script(&self, uuid: &str, line: &str) -> Order {
        match self.kind {
            Kind::Docker => self.of(uuid, self.kind.file()).option("args", json!(["sh", "-c", line])),
            Kind::Bar => {
                let file = format!("{uuid}.bar");
                self.repository.put(&file, script("script", line, "stop_grace = \"1s\""));
                self.of(uuid, &file)
            }
        }
    }

    /// What [`census::marked`] knows an instance of a deployment by.
    pub fn mark(&self, uuid: &str) -> String {
        format!("{}/{uuid}", self.world.folder().display())
    }

    /// The only instance of a deployment there is.
    #[track_caller]
    pub fn instance(&self, uuid: &str) -> census::Seen {
        let mark = self.mark(uuid);
        let mut before = None;
        until(&format!("{uuid} has one instance"), || {
            let seen = census::instances().remove(&mark).unwrap_or_default();
            // While it begins, it may not be seen yet and what it starts already.
            let only = <[census::Seen; 1]>::try_from(seen).ok().map(|[only]| only);
            let is_settled = only.is_some() && only == before;
            before = only;
            only.filter(|_| is_settled)
        })
    }

    /// Stops a deployment by the id that it has.
    #[track_caller]
    pub fn stop(&self, uuid: &str) -> crate::deploys::Reply {
        let id = self.agent.deployment(uuid).unwrap()["id"].clone();
        self.agent.deploy(&stop(self.kind.name(), uuid, &id))
    }

    /// What is left of a deployment: processes, containers, control groups, folders.
    pub fn remains(&self, uuid: &str) -> Vec<String> {
        let mut left = Vec::new();
        if let Some(seen) = census::marked().remove(&self.mark(uuid)) {
            left.push(format!("processes {seen:?}"));
        }
        if let Some(engine) = &self.engine {
            left.extend(
                engine.containers_for(&self.agent.id(), uuid).iter().map(|one| format!("container {one}")),
            );
        }
        left
    }

    /// What is left of all programs on the board.
    pub fn remains_of_programs(&self) -> Vec<String> {
        let mut left: Vec<_> = census::program_groups(&self.agent.id())
            .iter()
            .map(|group| group.display().to_string())
            .collect();
        for folder in ["deploys/programs", "deploys/unpacked"] {
            let folder = self.agent.folder().join("state").join(folder);
            left.extend(
                std::fs::read_dir(folder)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|one| one.path().display().to_string()),
            );
        }
        left
    }

    /// The state of a deployment in a report that a manager asks for.
    #[track_caller]
    pub fn reported(&self, uuid: &str) -> Value {
        let manager = self.world.listener();
        let report = manager.answer("/resource");
        let components = report.data()["component"].as_array().unwrap().clone();
        components
            .into_iter()
            .find(|one| one["uuid"] == uuid)
            .unwrap_or_else(|| panic!("no {uuid} in {}", report.body))
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.agent.process.end();
        if let Some(engine) = &self.engine {
            engine.clear(&self.agent.id());
        }
        census::clear(&self.agent.id());
    }
}
