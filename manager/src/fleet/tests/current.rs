//! Readings that say something about now, and those that do not.

use super::*;
use crate::fleet::{Board, Received};

const EVERY: Duration = Duration::from_secs(10);

fn board(world: &World) -> Board {
    world.inventory.view("1-3-0-0-node7").unwrap().board
}

fn is_current(world: &World) -> bool {
    board(world).current(world.at(), EVERY).is_some()
}

/// A query for readings goes out; the board answers those for heartbeats.
fn ask(world: &mut World) {
    world.query(&[OURS]);
    world.heartbeat(&plain(3, "node7", [10, 0, 0, 7]));
    world.inventory.close(Subject::Resource, world.at());
    world.inventory.asked(Subject::Resource, world.at(), vec![OURS]);
}

fn restored(received: i64, seen: Option<i64>) -> World {
    let mut world = World::new();
    let at = Moment::from_millis(-received);
    let resource = Received { body: Arc::clone(&BODY), at, summary: Summary::default() };
    let restored = Restored {
        heartbeat: (plain(3, "node7", [10, 0, 0, 7]), 100),
        resource: Some(resource),
        first_seen: seen.map(|seen| Moment::from_millis(-1_000_000 - seen)),
        last_seen: seen.map(|seen| Moment::from_millis(-seen)),
        missed: [(0, 0), (0, 0)],
    };
    world.inventory.restore(restored, world.at());
    world
}

#[test]
fn readings_that_no_longer_come_say_nothing_about_now() {
    let mut world = World::new();
    ask(&mut world);
    world.resource(readings([10, 0, 0, 7], None));
    let mut current = Vec::new();
    for _ in 0..5 {
        ask(&mut world);
        current.push(is_current(&world));
    }
    // The first of these ends the round that was answered.
    assert_eq!(current, [true, true, true, false, false]);
    let board = board(&world);
    assert_eq!((board.state, board.resource.is_some()), (State::Up, true), "they are not forgotten");
    world.resource(readings([10, 0, 0, 7], None));
    assert!(is_current(&world));
}

#[test]
fn readings_that_nobody_could_ask_for_grow_old_as_well() {
    let mut world = World::new();
    world.heartbeat(&plain(3, "node7", [10, 0, 0, 7]));
    world.resource(readings([10, 0, 0, 7], None));
    world.now += 40_000;
    assert!(is_current(&world));
    world.now += 1;
    assert!(!is_current(&world));
}

#[test]
fn restored_readings_are_current_only_if_the_manager_was_away_for_a_moment() {
    assert!(is_current(&restored(8_000, Some(8_000))));
    assert!(!is_current(&restored(41_000, Some(1_000))));
    assert!(!is_current(&restored(8_000, Some(25_000))), "the board is presumed lost");
}

#[test]
fn a_board_of_which_nobody_knows_when_it_was_heard_is_lost_until_it_is() {
    let mut world = restored(8_000, None);
    let node = plain(3, "node7", [10, 0, 0, 7]);
    assert_eq!((world.state(&node), is_current(&world)), (State::Lost, false));
    world.query(&[]);
    assert_eq!((world.state(&node), board(&world).last_seen), (State::Lost, None));
    world.heartbeat(&node);
    let seen = board(&world);
    assert_eq!((seen.state, seen.first_seen, seen.last_seen), (State::Up, None, Some(world.at())));
}

#[test]
fn nobody_was_last_heard_before_the_first_time() {
    let mut world = World::new();
    let restored = Restored {
        heartbeat: (plain(3, "node7", [10, 0, 0, 7]), 100),
        resource: None,
        first_seen: Some(Moment::from_millis(-1_000)),
        last_seen: Some(Moment::from_millis(-2_000)),
        missed: [(0, 0), (0, 0)],
    };
    world.inventory.restore(restored, world.at());
    let board = board(&world);
    assert_eq!(
        (board.first_seen, board.last_seen),
        (Some(Moment::from_millis(-1_000)), Some(Moment::from_millis(-1_000)))
    );
}
