//! The other engine, behind a socket and with a storage of its own.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cardcage_containers::{Mount, Position};

use crate::archives::{each_archive_is_its_own, layouts_are_loaded};
use crate::life::whole_life;
use crate::support::{BACKEND, Board, run, skip, succeeds};

struct Podman {
    child: Child,
    socket: String,
    client: Vec<String>,
    folder: tempfile::TempDir,
}

impl Podman {
    fn start() -> Option<Self> {
        if !succeeds(&["podman", "--version"]) || !succeeds(&["runc", "--version"]) {
            return skip("no podman, or no runc");
        }
        let folder = tempfile::tempdir().expect("a directory");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let conf = "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=20000:20000\"]\n";
        std::fs::write(at("containers.conf"), conf).expect("written");
        let client: Vec<String> = [
            "env",
            &format!("CONTAINERS_CONF={}", at("containers.conf")),
            "podman",
            "--root",
            &at("root"),
            "--runroot",
            &at("run"),
            "--tmpdir",
            &at("tmp"),
            "--storage-driver",
            "vfs",
            "--runtime",
            "runc",
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "file",
        ]
        .map(Into::into)
        .into();
        let socket = at("podman.sock");
        let child = Command::new(&client[0])
            .args(&client[1..])
            .args(["system", "service", "--time=0", &format!("unix://{socket}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let end = Instant::now() + Duration::from_secs(30);
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < end, "podman does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self { child, socket, client, folder })
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its storage may still be mounted for a container that was removed late.
        run(&["umount", "-R", "-q", &self.folder.path().join("root").display().to_string()]);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn podman_does_the_same() {
    let Some(podman) = Podman::start() else { return };
    let Some(board) = Board::new(&podman.socket, podman.client.clone(), BTreeMap::new()) else { return };
    whole_life(&board).await;

    let id = board.started("u2", &["sh", "-c", "seq 1 500; exit 4"]).await;
    assert_eq!(board.ended(&id).await.exit_code, Some(4));
    let mut next = "00.0.0.0.0".to_owned();
    let mut all = String::new();
    loop {
        let asked = board.engine.logs("u2", BACKEND, Position::After(&next), 600).await;
        let chunk = asked.expect("read").expect("there");
        if chunk.lines.is_empty() {
            break;
        }
        next = chunk.next;
        all.extend(chunk.lines.iter().map(|line| String::from_utf8_lossy(&line.text)));
    }
    assert_eq!(all, (1..=500).map(|number| format!("{number}\n")).collect::<String>());

    let given = board.folder.path().join("given");
    std::fs::write(&given, "content").expect("written");
    let mut spec = board.spec(&["sleep", "1000"]);
    spec.restart = "always".into();
    spec.mounts = vec![Mount { source: given.display().to_string(), target: "/in".into(), read_only: true }];
    let first = board.create_with("u3", &spec).await;
    assert_eq!(board.create_with("u3", &spec).await, first);
    board.engine.start(&first).await.expect("started");
    assert_eq!(board.does(&["exec", &first, "cat", "/in"]), "content");
    board.engine.remove(&first).await.expect("removed");

    each_archive_is_its_own(&board).await;
    layouts_are_loaded(&board).await;
    let error = board.engine.pull("127.0.0.1:1/a:1").await.expect_err("no registry");
    assert_eq!(error.code(), "failed", "{error}");
}
