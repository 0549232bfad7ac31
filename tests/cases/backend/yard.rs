//! A board with a vendor's backend and a hostile one. Beside what the hostile one is asked to do there is a neighbour, a
//! deployment of the other backend, which must not notice.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use cardcage_tests::census::{Seen, marked};
use cardcage_tests::{
    AgentPlan, Board, DEPLOY_ONESHOT, Engine, HOSTILE_BACKEND, Listener, Order, Reply, Repository, World,
    skip, tar, until,
};
use serde_json::{Value, json};

/// Where the repository is.
const SEAT: u8 = 200;
/// From a query to its report, on a machine that does other things too.
const ANSWER: Duration = Duration::from_secs(2);

/// A board without a deployment, with whatever is added to the plan. `None`, and a word to the reader of the tests, where
/// programs cannot be run.
#[track_caller]
pub(crate) fn board(test: &str, plan: impl FnOnce(AgentPlan, &World) -> AgentPlan) -> Option<Board> {
    if !nix::unistd::geteuid().is_root() {
        skip(test, "root");
        return None;
    }
    let world = World::new();
    // Programs of other users must come through.
    std::fs::set_permissions(world.folder(), Permissions::from_mode(0o711)).unwrap();
    let repository = Repository::open(world.address(SEAT));
    repository.put("run.tar", tar(&[("run", b"#!/bin/sh\nexec sleep 1000000\n")]));
    let agent = plan(world.agent(), &world).config("[deploy]\nshared_cores = \"0\"").start();
    Some(Board::of_programs(agent, repository, world))
}

/// The tables that let a plugin fetch from the repository and run programs.
pub(crate) fn grants(plugin: &str, world: &World) -> String {
    let repository = world.address(SEAT);
    format!(
        "[plugins.grants.{plugin}]\nartifacts = [\"{repository}\"]\n[plugins.grants.{plugin}.processes]\n"
    )
}

/// An order for `run.tar`, whose program is known by its mark.
pub(crate) fn order(board: &Board, kind: &str, uuid: &str, file: &str) -> Order {
    let mark = board.mark(uuid);
    Order::new(kind, uuid, &board.repository.url(), file)
        .option("cpu", "shared")
        .option("env", json!({"MARK": mark}))
        .option("mark", mark)
}

/// The only program of a deployment.
#[track_caller]
pub(crate) fn program(board: &Board, uuid: &str) -> Seen {
    let mark = board.mark(uuid);
    until(&format!("{uuid} has one program"), || match marked().remove(&mark)?.as_slice() {
        [only] => Some(*only),
        _ => None,
    })
}

/// See the module.
pub(crate) struct Yard {
    pub(crate) board: Board,
    manager: Listener,
    neighbour: Seen,
    /// What there was before the hostile one was asked for anything.
    before: Vec<String>,
}

impl Yard {
    /// The hostile backend is in this mode where it is not asked about an order.
    #[track_caller]
    pub(crate) fn besieged(test: &str, mode: &str) -> Option<Self> {
        // The hostile one may run containers, so each end of a deployment asks the engine what is left.
        Engine::of_this_machine(test)?;
        let board = board(test, |plan, world| {
            let granted = world.place("granted");
            std::os::unix::fs::symlink("/etc", granted.join("link")).unwrap();
            plan.plugin("hostile-backend.wasm", HOSTILE_BACKEND.packed())
                .plugin("deploy-oneshot.wasm", DEPLOY_ONESHOT.packed())
                .config(&format!("[plugins.settings.hostile-backend]\nmode = \"{mode}\""))
                .config(&grants("deploy-oneshot", world))
                .config(&grants("hostile-backend", world))
                .config("users = [\"nobody\"]")
                .config(&format!("[plugins.grants.hostile-backend.containers]\nmounts = [{granted:?}]"))
        })?;
        for plugin in ["deploy-oneshot", "hostile-backend"] {
            board.agent.until_plugin(plugin, "ready");
        }
        let manager = board.world.listener();
        board.agent.order(&order(&board, "oneshot", "neighbour", "run.tar")).done();
        let neighbour = program(&board, "neighbour");
        let before = everything(&board);
        Some(Self { board, manager, neighbour, before })
    }

    /// An order to the hostile backend.
    pub(crate) fn hostile(&self, uuid: &str, mode: &str) -> Order {
        order(&self.board, "hostile", uuid, mode)
    }

    /// Sends one.
    #[track_caller]
    pub(crate) fn order(&self, uuid: &str, mode: &str) -> Reply {
        self.board.agent.order(&self.hostile(uuid, mode))
    }

    /// The board is reported in time, the neighbour runs as before, and others are started and stopped.
    #[track_caller]
    pub(crate) fn others_are_well(&self) {
        let asked = Instant::now();
        let report = self.manager.answer("/resource");
        let took = asked.elapsed();
        assert!(took < ANSWER, "a report took {took:?}");
        let components = report.data()["component"].as_array().unwrap();
        let neighbour = components.iter().find(|one| one["uuid"] == "neighbour").unwrap();
        assert_eq!(neighbour["state"], "RUNNING");
        assert!(self.neighbour.lives());
        let another = order(&self.board, "oneshot", "another", "run.tar");
        let id = self.board.agent.order(&another).done().id;
        self.board.agent.deploy(&another.stop(&id)).done();
        assert_eq!(self.board.remains("another"), Vec::<String>::new());
    }

    /// Of what the hostile backend was asked for, nothing is left: no process, no control group, no folder.
    #[track_caller]
    pub(crate) fn nothing_is_left(&self, uuid: &str) {
        assert_eq!(self.board.remains(uuid), Vec::<String>::new());
        assert_eq!(everything(&self.board), self.before);
    }

    /// The first line of the agent's log with these words, once it is there.
    #[track_caller]
    pub(crate) fn until_said(&self, words: &str) -> String {
        until(&format!("the agent says: {words}"), || {
            let log = self.board.agent.process.log();
            log.lines().find(|line| line.contains(words)).map(str::to_owned)
        })
    }

    /// A deployment as the agent lists it, once it is failed.
    #[track_caller]
    pub(crate) fn until_failed(&self, uuid: &str, reason: &str) -> Value {
        let failed = self.board.agent.until_state(uuid, "FAILED");
        assert!(failed["reason"].as_str().unwrap().contains(reason), "{failed}");
        failed
    }
}

fn everything(board: &Board) -> Vec<String> {
    let mut everything = board.remains_of_programs();
    everything.sort();
    everything
}
