//! Backends that reach for what they were not granted: each is refused by name, with what would grant it.

use cardcage_tests::{Repository, Shelf};
use serde_json::json;

use super::yard::Yard;

/// Every attempt without a deployment.
const DENIED: &str = "fetch: denied; is-registry: denied; pull: denied; create: denied; find container: denied; \
                      find program: denied; get: denied; set: denied; remove: denied";

#[test]
fn acts_without_deployment() {
    let Some(yard) = Yard::besieged("acts without a deployment", "acts-without-deployment") else { return };
    yard.order("victim", "acts-without-deployment").refused(1, &[DENIED]);
    // In a survey it can only say so itself.
    let line = yard.until_said("plugin says plugin=hostile-backend");
    assert!(line.ends_with(DENIED), "{line}");
    assert_eq!(yard.board.repository.asked("run.tar"), 1, "for the neighbour");
    yard.nothing_is_left("victim");
    yard.others_are_well();
}

#[test]
fn uses_what_it_removed() {
    let Some(yard) = Yard::besieged("uses what it removed", "behaves") else { return };
    yard.order("victim", "uses-what-it-removed").refused(7, &["gone; info: absent: ", "start: absent: "]);
    yard.nothing_is_left("victim");
    yard.others_are_well();
}

#[test]
fn asks_for_the_board() {
    let Some(yard) = Yard::besieged("asks for the board", "behaves") else { return };
    let link = yard.board.world.folder().join("granted/link");
    let order = yard.hostile("victim", "asks-for-the-board").option("link", json!(link));
    let reply = yard.board.agent.order(&order);
    let table = "grant it with [plugins.grants.hostile-backend.containers]";
    let refusals = [
        format!("host network: denied: the network host is not granted; {table} networks = [\"host\"]"),
        format!("a stranger's network: denied: the network container:0123 is not granted; {table}"),
        format!("root: denied: the mount of / is not granted; {table} mounts = [\"/\"]"),
        format!("etc: denied: the mount of /etc is not granted; {table} mounts = [\"/etc\"]"),
        "climb: invalid: \"/srv/../etc\" is no plain path".to_owned(),
        format!("link: denied: the mount of {} is not granted", link.display()),
        "port: denied: port 1023 of the board is not granted".to_owned(),
    ];
    let words: Vec<&str> = refusals.iter().map(String::as_str).collect();
    reply.refused(7, &words);
    yard.nothing_is_left("victim");
    yard.others_are_well();
}

#[test]
fn runs_as_root() {
    let Some(yard) = Yard::besieged("runs as root", "behaves") else { return };
    let table = "[plugins.grants.hostile-backend.processes] users";
    let root = format!("root: denied: the user root is not granted; grant it with {table} = [\"root\"]");
    let zero = "0: denied: the user 0 is not granted";
    let nobody_named = "nobody named: denied: ";
    let reply = yard.order("victim", "runs-as-root").refused(7, &[&root, zero, nobody_named]);
    assert!(!reply.message.contains("there is a program"), "{reply:?}");
    yard.nothing_is_left("victim");
    yard.others_are_well();
}

#[test]
fn fetches_elsewhere() {
    let Some(yard) = Yard::besieged("fetches elsewhere", "behaves") else { return };
    let other = Repository::open(yard.board.world.address(201));
    other.put("run.tar", *b"what is not granted");
    let there = format!("{}/run.tar", other.url());
    yard.board.repository.shelve("redirect", Shelf::Redirect(there.clone()));
    let redirect = format!("{}/redirect", yard.board.repository.url());
    let addresses = [&there, &redirect, "file:///etc/passwd"];
    let order = yard.hostile("victim", "fetches-elsewhere").option("elsewhere", json!(addresses));
    let host = other.url().replace("http://", "");
    let grant = format!(
        "{host} is not granted; grant it with [plugins.grants.hostile-backend] artifacts = [{host:?}]"
    );
    let reply = yard.board.agent.order(&order).refused(
        7,
        &[
            &format!("{there}: denied: "),
            &format!("{redirect}: denied: "),
            &grant,
            "file:///etc/passwd: invalid: ",
        ],
    );
    assert_eq!(reply.message.matches(&grant).count(), 2, "{reply:?}");
    assert_eq!(other.asked("run.tar"), 0);
    yard.nothing_is_left("victim");
    yard.others_are_well();
}
