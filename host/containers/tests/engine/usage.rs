//! What a container uses, from the kernel's files.

use crate::support::{BACKEND, Board, run, skip, succeeds};

#[tokio::test(flavor = "current_thread")]
async fn one_that_works_shows_its_load_and_its_memory() {
    let Some(board) = Board::docker() else { return };
    let mut spec = board.spec(&["sh", "-c", "while :; do :; done"]);
    spec.network = None;
    let id = board.create_with("u1", &spec).await;
    board.engine.start(&id).await.expect("started");
    let info = board.until(&id, "a load", |info| info.usage.cpu_load.is_some_and(|load| load > 5.0)).await;
    assert!(info.usage.cpu_load.is_some_and(|load| load < 150.0), "{:?}", info.usage);
    assert!(info.usage.network_rx.is_some() && info.usage.network_tx.is_some(), "{:?}", info.usage);
    let surveyed = board.engine.survey(BACKEND).await.expect("surveyed");
    assert!(surveyed[0].usage.cpu_load.is_some());
}

#[tokio::test(flavor = "current_thread")]
async fn traffic_of_the_board_is_not_the_container_s() {
    let Some(board) = Board::docker() else { return };
    let mut spec = board.spec(&["sleep", "1000"]);
    spec.network = Some("host".into());
    let id = board.create_with("u1", &spec).await;
    board.engine.start(&id).await.expect("started");
    let usage = board.info(&id).await.usage;
    assert!(usage.memory_used.is_some());
    assert_eq!((usage.network_rx, usage.network_tx), (None, None));
}

/// In a process namespace of its own the container's processes cannot be seen, as with an engine on another machine.
#[test]
fn what_cannot_be_seen_is_asked_for() {
    const APART: [&str; 5] = ["unshare", "--pid", "--fork", "--mount-proc", "--"];
    if !succeeds(&[&APART[..], &["true"]].concat()) {
        skip::<()>("process namespaces need root");
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let program = program.display().to_string();
    let test = [&program, "--exact", "usage::from_elsewhere", "--ignored", "--nocapture"];
    let output = run(&[&APART[..], &test].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "run by what_cannot_be_seen_is_asked_for, elsewhere"]
async fn from_elsewhere() {
    let Some(board) = Board::docker() else { return };
    let mut spec = board.spec(&["sh", "-c", "while :; do :; done"]);
    spec.network = None;
    let id = board.create_with("u1", &spec).await;
    board.engine.start(&id).await.expect("started");
    let usage =
        board.until(&id, "a load", |info| info.usage.cpu_load.is_some_and(|load| load > 5.0)).await.usage;
    assert_eq!(usage.memory_limit, Some(64 << 20));
    assert!(usage.memory_used.is_some() && usage.network_rx.is_some(), "{usage:?}");
    for _ in 0..2 {
        let surveyed = board.engine.survey(BACKEND).await.expect("surveyed");
        assert_eq!(surveyed[0].state, "running");
        assert!(surveyed[0].usage.memory_used.is_some(), "{surveyed:?}");
    }
}
