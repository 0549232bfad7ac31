//! Backends that compute without end, take all memory, trap, or never come back: each call is ended, and its deployment
//! with it.

use std::thread;

use serde_json::json;

use super::yard::{Yard, program};

const BREATHLESS: &str = "the backend computed for 2s without a pause";
const TRAPPED: &str = "the backend trapped: wasm trap: wasm `unreachable` instruction executed";
/// The most memory that the agent ever had: that of all instances of one backend, and what it needs itself.
const PEAK_KIB: u64 = (256 + 192) << 10;

/// A start in this mode fails for this reason, and leaves nothing.
#[track_caller]
fn check_start(mode: &str, reason: &str) {
    let Some(yard) = Yard::besieged(mode, "behaves") else { return };
    yard.order("victim", mode).refused(7, &[reason]);
    yard.until_failed("victim", reason);
    yard.nothing_is_left("victim");
    yard.others_are_well();
    // The next order is not held against it.
    let order = yard.hostile("victim", "behaves");
    let id = yard.board.agent.order(&order).done().id;
    yard.board.agent.deploy(&order.stop(&id)).done();
    yard.nothing_is_left("victim");
}

#[test]
fn spins_in_start() {
    check_start("spins-in-start", BREATHLESS);
}

#[test]
fn traps_in_start() {
    check_start("traps-in-start", TRAPPED);
}

#[test]
fn allocates_in_start() {
    check_start("allocates-in-start", "trapped after it was refused more than 64 MiB of memory");
}

#[test]
fn endless_text() {
    check_start("endless-text", "trapped: too much data is being copied between the host and the guest");
}

#[test]
fn spins_in_check() {
    let Some(yard) = Yard::besieged("spins in check", "behaves") else { return };
    yard.order("victim", "spins-in-check").refused(7, &[BREATHLESS]);
    // Nothing was admitted or written down.
    assert_eq!(yard.board.agent.deployment("victim"), None);
    yard.others_are_well();
}

#[test]
fn traps_in_configure() {
    let Some(yard) = Yard::besieged("traps in configure", "traps-in-configure") else { return };
    yard.order("victim", "behaves").refused(7, &[TRAPPED]);
    assert_eq!(yard.board.agent.deployment("victim"), None);
    yard.others_are_well();
}

/// What cannot be stopped goes on to run, and is said to.
#[test]
fn spins_in_stop() {
    let Some(yard) = Yard::besieged("spins in stop", "behaves") else { return };
    let order = yard.hostile("victim", "spins-in-stop");
    let id = yard.board.agent.order(&order).done().id;
    let victim = program(&yard.board, "victim");
    yard.board.agent.deploy(&order.stop(&id)).refused(7, &[BREATHLESS]);
    yard.others_are_well();
    assert!(victim.lives());
    let now = yard.board.agent.deployment("victim").unwrap();
    assert!(now["state"] != "STOPPED" && now["cores"] == json!([0]), "{now}");
}

/// Of what it has, nothing is known; that is not taken for an end.
#[track_caller]
fn check_survey(mode: &str, reason: &str) {
    let Some(yard) = Yard::besieged(mode, mode) else { return };
    let order = yard.hostile("victim", "behaves");
    let id = yard.board.agent.order(&order).done().id;
    let victim = program(&yard.board, "victim");
    let unknown = yard.board.agent.until_deployment("victim", "unknown", |one| one["unknown"] == true);
    assert_eq!(unknown["state"], "RUNNING");
    let line = yard.until_said("nothing is known of its deployments now");
    assert!(line.contains(reason), "{line}");
    yard.others_are_well();
    assert!(victim.lives());
    yard.board.agent.deploy(&order.stop(&id)).done();
    yard.nothing_is_left("victim");
}

#[test]
fn spins_in_survey() {
    check_survey("spins-in-survey", BREATHLESS);
}

#[test]
fn traps_in_survey() {
    check_survey("traps-in-survey", TRAPPED);
}

#[test]
fn five_thousand_instances() {
    check_survey("five-thousand-instances", "5000 instances, of which 4096 are taken");
}

#[test]
fn loops_in_host_calls() {
    let Some(yard) = Yard::besieged("loops in host calls", "behaves") else { return };
    let (agent, order) = (&yard.board.agent, yard.hostile("victim", "loops-in-host-calls"));
    thread::scope(|scope| {
        let reply = scope.spawn(|| agent.order(&order));
        yard.board.agent.until_deployment("victim", "under way", |one| one["state"] == "PENDING");
        yard.others_are_well();
        reply.join().unwrap().refused(7, &["the backend called more than 4096 times"]);
    });
    yard.until_failed("victim", "called more than 4096 times");
    yard.nothing_is_left("victim");
    yard.others_are_well();
}

/// It waits in the agent, which costs nothing; whoever wants it no longer is not kept waiting.
#[test]
fn sleeps_in_start() {
    let Some(yard) = Yard::besieged("sleeps in start", "behaves") else { return };
    let (agent, order) = (&yard.board.agent, yard.hostile("victim", "sleeps-in-start"));
    thread::scope(|scope| {
        let reply = scope.spawn(|| agent.order(&order));
        yard.board.agent.until_deployment("victim", "under way", |one| one["state"] == "PENDING");
        yard.others_are_well();
        yard.board.agent.deploy(&order.stop(&json!("victim"))).done();
        reply.join().unwrap().refused(3, &["it was stopped while it was being started"]);
    });
    yard.board.agent.until_state("victim", "STOPPED");
    yard.nothing_is_left("victim");
}

#[test]
fn many_that_allocate_do_not_have_the_board() {
    let Some(yard) = Yard::besieged("many that allocate", "behaves") else { return };
    let agent = &yard.board.agent;
    let uuids: Vec<_> = (0..12).map(|number| format!("victim-{number}")).collect();
    thread::scope(|scope| {
        let order = |uuid: &String| yard.hostile(uuid, "allocates-in-start").require(1, 8);
        let orders = uuids.iter().map(order);
        let replies: Vec<_> = orders.map(|order| scope.spawn(move || agent.order(&order))).collect();
        for reply in replies {
            reply.join().unwrap().refused(7, &["trapped after it was refused more than 64 MiB of memory"]);
        }
    });
    let peak = yard.board.agent.process.peak_memory_kib();
    assert!(peak < PEAK_KIB, "the agent had {peak} KiB");
    uuids.iter().for_each(|uuid| yard.nothing_is_left(uuid));
    yard.others_are_well();
}
