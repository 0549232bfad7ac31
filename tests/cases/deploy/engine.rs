//! A container engine that is away for a while: a second one, in a network of its own, which the test may kill.

use std::path::{Path, PathBuf};
use std::process::Command;

use cardcage_tests::{Board, Engine, Kind, Namespace, Process, namespaces_are_allowed, until};
use nix::mount::{MntFlags, umount2};
use tempfile::TempDir;

/// `dockerd` and its `containerd`, apart from those of the machine.
struct Apart {
    namespace: Namespace,
    dockerd: Option<Process>,
    containerd: Option<Process>,
    /// Goes last: it is in use until then.
    folder: TempDir,
}

impl Apart {
    #[track_caller]
    fn start() -> Self {
        let own = tempfile::Builder::new().prefix("cardcage-").tempdir().unwrap();
        let folder = own.path();
        let namespace = Namespace::new();
        let socket = folder.join("c.sock");
        let mut containerd = namespace.enter("containerd");
        containerd.arg("--address").arg(&socket);
        containerd.arg("--root").arg(folder.join("c-root")).arg("--state").arg(folder.join("c-state"));
        let containerd = Process::start("containerd", containerd, &folder.join("containerd.log"));
        until("containerd is there", || socket.exists().then_some(()));
        let mut apart = Self { namespace, dockerd: None, containerd: Some(containerd), folder: own };
        apart.begin();
        apart
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("d.sock")
    }

    #[track_caller]
    fn begin(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        let mut dockerd = self.namespace.enter("dockerd");
        dockerd.arg("--host").arg(format!("unix://{}", self.socket().display()));
        dockerd.arg("--containerd").arg(at("c.sock")).arg("--data-root").arg(at("d-root"));
        dockerd.arg("--exec-root").arg(at("d-exec")).arg("--pidfile").arg(at("d.pid"));
        dockerd.args(["--live-restore", "--bridge=none", "--iptables=false"]);
        self.dockerd = Some(Process::start("dockerd", dockerd, &at("dockerd.log")));
        until("the engine answers", || Engine::at(&self.socket()).answers().then_some(()));
    }

    fn kill(&mut self) {
        self.dockerd.take().unwrap().kill();
        let _stale = std::fs::remove_file(self.folder.path().join("d.pid"));
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.dockerd = None;
        self.containerd = None;
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let ours = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for mount in ours.filter(|path| Path::new(path).starts_with(self.folder.path())) {
            let _gone = umount2(mount, MntFlags::MNT_DETACH);
        }
    }
}

#[test]
fn an_engine_that_is_away_leaves_things_unknown_and_is_used_again() {
    let test = "an engine of its own";
    let missing = |program: &str| Command::new(program).arg("--version").output().is_err();
    if missing("dockerd") || missing("containerd") {
        cardcage_tests::skip(test, "dockerd and containerd (Debian: docker.io)");
        return;
    }
    if !namespaces_are_allowed(test) {
        return;
    }
    let mut apart = None;
    let set_up = |_: &cardcage_tests::World| {
        let engine = Apart::start();
        let config = format!("[deploy]\nengine = \"unix://{}\"", engine.socket().display());
        apart = Some(engine);
        config
    };
    let Some(mut board) = Board::set_up(test, Kind::Docker, set_up) else { return };
    let mut apart = apart.unwrap();
    board.engine = Some(Engine::at(&apart.socket()));
    let order = board.serve("a");
    let id = board.agent.order(&order).done().id;
    let instance = board.instance("a");

    apart.kill();
    board.agent.until_deployment("a", "unknown", |one| one["unknown"] == true);
    assert!(instance.lives());
    // What is asked now is answered: it cannot be known.
    board.agent.order(&board.serve("b")).refused(8, &["engine"]);
    // And it cannot be known after a restart of the agent either.
    board.agent.kill();
    board.agent.start_again();
    board.agent.until_deployment("a", "unknown", |one| one["unknown"] == true && one["id"] == id);

    apart.begin();
    board.agent.until_state("a", "RUNNING");
    assert_eq!(board.instance("a"), instance);
    // What was asked meanwhile was written down, and is done.
    board.agent.until_state("b", "RUNNING");
    assert_eq!(board.agent.order(&order).done().id, id);
    board.stop("a").done();
    assert_eq!(board.remains("a"), Vec::<String>::new());
    board.stop("b").done();
    drop(board);
    drop(apart);
}
