//! From create to remove.

use std::time::Instant;

use cardcage_containers::{Port, Spec};

use crate::support::{BACKEND, Board, limits};

#[tokio::test(flavor = "current_thread")]
async fn a_container_is_made_started_stopped_and_removed() {
    let Some(board) = Board::docker() else { return };
    whole_life(&board).await;
}

pub async fn whole_life(board: &Board) {
    let engine = &board.engine;
    let spec = board.spec(&["sleep", "1000"]);
    let id = board.create_with("u1", &spec).await;
    let made = board.info(&id).await;
    assert_eq!((made.state.as_str(), made.exit_code, made.started_at.is_none()), ("created", None, true));
    assert_eq!(
        (made.uuid.as_str(), made.order.as_str(), made.name.as_str()),
        ("u1", "order-1", spec.name.as_str())
    );
    assert_eq!((made.instance_id.as_str(), made.record.as_str()), ("instance", r#"{"a":1}"#));

    engine.start(&id).await.expect("started");
    engine.start(&id).await.expect("started already");
    let runs = board.info(&id).await;
    assert_eq!(runs.state, "running");
    assert!(runs.started_at.is_some());
    assert_eq!(runs.usage.memory_limit, Some(64 << 20));
    assert!(runs.usage.memory_used.is_some_and(|used| used > 0 && used < 64 << 20), "{:?}", runs.usage);

    let found = engine.find("u1", BACKEND).await.expect("found");
    let surveyed = engine.survey(BACKEND).await.expect("surveyed");
    assert_eq!(found.iter().map(|info| &info.id).collect::<Vec<_>>(), [&id]);
    assert_eq!(surveyed.iter().map(|info| &info.id).collect::<Vec<_>>(), [&id]);
    assert!(engine.find("u2", BACKEND).await.expect("asked").is_empty());
    assert!(engine.survey("other-backend").await.expect("asked").is_empty());
    assert!(engine.inspect(&id, "other-backend").await.expect("asked").is_none());

    engine.stop(&id, 10).await.expect("stopped");
    engine.stop(&id, 10).await.expect("stopped already");
    assert_eq!(board.info(&id).await.state, "exited");
    let surveyed = engine.survey(BACKEND).await.expect("surveyed");
    assert_eq!(surveyed[0].state, "exited");
    assert_eq!(surveyed[0].usage.memory_used, None);

    engine.remove(&id).await.expect("removed");
    engine.remove(&id).await.expect("removed already");
    engine.stop(&id, 1).await.expect("stopped, being gone");
    assert_eq!(engine.start(&id).await.expect_err("gone").code(), "absent");
    assert!(engine.inspect(&id, BACKEND).await.expect("asked").is_none());
    assert!(engine.survey(BACKEND).await.expect("surveyed").is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_program_that_does_not_listen_is_ended_after_the_grace() {
    let Some(board) = Board::docker() else { return };
    let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let id = board.started("u1", &["sh", "-c", script]).await;
    board.wait_for_output("u1", "ready").await;
    let began = Instant::now();
    board.engine.stop(&id, 1).await.expect("stopped");
    assert!(began.elapsed().as_secs() >= 1, "it was ended before its grace was over");
    assert_eq!(board.info(&id).await.exit_code, Some(137));
}

#[tokio::test(flavor = "current_thread")]
async fn a_program_that_never_thought_of_being_the_first_is_stopped_at_once() {
    let Some(board) = Board::docker() else { return };
    let id = board.started("u1", &["sleep", "1000"]).await;
    let began = Instant::now();
    board.engine.stop(&id, 60).await.expect("stopped");
    assert!(began.elapsed().as_secs() < 30);
    assert_eq!(board.info(&id).await.exit_code, Some(143));
}

#[tokio::test(flavor = "current_thread")]
async fn how_it_ended_is_seen() {
    let Some(board) = Board::docker() else { return };
    for code in [0, 7] {
        let uuid = format!("u{code}");
        let id = board.started(&uuid, &["sh", "-c", &format!("exit {code}")]).await;
        let ended = board.ended(&id).await;
        assert_eq!((ended.exit_code, ended.out_of_memory), (Some(code), false));
    }
    let surveyed = board.engine.survey(BACKEND).await.expect("surveyed");
    let mut codes: Vec<_> = surveyed.iter().map(|info| info.exit_code).collect();
    codes.sort();
    assert_eq!(codes, [Some(0), Some(7)]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_program_that_is_not_in_the_image_ends_with_the_code_for_it() {
    let Some(board) = Board::docker() else { return };
    let plain = Spec { init: false, ..board.spec(&["/no/such/program"]) };
    let id = board.create_with("u1", &plain).await;
    let refused = board.engine.start(&id).await.expect_err("there is no such program");
    assert!(!refused.is_unreachable() && refused.to_string().contains("/no/such/program"), "{refused}");
    // Behind the engine's init it is found out later.
    let id = board.create("u2", &["/no/such/program"]).await;
    board.engine.start(&id).await.expect("the init starts");
    assert_eq!(board.ended(&id).await.exit_code, Some(127));
}

#[tokio::test(flavor = "current_thread")]
async fn an_image_that_says_nothing_needs_a_command() {
    let Some(board) = Board::docker() else { return };
    let refused = board.engine.create(&board.owner("u1"), &board.spec(&[]), &limits()).await;
    let error = refused.expect_err("no command");
    assert_eq!(error.code(), "invalid", "{error}");
    assert!(error.to_string().contains(&board.image), "{error}");
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_is_paused_says_so_and_can_be_stopped() {
    let Some(board) = Board::docker() else { return };
    let id = board.started("u1", &["sleep", "1000"]).await;
    board.does(&["pause", &id]);
    assert_eq!(board.info(&id).await.state, "paused");
    let surveyed = board.engine.survey(BACKEND).await.expect("surveyed");
    assert_eq!(surveyed[0].state, "paused");
    board.engine.stop(&id, 5).await.expect("stopped");
    assert_eq!(board.info(&id).await.state, "exited");
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_ends_between_two_surveys_and_runs_again_is_noticed() {
    let Some(board) = Board::docker() else { return };
    let id = board.started("u1", &["sleep", "1000"]).await;
    let before = board.engine.survey(BACKEND).await.expect("surveyed");
    board.does(&["restart", "-t", "0", &id]);
    let after = board.engine.survey(BACKEND).await.expect("surveyed");
    assert_eq!(after[0].state, "running");
    assert_ne!(before[0].started_at, after[0].started_at);
    assert!(after[0].usage.memory_used.is_some());
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_fails_is_restarted_when_that_was_asked_for() {
    let Some(board) = Board::docker() else { return };
    let mut spec = board.spec(&["sh", "-c", "exit 3"]);
    spec.restart = "on-failure".into();
    let id = board.create_with("u1", &spec).await;
    board.engine.start(&id).await.expect("started");
    let info = board.until(&id, "restarting", |info| info.state == "restarting").await;
    assert_eq!(info.exit_code, Some(3));
    board.engine.stop(&id, 1).await.expect("stopped");
    assert_eq!(board.info(&id).await.state, "exited");
    board.engine.remove(&id).await.expect("removed");
}

#[tokio::test(flavor = "current_thread")]
async fn a_restart_by_policy_does_not_undo_a_stop() {
    let Some(board) = Board::docker() else { return };
    let mut spec = board.spec(&["sleep", "1000"]);
    spec.restart = "always".into();
    let id = board.create_with("u1", &spec).await;
    let policy = board.does(&["inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", &id]);
    assert_eq!(policy, "unless-stopped");
}

#[tokio::test(flavor = "current_thread")]
async fn a_port_leads_inside() {
    let Some(board) = Board::docker() else { return };
    let host =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port();
    let mut spec = board.spec(&["sh", "-c", "while :; do echo hello | nc -l -p 8080; done"]);
    spec.network = None;
    spec.ports = vec![Port { host, container: 8080, protocol: "tcp".into() }];
    let id = board.create_with("u1", &spec).await;
    board.engine.start(&id).await.expect("started");
    let ports = board.does(&["port", &id]);
    assert!(ports.contains(&format!("8080/tcp -> 0.0.0.0:{host}")), "{ports}");
}

#[tokio::test(flavor = "current_thread")]
async fn why_it_did_not_start_is_seen() {
    let Some(board) = Board::docker() else { return };
    let mut spec = board.spec(&["true"]);
    spec.network = Some(format!("{}-none", board.agent));
    let id = board.create_with("u1", &spec).await;
    assert_eq!(board.engine.survey(BACKEND).await.expect("surveyed")[0].error, None);
    let error = board.engine.start(&id).await.expect_err("no such network");
    assert_eq!(error.code(), "absent", "{error}");
    let surveyed = board.engine.survey(BACKEND).await.expect("surveyed");
    assert!(surveyed[0].error.as_ref().is_some_and(|error| error.contains("network")), "{surveyed:?}");
}
