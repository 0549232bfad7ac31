//! What is left alone, and what happens without an engine.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use cardcage_containers::{Config, Engine, Error};
use tokio::time::{Instant, timeout};

use crate::archives::small;
use crate::support::{BACKEND, Board, limits, opened, unique};

#[tokio::test(flavor = "current_thread")]
async fn a_create_whose_answer_was_lost_finds_what_it_made() {
    let Some(board) = Board::docker() else { return };
    let spec = board.spec(&["sleep", "1000"]);
    let first = board.create_with("u1", &spec).await;
    assert_eq!(board.create_with("u1", &spec).await, first);
    let mut owner = board.owner("u1");
    owner.order = "order-2".into();
    let error = board.engine.create(&owner, &spec, &limits()).await.expect_err("another order");
    assert_eq!(error.code(), "conflict");
    let error =
        board.engine.create(&board.owner("u2"), &spec, &limits()).await.expect_err("another deployment");
    assert_eq!(error.code(), "conflict");
    assert!(error.to_string().contains(&spec.name), "{error}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_stranger_is_left_alone() {
    let Some(board) = Board::docker() else { return };
    let spec = board.spec(&["sleep", "1000"]);
    let stranger =
        board.does(&["create", "--name", &spec.name, "--network", "none", &board.image, "sleep", "1000"]);
    let outcome = refused(&board, &spec.name, &stranger).await;
    board.does(&["rm", "-f", &stranger]);
    outcome.expect("refused");
}

async fn refused(board: &Board, name: &str, stranger: &str) -> Result<(), String> {
    let engine = &board.engine;
    let mut spec = board.spec(&["sleep", "1000"]);
    spec.name = name.into();
    let foreign = |result: Result<(), Error>| match result {
        Err(Error::Foreign { .. }) => Ok(()),
        other => Err(format!("not refused: {other:?}")),
    };
    foreign(engine.start(stranger).await)?;
    foreign(engine.stop(stranger, 1).await)?;
    foreign(engine.remove(stranger).await)?;
    match engine.create(&board.owner("u1"), &spec, &limits()).await {
        Err(error) if error.code() == "conflict" => {}
        other => return Err(format!("the stranger's name was taken: {other:?}")),
    }
    // By name, or abbreviated, nothing is done at all.
    for id in [name, &stranger[..12], "../etc", ""] {
        match engine.remove(id).await {
            Err(error) if error.code() == "invalid" => {}
            other => return Err(format!("{id:?} was taken for an id: {other:?}")),
        }
    }
    match engine.inspect(stranger, BACKEND).await {
        Ok(None) => Ok(()),
        other => Err(format!("shown: {other:?}")),
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_image_that_is_not_there_is_absent() {
    let Some(board) = Board::docker() else { return };
    let mut spec = board.spec(&["true"]);
    spec.image = format!("sha256:{}", "0".repeat(64));
    let error = board.engine.create(&board.owner("u1"), &spec, &limits()).await.expect_err("no image");
    assert_eq!(error.code(), "absent", "{error}");
}

fn engine_at(address: String) -> (Engine, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a directory");
    let config = Config {
        address: Some(address),
        agent: unique(),
        registries: BTreeMap::new(),
        state_dir: folder.path().to_owned(),
    };
    (Engine::new(config), folder)
}

#[tokio::test(flavor = "current_thread")]
async fn without_an_engine_nothing_is_known() {
    let folder = tempfile::tempdir().expect("a directory");
    let missing = format!("unix://{}", folder.path().join("none.sock").display());
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number");
    for address in [missing, format!("tcp://{free}")] {
        let (engine, _folder) = engine_at(address.clone());
        let id = "a".repeat(64);
        let errors = [
            engine.survey(BACKEND).await.expect_err("no engine"),
            engine.remove(&id).await.expect_err("no engine"),
            engine.pull("busybox").await.expect_err("no engine"),
            engine.load("digest", opened(Vec::new())).await.expect_err("no engine"),
        ];
        for error in errors {
            assert!(error.is_unreachable(), "{error}");
            assert!(error.to_string().contains(&address), "{error}");
        }
    }
    let (engine, _folder) = engine_at("ssh://somewhere".into());
    assert_eq!(engine.survey(BACKEND).await.expect_err("no such way").code(), "invalid");
}

/// An engine that breaks off, and comes back as another one at the same socket.
#[tokio::test(flavor = "current_thread")]
async fn an_engine_that_comes_back_is_used_again() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("engine.sock");
    let (engine, _folder) = engine_at(format!("unix://{}", path.display()));
    assert!(engine.survey(BACKEND).await.expect_err("not there yet").is_unreachable());

    let listener = UnixListener::bind(&path).expect("bound");
    let answers =
        std::thread::spawn(move || serve(&listener, vec![version(), list(), None, version(), list()]));
    let patience = Duration::from_secs(20);
    assert!(timeout(patience, engine.survey(BACKEND)).await.expect("in time").expect("answered").is_empty());
    assert!(
        timeout(patience, engine.survey(BACKEND))
            .await
            .expect("in time")
            .expect_err("broke off")
            .is_unreachable()
    );
    assert!(timeout(patience, engine.survey(BACKEND)).await.expect("in time").expect("again").is_empty());
    let asked = answers.join().expect("served");
    let paths: Vec<&str> = asked.iter().filter_map(|line| line.split(['?', ' ']).nth(1)).collect();
    let list = "/containers/json";
    assert_eq!(paths, ["/version", list, list, "/version", list]);
}

fn version() -> Option<String> {
    Some(r#"{"ApiVersion":"1.41","Components":[]}"#.to_owned())
}

fn list() -> Option<String> {
    Some("[]".to_owned())
}

/// Gives the answers, and breaks off where there is none. The first lines of what it was asked.
fn serve(listener: &UnixListener, answers: Vec<Option<String>>) -> Vec<String> {
    let mut asked = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 8192];
        let length = stream.read(&mut request).expect("a request");
        asked.push(String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().to_owned());
        if let Some(body) = answer {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length";
            write!(stream, "{head}: {}\r\n\r\n{body}", body.len()).expect("answered");
        }
    }
    asked
}

/// Whoever waits for it has a deadline.
#[tokio::test(flavor = "current_thread")]
async fn an_engine_that_falls_silent_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("engine.sock");
    let (engine, _folder) = engine_at(format!("unix://{}", path.display()));
    let listener = UnixListener::bind(&path).expect("bound");
    let first = std::thread::spawn(move || {
        serve(&listener, vec![version(), list()]);
        // It stays there, takes connections and says nothing.
        listener
    });
    engine.survey(BACKEND).await.expect("answered");
    let _silent = first.join().expect("served");

    tokio::time::pause();
    let began = Instant::now();
    let error = engine.pull("r.example/a:1").await.expect_err("silent");
    assert_eq!((error.code(), began.elapsed().as_secs()), ("failed", 60), "{error}");
    let began = Instant::now();
    let error = engine.load("digest", opened(small())).await.expect_err("silent");
    assert!(error.is_unreachable() && (60..400).contains(&began.elapsed().as_secs()), "{error}");
    let began = Instant::now();
    assert!(engine.survey(BACKEND).await.expect_err("silent").is_unreachable());
    assert!(began.elapsed().as_secs() <= 30);
}

/// The host's calls run in tasks of a runtime that may move them.
#[test]
fn calls_can_be_moved_between_threads() {
    fn moves<T: Send>(_: &T) {}
    let (engine, _folder) = engine_at("unix:///none".into());
    moves(&engine);
    moves(&engine.survey(BACKEND));
    moves(&engine.find("u", BACKEND));
    moves(&engine.load("digest", opened(Vec::new())));
    moves(&engine.pull("busybox"));
    moves(&engine.stop("id", 1));
    moves(&engine.logs("u", BACKEND, cardcage_containers::Position::Last(1), 1));
}
