//! Boards that are invented, and claims on real ones: heartbeats are not authenticated, so anybody can send them.

use serde_json::{Value, json};

use crate::agent::{FakeAgent, Manners};
use crate::deploy::{OTHER, UUID, one, order, shown, start, stop};
use crate::support::{AGENT, Manager, Place, wait_for};

/// Somebody says that they are a board at the agent's own address and port.
fn claim_address(manager: &Manager, agent: &FakeAgent) {
    manager.report("/heartbeat", &agent.heartbeat(AGENT, 9));
}

/// Somebody answers a query as the agent does, from another address.
fn claim_identity(manager: &Manager, agent: &FakeAgent, forger: &FakeAgent) {
    for by in [agent, forger] {
        let mut answer = by.heartbeat(&agent.id, 3);
        answer["cardcage"]["query_id"] = json!("q1");
        manager.report("/heartbeat", &answer);
    }
}

fn stopped(place: &Place, manager: &Manager, agent: &FakeAgent) {
    let result = stop(place, manager, &[UUID]).remove(0);
    assert_eq!(result["outcome"], "done", "{result}");
    assert_eq!(agent.state().instances[UUID].state, "STOPPED");
}

#[test]
fn a_claim_on_its_address_keeps_no_stop_from_a_board() {
    let (place, manager, agent) = one();
    start(&place, &manager, &order(&agent.id, UUID));
    claim_address(&manager, &agent);
    let new = start(&place, &manager, &order(&agent.id, OTHER)).remove(0);
    assert_eq!(new["outcome"], "unknown_board", "nothing new goes there: {new}");
    stopped(&place, &manager, &agent);
}

#[test]
fn a_claim_on_its_identity_keeps_no_stop_from_a_board_and_brings_none_to_the_forger() {
    let (place, manager, agent) = one();
    let forger = FakeAgent::start_at("127.0.0.2");
    start(&place, &manager, &order(&agent.id, UUID));
    claim_identity(&manager, &agent, &forger);
    let new = start(&place, &manager, &order(&agent.id, OTHER)).remove(0);
    assert!(new["message"].as_str().unwrap().contains("several agents say"), "{new}");
    stopped(&place, &manager, &agent);
    assert!(forger.state().deploys.is_empty());
}

#[test]
fn a_claim_that_contradicts_nobody_yet_brings_no_stop_to_the_forger() {
    let (place, manager, agent) = one();
    let forger = FakeAgent::start_at("127.0.0.2");
    start(&place, &manager, &order(&agent.id, UUID));
    manager.report("/heartbeat", &forger.heartbeat(&agent.id, 3));
    stopped(&place, &manager, &agent);
    assert!(forger.state().deploys.is_empty());
}

#[test]
fn a_board_that_has_moved_is_stopped_where_it_is_now() {
    let (place, manager, agent) = one();
    start(&place, &manager, &order(&agent.id, UUID));
    let moved = FakeAgent::start_at("127.0.0.2");
    let instances = std::mem::take(&mut agent.state().instances);
    moved.state().instances = instances;
    manager.report("/heartbeat", &moved.heartbeat(&agent.id, 3));
    stopped(&place, &manager, &moved);
}

#[test]
fn where_the_agent_answered_is_known_after_a_restart() {
    let (place, manager, agent) = one();
    let forger = FakeAgent::start_at("127.0.0.2");
    start(&place, &manager, &order(&agent.id, UUID));
    manager.wait_until_saved();
    manager.kill();
    let manager = place.start();
    claim_identity(&manager, &agent, &forger);
    stopped(&place, &manager, &agent);
    assert!(forger.state().deploys.is_empty());
}

#[test]
fn a_start_whose_reply_was_lost_is_asked_for_again_where_it_is() {
    let (place, manager, agent) = one();
    let forger = FakeAgent::start_at("127.0.0.2");
    agent.manners(Manners::LosesReplies);
    assert_eq!(start(&place, &manager, &order(&agent.id, UUID))[0]["open"], true);
    claim_identity(&manager, &agent, &forger);
    agent.manners(Manners::Good);
    wait_for("the answer", || (shown(&manager, UUID)["outcome"] == "done").then_some(()));
    assert!(forger.state().deploys.is_empty() && agent.state().most_for_one == 1);
}

#[test]
fn that_it_is_gone_counts_in_doubt_only_where_the_board_is_heard() {
    let (place, manager, agent) = one();
    start(&place, &manager, &order(&agent.id, UUID));
    agent.state().instances.clear();
    let path = format!("/fleet/v1/boards/{}", agent.id);
    assert_eq!(manager.delete(&path, Some(&place.token())).status, 204);
    let unheard = stop(&place, &manager, &[UUID]).remove(0);
    assert_eq!((&unheard["outcome"], &unheard["open"]), (&json!("unknown_board"), &json!(true)), "{unheard}");
    assert!(unheard["message"].as_str().unwrap().contains("not to be found at 127.0.0.1"), "{unheard}");
    agent.meet(&manager, 3);
    claim_address(&manager, &agent);
    wait_for("the stop", || (shown(&manager, UUID)["outcome"] == "done").then_some(()));
}

#[test]
fn a_selector_takes_no_board_that_was_invented_just_now_and_says_so() {
    let place = Place::new();
    let manager = place.start_with("heartbeat_every = \"1s\"\nresource_every = \"1h\"");
    let agent = FakeAgent::start();
    let mut sent = order("", "");
    let fields = sent.as_object_mut().unwrap();
    fields.remove("uuid");
    fields.remove("boards");
    sent["selector"] = json!("box=1");
    let send = || {
        agent.meet(&manager, 3);
        manager.order("/fleet/v1/deployments", &place.token(), &sent)
    };
    let new = send();
    assert_eq!(new.status, 400, "{}", new.body);
    assert!(new.body.contains("known for no longer than 2s"), "{}", new.body);
    wait_for("it to be known", || (send().status == 200).then_some(()));
    assert_eq!(agent.state().deploys.len(), 1);
    let forger = FakeAgent::start_at("127.0.0.2");
    forger.meet(&manager, 4);
    let answer = send().json();
    let boards: Vec<&Value> =
        answer["results"].as_array().unwrap().iter().map(|result| &result["board"]).collect();
    assert_eq!(boards, [&json!(agent.id)], "{answer}");
    assert_eq!(answer["left_out"][0]["board"], forger.id.as_str(), "{answer}");
    assert!(forger.state().deploys.is_empty());
}
