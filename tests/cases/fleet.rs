//! A manager and its boards, as an operator sees them.

use std::time::{Duration, Instant, SystemTime};

use cardcage_tests::{ACME_BOARD, Manager, World, check_metrics, post, until};
use serde_json::{Value, json};

/// `[board]` of an agent's configuration.
fn slot(number: u8) -> String {
    format!("[board]\nbox_id = 1\nslot_id = {number}\nbox_type = \"计算I型\"\nhostname = \"板卡-{number}\"")
}

/// State and flags of each board, by slot and host name.
fn states(boards: &[Value]) -> Vec<(u64, String, String, Value)> {
    let text = |board: &Value, field: &str| board[field].as_str().unwrap().to_owned();
    let mut states: Vec<_> = boards
        .iter()
        .map(|board| {
            let slot = board["slot_id"].as_u64().unwrap();
            (slot, text(board, "hostname"), text(board, "state"), board["flags"].clone())
        })
        .collect();
    states.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    states
}

fn all(state: &'static str, count: usize) -> impl Fn(&[Value]) -> bool {
    move |boards| boards.len() == count && boards.iter().all(|board| board["state"] == state)
}

fn first_seen(board: &Value) -> SystemTime {
    humantime::parse_rfc3339(board["first_seen"].as_str().unwrap()).unwrap()
}

/// The boards that `cardcage` prints for programs.
#[track_caller]
fn printed(manager: &Manager, words: &[&str]) -> Value {
    let done = manager.cardcage(words);
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn an_operator_sees_every_board_with_its_readings() {
    let world = World::new();
    let manager = world.manager().start();
    let _agents: Vec<_> = (1..=3).map(|number| world.agent().config(&slot(number)).start()).collect();
    manager.until_boards("three boards are up with readings", |boards| {
        all("up", 3)(boards) && boards.iter().all(|board| board["summary"]["memory_total"].is_u64())
    });
    let boards = printed(&manager, &["boards", "--json"])["boards"].as_array().unwrap().clone();
    let expected: Vec<_> =
        (1..=3).map(|number| (number, format!("板卡-{number}"), "up".to_owned(), json!([]))).collect();
    assert_eq!(states(&boards), expected);
    for board in &boards {
        let host = 1 + u8::try_from(board["slot_id"].as_u64().unwrap()).unwrap();
        assert_eq!(board["host_ip"], json!(world.address(host)));
        assert_eq!(board["box_type"], "计算I型");
    }

    let id = boards[0]["id"].as_str().unwrap();
    let board = printed(&manager, &["board", id, "--json"]);
    let text = serde_json::to_string(&board).unwrap();
    assert!(text.contains("板卡-"), "{text}");
    let table = manager.cardcage(&["boards"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!((1..=3).all(|number| table.contains(&format!("板卡-{number}"))), "{table}");
    let table = manager.cardcage(&["board", id]);
    assert!(table.status.success(), "{table:?}");
    let absent = manager.cardcage(&["board", "no-such-board"]);
    assert_eq!(absent.status.code(), Some(3), "{absent:?}");

    let resource = manager.get(&format!("/fleet/v1/boards/{id}/resource")).json();
    assert!(resource.to_string().contains("memory"), "{resource}");
    let plugins = manager.get("/fleet/v1/plugins").json();
    let cpu = plugins["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "cpu").unwrap();
    assert_eq!(cpu["boards"]["ready"], 3);
}

#[test]
fn a_vendors_board_is_seen_with_what_only_its_plugin_knows() {
    let world = World::new();
    let manager = world.manager().start();
    let _agent = world.agent().plugin("acme-board.wasm", ACME_BOARD.packed()).start();
    let boards = manager.until_boards("the board is up", |boards| {
        all("up", 1)(boards) && boards[0]["board_type"] == "ACME" && boards[0]["summary"]["power"].is_f64()
    });
    assert_eq!((&boards[0]["box_id"], &boards[0]["slot_id"]), (&json!(7), &json!(12)));
    let id = boards[0]["id"].as_str().unwrap();
    let board = manager.get(&format!("/fleet/v1/boards/{id}")).json();
    assert_eq!(board["agent"]["serial"], "C2-000417");
    assert_eq!(board["agent"]["extra"]["firmware"], "4.1");
    assert_eq!(board["gpu"][0]["name"], "ACME 加速卡 X1");
    let table = String::from_utf8(manager.cardcage(&["board", id]).stdout).unwrap();
    assert!(table.contains("12V") && table.contains("acme-board"), "{table}");
}

#[test]
fn the_inventory_survives_a_restart_and_a_kill() {
    let world = World::new();
    let mut manager = world.manager().start();
    let mut agents: Vec<_> = (1..=2).map(|number| world.agent().config(&slot(number)).start()).collect();
    let before = manager.until_boards("two boards are up", all("up", 2));
    let same = |boards: &[Value]| {
        assert_eq!(boards.len(), before.len());
        for (board, before) in boards.iter().zip(&before) {
            assert_eq!(board["id"], before["id"]);
            // A manager counts moments; what they are by the clock is worked out anew each time.
            let [now, then] = [board, before].map(first_seen);
            let moved = now.duration_since(then).unwrap_or_else(|error| error.duration());
            assert!(moved < Duration::from_millis(200), "{board} was {before}");
        }
    };
    assert!(manager.stop().success());
    // Nobody answers any more, so what there is now is what was kept.
    agents.iter_mut().for_each(|agent| agent.kill());
    manager.start_again();
    same(&manager.boards());
    manager.kill();
    manager.start_again();
    same(&manager.boards());
    agents.iter_mut().for_each(|agent| agent.start_again());
    same(&manager.until_boards("both are back", all("up", 2)));
}

#[test]
fn a_board_that_is_killed_is_late_then_lost_and_comes_back_as_itself() {
    let world = World::new();
    let manager = world.manager().start();
    let mut agent = world.agent().config(&slot(1)).start();
    let _other = world.agent().config(&slot(2)).start();
    let up = manager.until_boards("both are up", all("up", 2));
    agent.kill();
    let of_slot =
        |boards: &[Value], slot: u8| boards.iter().find(|board| board["slot_id"] == slot).unwrap().clone();
    for state in ["late", "lost"] {
        let boards = manager.until_boards(state, |boards| of_slot(boards, 1)["state"] == state);
        assert_eq!(of_slot(&boards, 2)["state"], "up");
    }
    let lost = of_slot(&manager.boards(), 1);
    assert!(lost["missed"]["heartbeat"]["in_a_row"].as_u64() >= Some(3), "{lost}");
    let listed = printed(&manager, &["boards", "--state", "lost", "--json"]);
    assert_eq!(listed["boards"].as_array().unwrap().len(), 1);
    agent.start_again();
    let back = manager.until_boards("it is back", all("up", 2));
    assert_eq!(of_slot(&back, 1)["id"], of_slot(&up, 1)["id"]);
    assert_eq!(of_slot(&back, 1)["missed"]["heartbeat"]["in_a_row"], 0);
}

#[test]
fn two_hosts_that_claim_one_slot_are_flagged_until_one_is_gone() {
    let world = World::new();
    let manager = world.manager().start();
    let claim = |name: &str| format!("[board]\nbox_id = 1\nslot_id = 3\nhostname = {name:?}");
    let _one = world.agent().config(&claim("one")).start();
    let mut two = world.agent().config(&claim("two")).start();
    let boards = manager.until_boards("both are flagged", |boards| {
        boards.len() == 2 && boards.iter().all(|board| board["flags"] == json!(["slot_conflict"]))
    });
    assert_eq!(boards[0]["conflicts_with"], json!([boards[1]["id"]]));
    let table = String::from_utf8(manager.cardcage(&["boards"]).stdout).unwrap();
    assert!(table.contains("slot"), "{table}");
    two.kill();
    manager.until_boards("the flag is taken down", |boards| {
        let one = boards.iter().find(|board| board["hostname"] == "one").unwrap();
        one["flags"] == json!([])
    });
}

#[test]
fn a_body_that_is_not_the_protocol_gets_400_and_changes_nothing() {
    let world = World::new();
    let manager = world.manager().start();
    let _agent = world.agent().config(&slot(1)).start();
    manager.until_boards("it is up", all("up", 1));
    let bodies: [&[u8]; 6] = [
        b"",
        b"not JSON",
        b"{}",
        b"{\"api_version\":1,\"data\":null}",
        b"{\"api_version\":2,\"data\":{}}",
        b"{\"api_version\":1,\"data\":{\"box_id\":\"x\"}}",
    ];
    for url in ["/heartbeat", "/resource"] {
        for body in bodies {
            let answer = manager.post(url, body);
            assert_eq!(answer.status, 400, "{url} {}: {answer:?}", String::from_utf8_lossy(body));
        }
    }
    // What is too long is refused before it is read, so the answer may find nobody who listens.
    if let Ok(answer) = post(manager.service(), "/heartbeat", &vec![b' '; 64 << 20]) {
        assert_eq!(answer.status, 413, "{answer:?}");
    }
    assert_eq!(manager.boards().len(), 1);
}

#[test]
fn an_agent_of_the_document_alone_is_a_board_too() {
    let world = World::new();
    let manager = world.manager().start();
    let heartbeat = include_bytes!("../../host/wire/samples/board/heartbeat-strings.json");
    let answer = manager.post("/heartbeat", heartbeat);
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let boards = manager.until_boards("it is there", |boards| boards.len() == 1);
    assert_eq!(boards[0].get("agent_id"), None);
    let id = boards[0]["id"].as_str().unwrap().to_owned();

    // Changes need the token.
    let path = format!("/fleet/v1/boards/{id}");
    assert_eq!(manager.delete(&path, None).status, 401);
    assert!([401, 403].contains(&manager.delete(&path, Some("guess")).status));
    assert_eq!(manager.boards().len(), 1);
    let forgotten = manager.cardcage(&["forget", &id]);
    assert!(forgotten.status.success(), "{forgotten:?}");
    assert_eq!(manager.boards().len(), 0);
}

#[test]
fn metrics_of_both_are_as_prometheus_wants_them() {
    let world = World::new();
    let manager = world.manager().start();
    let agent = world.agent().config(&slot(1)).plugin("acme-board.wasm", ACME_BOARD.packed()).start();
    manager.until_boards("it is up with its readings", |boards| {
        all("up", 1)(boards) && boards[0]["summary"]["power"].is_f64()
    });
    until("something was delivered", || {
        let series = "cardcage_agent_reports_total{outcome=\"delivered\",url=\"/resource\"}";
        (agent.metric(series) > 0.0).then_some(())
    });
    let test = "metrics_of_both_are_as_prometheus_wants_them";
    check_metrics(test, &agent.get("/metrics").body);
    let metrics = manager.get("/metrics").body;
    check_metrics(test, &metrics);
    assert!(metrics.contains("板卡-1"), "{metrics}");
}

#[test]
fn a_manager_stops_soon_with_code_0_and_has_its_state_to_itself() {
    let world = World::new();
    let mut manager = world.manager().start();
    let second = manager.output(&["serve"]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let asked = Instant::now();
    assert!(manager.stop().success());
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
}

#[test]
fn a_manager_names_the_key_that_it_does_not_know() {
    let world = World::new();
    let manager = world.manager().start();
    let config = manager.folder().join("manager.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(config, text.replace("heartbeat_every", "heartbeat_evry")).unwrap();
    let wrong = manager.output(&["serve"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let complaint = String::from_utf8(wrong.stderr).unwrap();
    assert!(complaint.contains("heartbeat_evry") && complaint.contains("heartbeat_every"), "{complaint}");
}
