//! Reports come in and become boards.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::support::{AGENT, OTHER_AGENT, Place, ours, plain, readings};

#[test]
fn a_plain_board_is_kept_by_its_place_and_name() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &plain(3, "node7", "10.0.0.7"));
    let resource = json!({
        "host_ip": "10.0.0.7",
        "resource": {"cpu": {"usage_percent": 5.0, "temperature": 0, "power": 33.0},
                     "memory": {"total": 100, "used": 25, "free": 75}}
    });
    manager.report("/resource", &resource);
    let board = manager.board("1-3-1-0-node7");
    assert_eq!(board["state"], "up");
    assert_eq!(board["host_ip"], "10.0.0.7");
    assert_eq!(board["box_type"], "计算I型");
    assert_eq!(board["summary"]["power"], 33.0);
    assert_eq!(board["summary"].get("temperature"), None, "v1.1's 0 is unknown, and unknown is absent");
    assert_eq!(board.get("agent_id"), None);
}

#[test]
fn a_board_of_ours_is_kept_by_its_agent_with_all_its_readings() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/resource", &readings(AGENT, "10.0.0.7"));
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    let board = manager.board(AGENT);
    assert_eq!((&board["agent_id"], &board["agent"]["model"]), (&json!(AGENT), &json!("B1")));
    assert_eq!(board["agent"]["extra"]["bmc-present"], true);
    let resource = manager.get(&format!("/fleet/v1/boards/{AGENT}/resource")).json();
    assert_eq!(resource["sensors"].as_array().unwrap().len(), 8);
    assert_eq!(resource["cpu"]["core_allocated"], 2);
    assert!(resource["cpu"]["age_ms"].as_u64().unwrap() >= 40);
    assert_eq!(resource["disk"][0].get("read_only"), None);
}

#[test]
fn a_new_address_is_the_same_board() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.8"));
    assert_eq!(manager.boards().len(), 1);
    assert_eq!(manager.board(AGENT)["addresses"], json!(["10.0.0.8", "10.0.0.7"]));
}

#[test]
fn two_hosts_in_one_slot_and_one_address_of_two_boards_are_flagged_and_cleared() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    manager.report("/heartbeat", &ours(OTHER_AGENT, 3, "10.0.0.7"));
    let board = manager.board(AGENT);
    assert_eq!(board["flags"], json!(["slot_conflict", "address_conflict"]));
    assert_eq!(board["conflicts_with"], json!([OTHER_AGENT]));
    let path = format!("/fleet/v1/boards/{OTHER_AGENT}");
    assert_eq!(manager.delete(&path, Some(&place.token())).status, 204);
    let board = manager.board(AGENT);
    assert_eq!((&board["flags"], board.get("conflicts_with")), (&json!([]), None));
}

/// The answer of an agent to a query.
fn answer(query: &str, host_ip: &str, hostname: &str) -> Value {
    let mut heartbeat = ours(AGENT, 3, host_ip);
    heartbeat["hostname"] = json!(hostname);
    heartbeat["cardcage"]["query_id"] = json!(query);
    heartbeat
}

#[test]
fn two_agents_with_one_copied_identity_are_flagged() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &answer("q1", "10.0.0.7", "one"));
    manager.report("/heartbeat", &answer("q2", "10.1.0.7", "one"));
    assert_eq!(manager.board(AGENT)["flags"], json!([]), "a board may have two addresses");
    manager.report("/heartbeat", &answer("q2", "10.0.0.8", "two"));
    let board = manager.board(AGENT);
    assert_eq!(board["flags"], json!(["copied_identity"]));
    let hosts: Vec<_> = board["claimants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claimant| (claimant["host_ip"].as_str().unwrap(), claimant["hostname"].as_str().unwrap()))
        .collect();
    assert_eq!(hosts, [("10.0.0.8", "two"), ("10.1.0.7", "one")]);
    assert_eq!(board.get("conflicts_with"), None);
    let kind = |kind: &str| {
        let place = "box=\"1\",slot=\"3\",cpu=\"1\",host=\"two\"";
        manager.metric(&format!("cardcage_board_conflict{{board=\"{AGENT}\",{place},kind=\"{kind}\"}}"))
    };
    assert_eq!((kind("identity"), kind("address")), (Some(1.0), Some(0.0)));
    assert!(manager.log().contains("several agents have one identity; delete agent_id in state_dir"));
}

#[test]
fn one_connection_carries_many_reports() {
    let place = Place::new();
    let manager = place.start();
    let mut stream = manager.connect();
    for slot in 1..=3 {
        let body = json!({"api_version": 1, "data": plain(slot, "n", "10.0.0.7")}).to_string();
        write!(stream, "POST /heartbeat HTTP/1.1\r\nHost: m\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("content-length: 0"), "{answer}");
    }
    assert_eq!(manager.boards().len(), 3);
}
