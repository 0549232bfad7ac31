//! A process that is killed in the middle of a transfer. The child is this very program, told by its environment.

use std::process::{Command, Stdio};

use cardcage_artifacts::Store;

use crate::bench::{content, fetch, limits, noise, until};
use crate::server::{Served, Server, hang, send};

const CHILD: &str = "CARDCAGE_ARTIFACTS_CHILD";

#[test]
fn child_fetches() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (folder, url) = told.split_once('|').unwrap();
    let store = Store::open(folder.as_ref(), limits(), None).unwrap();
    drop(fetch(&store, url, None));
}

#[test]
fn after_a_kill_the_cache_opens_and_the_transfer_goes_on() {
    let file = Served::new(&noise(400_000));
    let served = file.clone();
    let server = Server::start(move |asked, number, stream| {
        if number > 1 {
            return served.answer(asked, stream);
        }
        let (head, body) = served.head(asked);
        send(stream, head.as_bytes());
        send(stream, &body[..123_456]);
        hang(stream);
    });
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_fetches"])
        .env(CHILD, format!("{}|{}", folder.path().display(), server.url("/a")))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let written = || {
        let entries = std::fs::read_dir(folder.path().join("partial")).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.metadata().ok()).any(|about| about.len() == 123_456)
    };
    until("half of it is written", written);
    child.kill().unwrap();
    child.wait().unwrap();

    let store = Store::open(folder.path(), limits(), None).unwrap();
    let artifact = fetch(&store, &server.url("/a"), None).unwrap();
    assert_eq!(content(&artifact), file.content);
    assert_eq!(server.asked()[1].from(), Some(123_456));
    assert_eq!(crate::bench::files(&folder.path().join("partial")), [""; 0]);
}
