//! The inventory survives: a restart, a kill, a damaged file.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::{AGENT, Manager, Place, manager_command, ours, plain, readings, wait_for};

fn fill(manager: &Manager) {
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    manager.report("/resource", &readings(AGENT, "10.0.0.7"));
    manager.report("/heartbeat", &plain(4, "node8", "10.0.0.8"));
}

/// What must not change: who they are and what they said. The times are another check's.
fn essence(manager: &Manager) -> Vec<Value> {
    let mut boards: Vec<_> = ["1-4-1-0-node8", AGENT].iter().map(|id| manager.board(id)).collect();
    for board in &mut boards {
        for field in ["first_seen", "last_seen", "last_seen_age_ms"] {
            board[field] = Value::Null;
        }
        board["summary"]["age_ms"] = Value::Null;
    }
    boards
}

fn first_seen(manager: &Manager) -> SystemTime {
    humantime::parse_rfc3339(manager.board(AGENT)["first_seen"].as_str().unwrap()).unwrap()
}

#[test]
fn a_restart_keeps_the_inventory() {
    let place = Place::new();
    let manager = place.start();
    fill(&manager);
    let (before, seen) = (essence(&manager), first_seen(&manager));
    manager.stop();
    let manager = place.start();
    assert_eq!(essence(&manager), before);
    let shift = first_seen(&manager).duration_since(seen).unwrap_or_else(|error| error.duration());
    assert!(shift < Duration::from_millis(100), "first seen {shift:?} apart");
    let resource = manager.get(&format!("/fleet/v1/boards/{AGENT}/resource")).json();
    assert_eq!(resource["sensors"].as_array().unwrap().len(), 8);
    assert!(resource["cpu"]["age_ms"].as_u64().unwrap() > 40, "a reading keeps its age");
}

#[test]
fn a_kill_keeps_what_was_saved() {
    let place = Place::new();
    let manager = place.start();
    fill(&manager);
    manager.wait_until_saved();
    let before = essence(&manager);
    manager.kill();
    let manager = place.start();
    assert_eq!(essence(&manager), before);
}

#[test]
fn a_forgotten_board_stays_forgotten() {
    let place = Place::new();
    let manager = place.start();
    fill(&manager);
    manager.wait_until_saved();
    assert_eq!(manager.delete("/fleet/v1/boards/1-4-1-0-node8", Some(&place.token())).status, 204);
    manager.stop();
    let manager = place.start();
    assert_eq!(manager.boards().len(), 1);
    // One of an earlier run, not heard since.
    assert_eq!(manager.delete(&format!("/fleet/v1/boards/{AGENT}"), Some(&place.token())).status, 204);
    manager.stop();
    assert!(place.start().boards().is_empty());
}

#[test]
fn a_store_that_failed_for_a_while_has_everything_in_the_end() {
    let place = Place::new();
    let manager = place.start();
    fill(&manager);
    manager.wait_until_saved();
    let database = rusqlite::Connection::open(place.state_dir().join("manager.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    let failing = ["INSERT", "UPDATE", "DELETE"].map(|what| {
        format!("CREATE TRIGGER no_{what} BEFORE {what} ON board BEGIN SELECT RAISE(ABORT, 'no'); END;")
    });
    database.execute_batch(&failing.concat()).unwrap();
    let failed = || manager.metric("cardcage_manager_store_batches_total{outcome=\"failed\"}");
    let forget = |id: &str| {
        assert_eq!(manager.delete(&format!("/fleet/v1/boards/{id}"), Some(&place.token())).status, 204);
        let before = failed();
        wait_for("a batch to fail", || (failed() > before).then_some(()));
    };
    // One of them stays, the other is gone before it was ever saved.
    manager.report("/heartbeat", &plain(5, "node9", "10.0.0.9"));
    manager.report("/heartbeat", &plain(6, "node10", "10.0.0.10"));
    forget("1-4-1-0-node8");
    forget("1-6-1-0-node10");
    let working = ["INSERT", "UPDATE", "DELETE"].map(|what| format!("DROP TRIGGER no_{what};"));
    database.execute_batch(&working.concat()).unwrap();
    wait_for("a batch to be written", || {
        manager.log().contains("the inventory is saved again").then_some(())
    });
    manager.kill();
    let boards = place.start().boards();
    let ids: Vec<_> = boards.iter().map(|board| board["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1-5-1-0-node9", AGENT]);
}

#[test]
fn a_damaged_database_is_set_aside_and_the_manager_starts() {
    let place = Place::new();
    let manager = place.start();
    fill(&manager);
    manager.stop();
    fs::write(
        place.state_dir().join("manager.db"),
        "this is no database, but it is long enough to be one".repeat(99),
    )
    .unwrap();
    let manager = place.start();
    assert!(manager.boards().is_empty());
    assert!(manager.log().contains("set aside"), "{}", manager.log());
    let aside = || fs::read_dir(place.state_dir()).unwrap().flatten().map(|entry| entry.file_name());
    assert!(aside().any(|name| name.to_string_lossy().starts_with("manager.db.damaged-")));
    fill(&manager);
    manager.stop();
    assert_eq!(place.start().boards().len(), 2, "the new database works");
}

#[test]
fn two_managers_do_not_share_a_state_directory() {
    let place = Place::new();
    let _manager = place.start();
    let second = manager_command(&place.configure("")).stdout(Stdio::null()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("is taken by a process that runs"));
}
