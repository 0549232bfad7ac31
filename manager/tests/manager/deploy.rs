//! Deployments over the API: start, stop, list, one board and several, whose are whose.

use serde_json::{Value, json};

use crate::agent::{FakeAgent, Manners, dead_port};
use crate::support::{Manager, Place, ours, wait_for};

pub const UUID: &str = "7c1d9f6a-0d0c-4b7e-9d55-0f6d1e5a0001";
pub const OTHER: &str = "7c1d9f6a-0d0c-4b7e-9d55-0f6d1e5a0002";

pub fn order(board: &str, uuid: &str) -> Value {
    json!({"boards": [board], "type": "docker", "url": "docker.io", "file": "nginx:1.29",
           "require": {"cpu": 1, "memory": 1 << 20, "gpu": 0}, "uuid": uuid})
}

/// A manager, and one board of which it knows.
pub fn one() -> (Place, Manager, FakeAgent) {
    let place = Place::new();
    let (manager, agent) = (place.start(), FakeAgent::start());
    agent.meet(&manager, 3);
    (place, manager, agent)
}

pub fn start(place: &Place, manager: &Manager, order: &Value) -> Vec<Value> {
    let answer = manager.order("/fleet/v1/deployments", &place.token(), order);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["results"].as_array().unwrap().clone()
}

pub fn stop(place: &Place, manager: &Manager, uuids: &[&str]) -> Vec<Value> {
    let answer = manager.order("/fleet/v1/stop", &place.token(), &json!({"uuids": uuids}));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["results"].as_array().unwrap().clone()
}

pub fn shown(manager: &Manager, uuid: &str) -> Value {
    manager.get(&format!("/fleet/v1/deployments/{uuid}")).json()
}

pub fn list(manager: &Manager, query: &str) -> Vec<Value> {
    let answer = manager.get(&format!("/fleet/v1/deployments{query}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["deployments"].as_array().unwrap().clone()
}

#[test]
fn what_is_started_is_listed_beside_what_is_reported_and_can_be_stopped() {
    let (place, manager, agent) = one();
    let results = start(&place, &manager, &order(&agent.id, UUID));
    let id = agent.state().instances[UUID].id.clone();
    assert_eq!(
        results,
        [
            json!({"board": agent.id, "uuid": UUID, "id": id, "result": 0, "outcome": "done", "message": "result 0"})
        ]
    );
    let sent = agent.state().deploys[0].clone();
    assert_eq!((&sent["mode"], &sent["require"]["memory"]), (&json!("start"), &json!(1 << 20)));
    assert_eq!(shown(&manager, UUID)["why"], "its board does not report");
    agent.report(&manager);
    let entry = shown(&manager, UUID);
    for (field, expected) in [
        ("desired", json!("running")),
        ("state", json!("RUNNING")),
        ("in_step", json!(true)),
        ("type", json!("docker")),
        ("file", json!("nginx:1.29")),
        ("id", id),
        ("cores", json!([1])),
        ("cpu_load", json!(7.5)),
        ("mem_used", json!(4096)),
    ] {
        assert_eq!(entry[field], expected, "{field} of {entry}");
    }
    let running = format!(
        "cardcage_board_deployments{{board=\"{}\",box=\"1\",slot=\"3\",cpu=\"1\",host=\"ours\",state=\"running\"}}",
        agent.id
    );
    assert_eq!(manager.metric(&running), Some(1.0));
    assert_eq!(manager.metric("cardcage_manager_deployments{outcome=\"known\"}"), Some(1.0));
    assert_eq!(manager.board(&agent.id)["deployments"][0]["uuid"], UUID);

    assert_eq!(stop(&place, &manager, &[UUID])[0]["outcome"], "done");
    assert_eq!(agent.state().instances[UUID].state, "STOPPED");
    agent.report(&manager);
    assert!(list(&manager, "").is_empty());
    let all = list(&manager, "?all=true");
    assert_eq!((&all[0]["desired"], &all[0]["in_step"]), (&json!("stopped"), &json!(true)));
    // Once more is the same.
    assert_eq!(stop(&place, &manager, &[UUID])[0]["outcome"], "done");
}

#[test]
fn an_order_is_taken_once_however_often_it_comes() {
    let (place, manager, agent) = one();
    let first = start(&place, &manager, &order(&agent.id, UUID));
    assert_eq!(start(&place, &manager, &order(&agent.id, UUID)), first);
    assert_eq!(agent.state().instances.len(), 1);
    let mut other = order(&agent.id, UUID);
    other["file"] = json!("nginx:1.30");
    let conflict = start(&place, &manager, &other);
    assert_eq!((&conflict[0]["outcome"], &conflict[0]["result"]), (&json!("conflict"), &json!(3)));
    assert_eq!(agent.state().deploys.len(), 2, "the board was not asked");
    assert_eq!(shown(&manager, UUID)["file"], "nginx:1.29");
}

#[test]
fn several_boards_have_a_result_each_and_a_dead_one_holds_up_nobody() {
    let place = Place::new();
    let manager = place.start();
    let agents = ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(FakeAgent::start_at);
    for (slot, agent) in (1..).zip(&agents) {
        agent.meet(&manager, slot);
    }
    let dead = "2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9aff";
    let mut heartbeat = ours(dead, 9, "127.0.0.1");
    heartbeat["service_port"] = json!(dead_port());
    manager.report("/heartbeat", &heartbeat);
    agents[1].manners(Manners::Refuses(4));
    let mut order = order("", "");
    order.as_object_mut().unwrap().remove("uuid");
    order["boards"] = json!([agents[0].id, agents[1].id, dead, "nobody", agents[2].id]);
    let results = start(&place, &manager, &order);
    let outcomes: Vec<_> = results.iter().map(|result| result["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["done", "no_room", "no_answer", "unknown_board", "done"]);
    assert_eq!(results[2]["open"], true, "the manager goes on asking: {}", results[2]);
    let uuids: std::collections::HashSet<_> =
        results.iter().map(|result| result["uuid"].as_str().unwrap()).collect();
    assert_eq!(uuids.len(), 5, "each has one of its own");
    assert_eq!(list(&manager, "").len(), 4, "what was asked of nobody is not recorded");
    // By what they have, in place of their ids.
    order["boards"] = json!([]);
    order["selector"] = json!("slot=3,state=up");
    let results = start(&place, &manager, &order);
    assert_eq!((results.len(), &results[0]["board"]), (1, &json!(agents[2].id)));
    order["selector"] = json!("slot=77");
    assert_eq!(manager.order("/fleet/v1/deployments", &place.token(), &order).status, 400);
}

#[test]
fn a_list_comes_in_pages_and_can_be_filtered() {
    let (place, manager, agent) = one();
    let second = FakeAgent::start();
    second.meet(&manager, 4);
    for number in 0..5 {
        start(&place, &manager, &order(&agent.id, &format!("u/{number}")));
        start(&place, &manager, &order(&second.id, &format!("v {number}")));
    }
    agent.report(&manager);
    let (mut uuids, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = manager.get(&format!("/fleet/v1/deployments?limit=3{after}")).json();
        uuids.extend(page["deployments"].as_array().unwrap().iter().map(|entry| entry["uuid"].clone()));
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={}", next.replace('/', "%2F").replace(' ', "%20"));
    }
    uuids.sort_by_key(ToString::to_string);
    uuids.dedup();
    assert_eq!((uuids.len(), pages), (10, 4));
    assert_eq!(list(&manager, &format!("?board={}", agent.id)).len(), 5);
    assert_eq!(list(&manager, "?state=RUNNING").len(), 5);
    assert_eq!(list(&manager, "?state=absent").len(), 5);
    assert_eq!(list(&manager, "?type=bar").len(), 0);
    assert_eq!(manager.get("/fleet/v1/deployments?state=gone").status, 400);
}

#[test]
fn what_somebody_else_started_is_shown_as_theirs_and_can_be_stopped_by_its_own_id() {
    let (place, manager, agent) = one();
    agent.runs(UUID, "bar", json!(815));
    agent.report(&manager);
    let entry = shown(&manager, UUID);
    assert_eq!((entry.get("desired"), &entry["in_step"], &entry["id"]), (None, &json!(true), &json!("815")));
    // Its process is another one since.
    agent.state().instances.get_mut(UUID).unwrap().id = json!(816);
    let deleted = manager.delete(&format!("/fleet/v1/deployments/{UUID}"), Some(&place.token()));
    assert_eq!((deleted.status, &deleted.json()["outcome"]), (200, &json!("done")));
    let sent = agent.state().deploys[0].clone();
    assert_eq!((&sent["mode"], &sent["type"], &sent["id"]), (&json!("stop"), &json!("bar"), &json!(816)));
    let unknown = manager.delete(&format!("/fleet/v1/deployments/{OTHER}"), Some(&place.token()));
    assert_eq!(unknown.status, 404);
}

#[test]
fn a_plain_agent_is_never_sent_an_id_that_nobody_knows() {
    let (place, manager, agent) = one();
    agent.state().is_plain = true;
    start(&place, &manager, &order(&agent.id, UUID));
    let id = agent.state().instances[UUID].id.clone();
    assert_eq!(stop(&place, &manager, &[UUID])[0]["outcome"], "done");
    assert_eq!(agent.state().deploys[1]["id"], id, "that of the reply");
    agent.manners(Manners::Refuses(9));
    start(&place, &manager, &order(&agent.id, OTHER));
    let before = agent.state().deploys.iter().filter(|sent| sent["mode"] == "stop").count();
    let stopped = stop(&place, &manager, &[OTHER]);
    assert_eq!(stopped[0]["outcome"], "wrong_instance", "{}", stopped[0]);
    assert_eq!(agent.state().deploys.iter().filter(|sent| sent["mode"] == "stop").count(), before);
}

#[test]
fn a_stop_does_not_wait_for_the_start_that_it_takes_back() {
    let (place, manager, agent) = one();
    agent.hold(true);
    let (sent, token) = (order(&agent.id, UUID), place.token());
    std::thread::scope(|scope| {
        let started = scope.spawn(|| manager.order("/fleet/v1/deployments", &token, &sent).json());
        wait_for("the start", || (!agent.state().deploys.is_empty()).then_some(()));
        let stopped = scope.spawn(|| stop(&place, &manager, &[UUID]));
        // The start ends though its board does not answer.
        let started = started.join().unwrap();
        assert_eq!(started["results"][0]["outcome"], "no_answer", "{started}");
        agent.hold(false);
        stopped.join().unwrap();
    });
    wait_for("the stop", || (shown(&manager, UUID)["outcome"] == "done").then_some(()));
    assert_eq!(shown(&manager, UUID)["desired"], "stopped");
}

#[test]
fn changes_and_logs_need_the_token_and_orders_must_make_sense() {
    let (place, manager, agent) = one();
    let sent = order(&agent.id, UUID);
    for (path, body) in [("/fleet/v1/deployments", &sent), ("/fleet/v1/stop", &json!({"uuids": [UUID]}))] {
        assert_eq!(manager.post(path, body.to_string().as_bytes()).status, 401);
        assert_eq!(manager.order(path, "not the token", body).status, 403);
    }
    assert_eq!(manager.delete(&format!("/fleet/v1/deployments/{UUID}"), None).status, 401);
    assert_eq!(manager.get(&format!("/fleet/v1/deployments/{UUID}/log")).status, 401);
    assert!(agent.state().deploys.is_empty());
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut sent = sent.clone();
        change(&mut sent);
        let answer = manager.order("/fleet/v1/deployments", &place.token(), &sent);
        (answer.status, answer.body)
    };
    assert_eq!(refused(&|sent| sent["boards"] = json!([])).0, 400);
    assert_eq!(refused(&|sent| sent["boards"] = json!([agent.id, "b"])).0, 400, "one uuid, two boards");
    assert_eq!(refused(&|sent| sent["colour"] = json!("red")).0, 400);
    assert_eq!(refused(&|sent| sent["options"] = json!([])).0, 400);
    let (status, body) = refused(&|sent| sent["url"] = json!(""));
    assert!(status == 200 && body.contains("\"invalid\"") && body.contains("url is empty"), "{body}");
    assert!(agent.state().deploys.is_empty() && list(&manager, "?all=true").is_empty());
}

#[test]
fn a_log_is_read_from_its_board_in_pieces() {
    let (place, manager, agent) = one();
    start(&place, &manager, &order(&agent.id, UUID));
    agent.state().instances.get_mut(UUID).unwrap().log = "one\ntwo\n".into();
    let path = format!("/fleet/v1/deployments/{UUID}/log");
    let piece = |query: &str| manager.get_with(&format!("{path}?{query}"), &place.token()).json();
    assert_eq!(piece("limit=4"), json!({"text": "one\n", "next": "4"}));
    assert_eq!(piece("after=4"), json!({"text": "two\n", "next": "8"}));
    assert_eq!(piece("tail=2")["text"], "o\n");
    agent.state().instances.clear();
    assert_eq!(manager.get_with(&path, &place.token()).json()["title"], "no such log");
    assert_eq!(manager.get_with("/fleet/v1/deployments/none/log", &place.token()).status, 404);
}
