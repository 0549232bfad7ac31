//! Backends that say what is not so: of their own deployments, and of others'.

use cardcage_tests::{Engine, SERVE, busybox_is_static, image};
use serde_json::json;

use super::yard::{Yard, program};

#[test]
fn behaves() {
    let Some(yard) = Yard::besieged("behaves", "behaves") else { return };
    let order = yard.hostile("victim", "behaves");
    let id = yard.board.agent.order(&order).done().id;
    yard.board.agent.until_state("victim", "RUNNING");
    program(&yard.board, "victim");
    yard.board.agent.deploy(&order.stop(&id)).done();
    yard.nothing_is_left("victim");
    yard.others_are_well();
}

#[test]
fn long_texts_are_cut_and_stay_on_their_line() {
    let Some(yard) = Yard::besieged("long texts", "behaves") else { return };
    yard.order("victim", "long-texts").done();
    let listed = yard.board.agent.until_state("victim", "RUNNING");
    let name = listed["name"].as_str().unwrap();
    assert!(name.contains("forged") && name.len() <= 256 && !name.contains(char::is_control), "{name:?}");
    let log = yard.board.agent.process.log();
    assert!(!log.lines().any(|line| line.starts_with("ERROR")), "a forged line");
    yard.others_are_well();
}

#[test]
fn not_finite_numbers_are_left_out() {
    let Some(yard) = Yard::besieged("not finite", "not-finite") else { return };
    yard.order("victim", "behaves").done();
    let measured =
        yard.board.agent.until_deployment("victim", "measured", |one| one["memory_used"] == json!(u64::MAX));
    assert_eq!(measured["cpu_load"], json!(null));
    assert_eq!(yard.board.reported("victim")["resource"]["cpu"]["load"], json!(0.0));
    yard.others_are_well();
}

#[test]
fn answers_about_another() {
    let Some(yard) = Yard::besieged("answers about another", "behaves") else { return };
    yard.order("victim", "answers-about-another")
        .refused(7, &["the backend answered about another instance"]);
    yard.until_failed("victim", "answered about another instance");
    yard.nothing_is_left("victim");
    yard.others_are_well();
}

#[test]
fn claims_anothers() {
    let Some(yard) = Yard::besieged("claims another's", "claims-anothers") else { return };
    let line = yard.until_said("found without a record");
    assert!(line.contains("kind=\"hostile\"") && line.contains("uuid=\"neighbour\""), "{line}");
    yard.others_are_well();
    let neighbour = yard.board.agent.until_state("neighbour", "RUNNING");
    assert_eq!(neighbour["type"], "oneshot");
}

/// There is a survey every other second: what each of them finds again is said once.
#[test]
fn invents_instances() {
    const SENTENCE: &str = "found without a record";
    let Some(yard) = Yard::besieged("invents instances", "invents-instances") else { return };
    let line = yard.until_said(SENTENCE);
    assert!(line.contains("instances=500") && line.contains("uuid=\"invented-0000\""), "{line}");
    for _ in 0..3 {
        // Each is known only once it was surveyed.
        let order = yard.hostile("victim", "behaves");
        let id = yard.board.agent.order(&order).done().id;
        yard.board.agent.until_state("victim", "RUNNING");
        yard.board.agent.deploy(&order.stop(&id)).done();
    }
    let log = yard.board.agent.process.log();
    assert_eq!(log.matches(SENTENCE).count(), 1);
    let known: Vec<_> = yard.board.agent.deployments().iter().map(|one| one["uuid"].clone()).collect();
    assert_eq!(known, ["neighbour", "victim"]);
    yard.nothing_is_left("victim");
    yard.others_are_well();
}

#[test]
fn leaves_it_behind() {
    let Some(yard) = Yard::besieged("leaves it behind", "behaves") else { return };
    let order = yard.hostile("victim", "leaves-it-behind");
    let id = yard.board.agent.order(&order).done().id;
    let victim = program(&yard.board, "victim");
    yard.board.agent.deploy(&order.stop(&id)).done();
    assert!(!victim.lives());
    yard.nothing_is_left("victim");
    let line = yard.until_said("said to be stopped, and was there; the agent removed it");
    assert!(line.contains("plugin=hostile-backend") && line.contains("uuid=\"victim\""), "{line}");
    yard.others_are_well();
}

#[test]
fn makes_it_again() {
    const TEST: &str = "makes a container again";
    if !busybox_is_static(TEST) {
        return;
    }
    let Some(engine) = Engine::of_this_machine(TEST) else { return };
    let Some(mut yard) = Yard::besieged(TEST, "makes-it-again") else { return };
    let id = yard.board.agent.id();
    yard.board.repository.put("image.tar", image("cardcage-tests:serve", &["sh", "-c", SERVE]));
    yard.board.engine = Some(engine.clone());
    let order = yard.hostile("victim", "makes-it-again");
    let container = yard.board.agent.order(&order).done().id;
    assert_eq!(engine.inspect(container.as_str().unwrap())["State"]["Running"], json!(true));
    yard.board.agent.deploy(&order.stop(&container)).done();
    assert_eq!(engine.containers_for(&id, "victim"), [] as [serde_json::Value; 0]);
    yard.until_said("said to be stopped, and was there; the agent removed it");
    yard.nothing_is_left("victim");
    yard.others_are_well();
}

#[test]
fn fills_state() {
    let Some(yard) = Yard::besieged("fills state", "behaves") else { return };
    let told = "a long value: too-large; a long key: too-large; 64 keys: done; one more: too-large; \
                as much as fits: done; a byte more: too-large";
    yard.order("victim", "fills-state").refused(7, &[told]);
    yard.others_are_well();
}

/// The longest record there can be is read again.
#[test]
fn writes_control_characters() {
    let Some(mut yard) = Yard::besieged("writes control characters", "behaves") else { return };
    let order = yard.hostile("victim", "writes-control-characters").option("padding", "\"".repeat(32_000));
    let id = yard.board.agent.order(&order).done().id;
    yard.board.agent.kill();
    yard.board.agent.start_again();
    let listed = yard.board.agent.until_state("victim", "RUNNING");
    assert_eq!(listed["id"], id);
    let records = std::fs::read_dir(yard.board.agent.folder().join("state/deployments")).unwrap();
    let names: Vec<_> = records.map(|record| record.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.len() == 2 && names.iter().all(|name| name.ends_with(".record")), "{names:?}");
    yard.others_are_well();
}
