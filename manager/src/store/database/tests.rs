//! A clock that was wrong, or is.

use std::net::Ipv4Addr;

use serde_json::json;

use super::*;
use crate::fleet::{Fleet, View};
use crate::model::{State, Subject};
use crate::testing;

const ID: &str = "00000000-0000-0000-0000-000000000001";

/// In the year 2100.
const LATER: i64 = 4_102_444_800_000;

fn times(database: &Database) -> (i64, i64, i64) {
    let sql = "SELECT first_seen, last_seen, heartbeats_missed FROM board";
    database.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
}

fn save(database: &mut Database, fleet: &Fleet) {
    let changes = fleet.unsaved();
    assert!(!changes.is_empty());
    database.save(&changes, fleet.clock()).unwrap();
}

fn reopened(path: &Path) -> (Database, Fleet, View) {
    let fleet = testing::fleet();
    let (database, restored) = Database::open_or_replace(path, fleet.clock()).unwrap();
    restored.into_iter().for_each(|board| fleet.restore(board));
    let view = fleet.board(ID).unwrap();
    (database, fleet, view)
}

#[test]
fn what_was_saved_by_a_clock_that_was_ahead_is_of_unknown_age_and_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("manager.db");
    let fleet = testing::fleet();
    let (mut database, _) = Database::open_or_replace(&path, fleet.clock()).unwrap();
    testing::heartbeat(&fleet, 1, "n", &json!([]));
    testing::resource(&fleet, 1, &json!({}));
    save(&mut database, &fleet);
    let ahead = format!(
        "UPDATE board SET first_seen = {LATER}, last_seen = {LATER} + 5; UPDATE resource SET received = {LATER}"
    );
    database.connection.execute_batch(&ahead).unwrap();
    drop(database);

    let (mut database, fleet, View { board, .. }) = reopened(&path);
    assert_eq!((board.state, board.first_seen, board.last_seen), (State::Lost, None, None));
    assert!(board.resource.is_none());
    let ours = Ipv4Addr::new(10, 0, 0, 1);
    fleet.asked(Subject::Heartbeat, fleet.clock().now(), vec![ours]);
    fleet.close(Subject::Heartbeat);
    save(&mut database, &fleet);
    assert_eq!(times(&database), (LATER, LATER + 5, 1), "its counts alone");

    testing::heartbeat(&fleet, 1, "another name", &json!([]));
    save(&mut database, &fleet);
    let (first, last, _) = times(&database);
    assert!(first == LATER && last < LATER, "{first} {last}");
    drop(database);
    let (_database, _fleet, View { board, .. }) = reopened(&path);
    assert_eq!((board.state, board.first_seen, board.last_seen.is_some()), (State::Up, None, true));
}
