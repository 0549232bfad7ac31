//! `cardcage`, against a real manager.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{AGENT, Manager, OTHER_AGENT, Place, ours, plain, readings};

fn cardcage(manager: &str, line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cardcage"))
        .args(line)
        .env("CARDCAGE_MANAGER", manager)
        .env_remove("CARDCAGE_TOKEN_FILE")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The output of a command that succeeds.
fn shown(manager: &Manager, line: &[&str]) -> String {
    let output = cardcage(&manager.url, line);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn fleet() -> (Place, Manager) {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    manager.report("/resource", &readings(AGENT, "10.0.0.7"));
    manager.report("/heartbeat", &plain(4, "node8", "10.0.0.8"));
    (place, manager)
}

#[test]
fn boards_are_a_table_or_json() {
    let (_place, manager) = fleet();
    let table = shown(&manager, &["boards"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("STATE  ID"), "{table}");
    assert!(
        lines[1].contains("2b1f7d0e ")
            && lines[1].contains("61.5 °C")
            && lines[1].contains("3.7 GiB / 14.9 GiB")
    );
    assert!(lines[2].contains("1-4-1-0-node8"));
    assert_eq!(lines[3], "2 boards: 2 up, 0 late, 0 lost");
    assert!(!table.contains('\x1b'), "no colours into a pipe");
    let json: Value = serde_json::from_str(&shown(&manager, &["boards", "--json"])).unwrap();
    assert_eq!((json["boards"].as_array().unwrap().len(), &json["total"]), (2, &json!(2)));
    assert_eq!(shown(&manager, &["boards", "--state", "lost"]).lines().count(), 2);
}

#[test]
fn a_board_is_found_by_whatever_names_it() {
    let (_place, manager) = fleet();
    for name in [AGENT, "2b1f", "ours", "10.0.0.7", "1/3/1"] {
        let detail = shown(&manager, &["board", name]);
        for expected in
            [AGENT, "B1", "Tctl", "61.5 °C", "critical ≥ 95", "hwmon", "eth0", "/dev/vda1", "0000:03:00.0"]
        {
            assert!(detail.contains(expected), "{expected} is not in\n{detail}");
        }
    }
    let json: Value = serde_json::from_str(&shown(&manager, &["board", "ours", "--json"])).unwrap();
    assert_eq!((&json["id"], &json["resource"]["sensors"][0]["name"]), (&json!(AGENT), &json!("Tctl")));
}

#[test]
fn a_copied_identity_is_shown_with_its_remedy() {
    let (_place, manager) = fleet();
    for host_ip in ["10.0.0.7", "10.0.0.9"] {
        let mut heartbeat = ours(AGENT, 3, host_ip);
        heartbeat["cardcage"]["query_id"] = json!("q1");
        manager.report("/heartbeat", &heartbeat);
    }
    let remedy = "delete agent_id in state_dir of all but one of them and restart those";
    let table = shown(&manager, &["boards"]);
    assert!(table.lines().nth(1).unwrap().ends_with("copied identity") && table.contains(remedy), "{table}");
    let detail = shown(&manager, &["board", AGENT]);
    let line = detail.lines().find(|line| line.starts_with("copied identity")).unwrap();
    assert!(line.contains("ours (10.0.0.9, 1/3/1) and ours (10.0.0.7, 1/3/1)"), "{detail}");
    assert!(line.ends_with(remedy), "{detail}");
}

#[test]
fn the_status_says_what_went_wrong() {
    let (_place, manager) = fleet();
    let status = |url: &str, line: &[&str]| cardcage(url, line).status.code();
    assert_eq!(status(&manager.url, &["board", "nobody"]), Some(3));
    assert_eq!(status(&manager.url, &["forget", "nobody"]), Some(3));
    assert_eq!(status(&manager.url, &["bords"]), Some(2));
    assert_eq!(status("https://127.0.0.1", &["boards"]), Some(2));
    manager.report("/heartbeat", &ours(OTHER_AGENT, 5, "10.0.0.9"));
    let ambiguous = cardcage(&manager.url, &["board", "2b1f"]);
    assert_eq!(ambiguous.status.code(), Some(2));
    assert!(text(&ambiguous.stderr).contains(OTHER_AGENT));
    let unreachable = cardcage("http://127.0.0.1:1", &["boards"]);
    assert_eq!(unreachable.status.code(), Some(1));
    assert!(text(&unreachable.stderr).contains("is it running"));
}

#[test]
fn forgetting_needs_the_token() {
    let (place, manager) = fleet();
    let refused = cardcage(&manager.url, &["forget", "node8", "--token-file", "/dev/null"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("token"), "{}", text(&refused.stderr));
    let token = place.state_dir().join("token");
    let said = shown(&manager, &["forget", "node8", "--token-file", token.to_str().unwrap()]);
    assert_eq!(said, "forgot 1-4-1-0-node8\n");
    assert_eq!(manager.boards().len(), 1);
}

#[test]
fn plugins_are_listed() {
    let (_place, manager) = fleet();
    assert!(shown(&manager, &["plugins"]).contains("hwmon   0.1.0    ab12    agent  1 ready"));
    let json: Value = serde_json::from_str(&shown(&manager, &["plugins", "--json"])).unwrap();
    assert_eq!(json["plugins"][0]["name"], "hwmon");
}

#[test]
fn a_watched_list_is_shown_again_and_again() {
    let (_place, manager) = fleet();
    let mut watch = Command::new(env!("CARGO_BIN_EXE_cardcage"))
        .args(["boards", "--watch", "200ms", "--manager", &manager.url])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let shown = lines.map(Result::unwrap).filter(|line| line.starts_with("2 boards:")).take(3).count();
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert_eq!(shown, 3);
}
