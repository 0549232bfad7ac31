//! Archives and registries.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cardcage_containers::{Config, Credentials, Engine};

use crate::support::{Board, Open, limits, opened, run, skip, succeeds};

/// Counts what is read of an archive.
struct Counted(Cursor<Vec<u8>>, Arc<AtomicU64>);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.0.read(buffer)?;
        self.1.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// The board's image as an archive, which is then taken out of the engine.
pub fn archive(board: &Board) -> Vec<u8> {
    let file = board.folder.path().join("archive.tar");
    board.does(&["save", "-o", &file.display().to_string(), &format!("{}:1", board.agent)]);
    board.does(&["rmi", "-f", &board.image]);
    std::fs::read(file).expect("saved")
}

fn restarted(board: &Board) -> Engine {
    Engine::new(Config {
        address: Some("unix:///var/run/docker.sock".into()),
        agent: board.agent.clone(),
        registries: BTreeMap::new(),
        state_dir: board.folder.path().to_owned(),
    })
}

#[tokio::test(flavor = "current_thread")]
async fn an_archive_is_loaded_once_while_its_image_is_there() {
    let Some(board) = Board::docker() else { return };
    let archive = archive(&board);
    let size = archive.len() as u64;
    let read = Arc::new(AtomicU64::new(0));
    let reader = || -> Open {
        let (archive, read) = (archive.clone(), Arc::clone(&read));
        Box::new(move || Ok(Box::new(Counted(Cursor::new(archive.clone()), Arc::clone(&read)))))
    };

    // Two at a time, one load.
    let (first, second) =
        tokio::join!(board.engine.load("sha256:one", reader()), board.engine.load("sha256:one", reader()));
    let images = first.expect("loaded");
    assert_eq!(second.expect("loaded"), images);
    assert_eq!(images, [board.image.as_str()]);
    // What is at the end of a tar need not be read.
    let once = read.load(Ordering::Relaxed);
    assert!((size..=2 * size).contains(&once), "{once} of {size}");

    // Nor after the agent's restart.
    assert_eq!(restarted(&board).load("sha256:one", reader()).await.expect("known"), images);
    assert_eq!(read.load(Ordering::Relaxed), once);

    // But when somebody removed the image.
    board.does(&["rmi", "-f", &board.image]);
    assert_eq!(board.engine.load("sha256:one", reader()).await.expect("loaded"), images);
    assert_eq!(read.load(Ordering::Relaxed), 2 * once);
    let id = board.started("u1", &["true"]).await;
    assert_eq!(board.ended(&id).await.exit_code, Some(0));
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_no_archive_is_a_failure() {
    let Some(board) = Board::docker() else { return };
    for bytes in [Vec::new(), vec![1; 100_000], archive(&board)[..500_000].to_vec()] {
        let length = bytes.len();
        let loaded = board.engine.load("sha256:bad", opened(bytes)).await;
        let error = loaded.expect_err("no archive");
        assert!(matches!(error.code(), "failed" | "invalid"), "{length} bytes: {error}");
        assert!(error.to_string().contains("sha256:bad"), "{error}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_archive_that_breaks_off_says_why() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is bad"))
        }
    }
    let Some(board) = Board::docker() else { return };
    let archive = archive(&board);
    // The first or the second time that it is read.
    for bad in [1, 2] {
        let (archive, opened) = (archive.clone(), AtomicU64::new(0));
        let open = move || -> std::io::Result<Box<dyn Read + Send>> {
            let is_bad = opened.fetch_add(1, Ordering::Relaxed) + 1 == bad;
            let whole = Cursor::new(archive.clone());
            Ok(if is_bad { Box::new(whole.take(500_000).chain(Broken)) } else { Box::new(whole) })
        };
        let error = board.engine.load("sha256:bad", open).await.expect_err("broken");
        assert_eq!(error.code(), "failed");
        assert!(error.to_string().contains("the disk is bad"), "{error}");
    }
    let missing = || Err(std::io::Error::new(std::io::ErrorKind::NotFound, "nothing of that name"));
    let error = board.engine.load("sha256:bad", missing).await.expect_err("missing");
    assert!(error.code() == "failed" && error.to_string().contains("nothing of that name"), "{error}");
}

/// A registry of its own, which asks for a password.
struct Registry {
    child: Child,
    host: String,
    _folder: tempfile::TempDir,
}

const USER: &str = "operator";
/// With signs that the two alphabets of base64 spell differently.
const PASSWORD: &str = "p?~>w";
const LINE: &str = "operator:$2b$05$Y6a/A91fx.w/AGfpM4aJC.d4Up5s2.9lLPa9RDsATtLLISqW6heOS\n";

impl Registry {
    fn start() -> Option<Self> {
        if !succeeds(&["docker-registry", "--version"]) || !succeeds(&["skopeo", "--version"]) {
            return skip("no docker-registry, or no skopeo");
        }
        let folder = tempfile::tempdir().expect("a directory");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let host =
            TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").to_string();
        std::fs::write(at("users"), LINE).expect("written");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
            http: {{addr: \"{host}\"}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            at("data"),
            at("users"),
        );
        std::fs::write(at("config.yml"), config).expect("written");
        let child = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&host).is_err() {
            assert!(Instant::now() < end, "the registry does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self { child, host, _folder: folder })
    }

    /// Puts an archive into it.
    fn fill(&self, archive: &str, name: &str) {
        let credentials = format!("{USER}:{PASSWORD}");
        let to = format!("docker://{}/{name}", self.host);
        let from = format!("docker-archive:{archive}");
        let words = ["skopeo", "copy", "--dest-tls-verify=false", "--dest-creds", &credentials, &from, &to];
        let output = run(&words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn given(host: &str, password: &str) -> BTreeMap<String, Credentials> {
    [(host.to_owned(), Credentials { username: USER.into(), password: password.into() })].into()
}

#[tokio::test(flavor = "current_thread")]
async fn an_image_is_pulled_with_the_credentials_of_its_registry() {
    let Some(registry) = Registry::start() else { return };
    let host = registry.host.clone();
    let Some(board) = Board::with_registries(given(&host, PASSWORD)) else { return };
    archive(&board);
    registry.fill(&board.folder.path().join("archive.tar").display().to_string(), "team/app:1");

    let pulled = board.engine.pull(&format!("{host}/team/app:1")).await.expect("pulled");
    assert!(pulled.starts_with(&format!("{host}/team/app@sha256:")), "{pulled}");
    assert_eq!(board.engine.pull(&pulled).await.expect("there already"), pulled);
    let mut spec = board.spec(&["true"]);
    spec.image = pulled.clone();
    let id = board.engine.create(&board.owner("u1"), &spec, &limits()).await.expect("created");
    board.engine.start(&id).await.expect("started");
    assert_eq!(board.ended(&id).await.exit_code, Some(0));

    let error = board.engine.pull(&format!("{host}/team/app:2")).await.expect_err("no such tag");
    assert_eq!(error.code(), "absent", "{error}");
    assert!(error.to_string().contains("team/app:2"), "{error}");

    // Without its registry, what is pinned is there still, and what is not fails.
    drop(registry);
    assert_eq!(board.engine.pull(&pulled).await.expect("there"), pulled);
    let error = board.engine.pull(&format!("{host}/team/app:1")).await.expect_err("no registry");
    assert_eq!(error.code(), "failed", "{error}");
    board.engine.remove(&id).await.expect("removed");
    board.does(&["rmi", &pulled]);
}

#[tokio::test(flavor = "current_thread")]
async fn no_credentials_and_wrong_ones_are_denied() {
    let Some(registry) = Registry::start() else { return };
    let port = registry.host.rsplit(':').next().unwrap_or_default();
    let name = format!("{}/team/app:1", registry.host);
    // Those of a host of another name are not for it.
    for credentials in [
        BTreeMap::new(),
        given(&registry.host, "wrong"),
        given("127.0.0.1", PASSWORD),
        given(&format!("localhost:{port}"), PASSWORD),
    ] {
        let Some(board) = Board::with_registries(credentials) else { return };
        let error = board.engine.pull(&name).await.expect_err("denied");
        assert_eq!(error.code(), "denied", "{error}");
        assert!(error.to_string().contains(&name) && !error.to_string().contains(PASSWORD), "{error}");
    }
}
