//! Boards that are not here, replayed from a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cardcage_tests::{Agent, Listener, World, until};
use expect_test::{ExpectFile, expect_file};
use serde_json::Value;

pub(crate) const PHYTIUM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/boards/phytium-d2000");
pub(crate) const PROBES: [&str; 7] = ["cpu", "disk", "gpu", "hwmon", "identity", "memory", "network"];

/// A copy of a board that a test may damage.
pub(crate) fn copy(world: &World, board: &str) -> PathBuf {
    let copy = world.folder().join("board");
    let done = Command::new("cp").args(["-a", board]).arg(&copy).status().unwrap();
    assert!(done.success());
    copy
}

/// Waits until every probe that does so often was asked for as many more samples, whether it had one or not.
#[track_caller]
pub(crate) fn until_sampled(agent: &Agent, more: u64) {
    let asked = |probe| {
        let plugin = agent.plugin(probe);
        plugin.samples + plugin.failures
    };
    let often = ["cpu", "gpu", "hwmon", "memory", "network"];
    let wanted = often.map(|probe| asked(probe) + more);
    for (probe, wanted) in often.into_iter().zip(wanted) {
        until(&format!("{probe} was asked"), || (asked(probe) >= wanted).then_some(()));
    }
}

/// Without what differs each time: ages, identities, digests.
fn settled(mut report: Value) -> Value {
    match &mut report {
        Value::Object(fields) => {
            for unsettled in ["age_ms", "agent_id", "query_id", "host_ip", "service_port", "digest"] {
                fields.remove(unsettled);
            }
            for value in fields.values_mut() {
                *value = settled(value.take());
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = settled(item.take());
            }
        }
        _ => {}
    }
    report
}

#[track_caller]
fn check(manager: &Listener, url: &str, expected: &ExpectFile) {
    let report = settled(manager.answer(url).body);
    expected.assert_eq(&(serde_json::to_string_pretty(&report).unwrap() + "\n"));
}

#[test]
fn an_arm_board_is_reported_as_it_was_recorded() {
    let world = World::new();
    let agent = world.agent().replaying(Path::new(PHYTIUM)).start();
    let manager = world.listener();
    for plugin in PROBES.into_iter().chain(["deploy-bar", "deploy-docker"]) {
        agent.until_plugin(plugin, "ready");
    }
    // The power that a counter of energy tells is a difference.
    until_sampled(&agent, 1);
    check(
        &manager,
        "/heartbeat",
        &expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/boards/phytium-d2000/heartbeat.json")],
    );
    check(
        &manager,
        "/resource",
        &expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/boards/phytium-d2000/resource.json")],
    );
    let faults: Vec<_> = agent.plugins().into_iter().flat_map(|plugin| plugin.faults).collect();
    assert_eq!(faults, [] as [String; 0]);
}

#[test]
fn usage_is_the_share_of_the_time_since_the_last_sample() {
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    let agent = world.agent().replaying(&board).start();
    let manager = world.listener();
    until_sampled(&agent, 1);
    // 300 more ticks in user mode, 100 more idle.
    let stat = fs::read_to_string(board.join("proc/stat")).unwrap();
    let later = stat.replace("cpu  1000 50 400 8000", "cpu  1300 50 400 8100");
    assert_ne!(stat, later);
    fs::write(board.join("proc/stat.new"), later).unwrap();
    fs::rename(board.join("proc/stat.new"), board.join("proc/stat")).unwrap();
    until("usage is 75 %", || {
        (manager.answer("/resource").readings()["cpu"]["usage_percent"] == 75.0).then_some(())
    });
}
