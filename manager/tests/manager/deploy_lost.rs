//! What is lost on the way is asked for again: replies, boards, the manager itself. What was refused is not.

use serde_json::json;

use crate::agent::{FakeAgent, Manners};
use crate::deploy::{OTHER, UUID, list, one, order, shown, start, stop};
use crate::support::{Place, wait_for};

#[test]
fn a_lost_reply_is_asked_for_again_and_nothing_starts_twice() {
    let (place, manager, agent) = one();
    agent.manners(Manners::LosesReplies);
    let lost = start(&place, &manager, &order(&agent.id, UUID));
    assert_eq!((&lost[0]["outcome"], &lost[0]["open"]), (&json!("no_answer"), &json!(true)));
    let entry = shown(&manager, UUID);
    assert_eq!(
        (&entry["desired"], &entry["open"], &entry["in_step"]),
        (&json!("running"), &json!(true), &json!(false))
    );
    agent.manners(Manners::Good);
    wait_for("the answer", || (shown(&manager, UUID)["outcome"] == "done").then_some(()));
    let state = agent.state();
    assert_eq!((state.instances.len(), state.most_for_one), (1, 1));
    assert_eq!(state.deploys[0], state.deploys[1], "the same order, letter by letter");
    drop(state);
    assert_eq!(shown(&manager, UUID)["id"], agent.state().instances[UUID].id);
}

#[test]
fn a_lost_stop_is_asked_for_again_until_it_is_confirmed() {
    let (place, manager, agent) = one();
    start(&place, &manager, &order(&agent.id, UUID));
    agent.manners(Manners::Says("503 Busy".into(), String::new()));
    assert_eq!(stop(&place, &manager, &[UUID])[0]["open"], true);
    // Nobody can start it while nobody knows whether it is stopped.
    assert_eq!(start(&place, &manager, &order(&agent.id, UUID))[0]["outcome"], "conflict");
    agent.manners(Manners::Good);
    wait_for("the stop", || (shown(&manager, UUID)["outcome"] == "done").then_some(()));
    assert_eq!(agent.state().instances[UUID].state, "STOPPED");
    assert_eq!(start(&place, &manager, &order(&agent.id, UUID))[0]["outcome"], "done");
}

#[test]
fn what_was_refused_or_failed_stays_so_until_somebody_orders_again() {
    let (place, manager, agent) = one();
    let open = FakeAgent::start();
    open.meet(&manager, 4);
    for result in [4, 7] {
        agent.manners(Manners::Refuses(result));
        let uuid = format!("u{result}");
        assert_eq!(start(&place, &manager, &order(&agent.id, &uuid))[0]["open"], json!(null));
        let before = agent.state().deploys.len();
        // Meanwhile another one, which is open, is asked about again, and again after a longer pause.
        open.manners(Manners::Refuses(8));
        let asked = || open.state().deploys.len();
        let from = asked();
        start(&place, &manager, &order(&open.id, &format!("o{result}")));
        wait_for("two more questions", || (asked() >= from + 3).then_some(()));
        assert_eq!(agent.state().deploys.len(), before);
        agent.manners(Manners::Good);
        assert_eq!(start(&place, &manager, &order(&agent.id, &uuid))[0]["outcome"], "done");
    }
}

#[test]
fn a_manager_that_is_killed_between_the_intent_and_the_reply_asks_again_when_it_is_back() {
    let place = Place::new();
    let agent = FakeAgent::start();
    let manager = place.start();
    agent.meet(&manager, 3);
    start(&place, &manager, &order(&agent.id, OTHER));
    manager.wait_until_saved();
    agent.hold(true);
    let (sent, token) = (order(&agent.id, UUID), place.token());
    let address = manager.address().to_owned();
    let waiting = std::thread::spawn(move || {
        // Broken off: the manager is killed while this waits.
        let request = ureq::post(format!("http://{address}/fleet/v1/deployments"));
        request.header("Authorization", format!("Bearer {token}")).send_json(&sent).is_err()
    });
    wait_for("the request", || (agent.state().deploys.len() == 2).then_some(()));
    manager.kill();
    assert!(waiting.join().unwrap());
    let manager = place.start();
    let entry = shown(&manager, UUID);
    assert_eq!((&entry["desired"], &entry["open"]), (&json!("running"), &json!(true)), "{entry}");
    assert_eq!(shown(&manager, OTHER)["outcome"], "done");
    agent.hold(false);
    wait_for("the answer", || (shown(&manager, UUID)["outcome"] == "done").then_some(()));
    assert_eq!(agent.state().instances.len(), 2);
    let ids = shown(&manager, UUID)["id"].clone();
    manager.stop();
    // And it is known after a restart in order.
    let manager = place.start();
    let entry = shown(&manager, UUID);
    assert_eq!((&entry["id"], entry.get("open")), (&ids, None));
    assert_eq!(list(&manager, "").len(), 2);
}

#[test]
fn a_report_of_an_earlier_life_says_nothing_of_a_stop() {
    let (place, manager, agent) = one();
    start(&place, &manager, &order(&agent.id, UUID));
    agent.hold(true);
    std::thread::scope(|scope| {
        let stopped = scope.spawn(|| stop(&place, &manager, &[UUID]));
        wait_for("the stop", || (agent.state().deploys.len() == 2).then_some(()));
        // After the order and before it is carried out.
        agent.report(&manager);
        agent.hold(false);
        assert_eq!(stopped.join().unwrap()[0]["outcome"], "done");
    });
    manager.wait_until_saved();
    manager.stop();
    let manager = place.start();
    let entry = shown(&manager, UUID);
    assert_eq!((&entry["state"], &entry["in_step"]), (&json!("RUNNING"), &json!(true)), "{entry}");
    assert_eq!(stop(&place, &manager, &[UUID])[0]["outcome"], "done");
    assert_eq!(agent.state().deploys.len(), 2, "it is stopped already");
    agent.runs(UUID, "docker", json!("c1"));
    agent.report(&manager);
    let entry = shown(&manager, UUID);
    assert_eq!(entry["in_step"], false, "{entry}");
    assert!(entry["why"].as_str().unwrap().contains("somebody else started it"), "{entry}");
}

#[test]
fn a_stopping_manager_does_not_wait_for_boards() {
    let (place, manager, agent) = one();
    agent.hold(true);
    let (sent, token, address) = (order(&agent.id, UUID), place.token(), manager.address().to_owned());
    let waiting = std::thread::spawn(move || {
        let request = ureq::post(format!("http://{address}/fleet/v1/deployments"));
        let answer = request.header("Authorization", format!("Bearer {token}")).send_json(&sent);
        answer.unwrap().body_mut().read_json::<serde_json::Value>().unwrap()
    });
    wait_for("the request", || (!agent.state().deploys.is_empty()).then_some(()));
    let start = std::time::Instant::now();
    manager.stop();
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    let said = waiting.join().unwrap();
    assert_eq!(
        (&said["results"][0]["outcome"], &said["results"][0]["open"]),
        (&json!("no_answer"), &json!(true))
    );
    agent.hold(false);
}

#[test]
fn what_is_forgotten_is_asked_about_no_more() {
    let (place, manager, agent) = one();
    agent.manners(Manners::Refuses(8));
    start(&place, &manager, &order(&agent.id, UUID));
    let path = format!("/fleet/v1/deployments/{UUID}?forget=true");
    assert_eq!(manager.delete(&path, Some(&place.token())).status, 204);
    assert_eq!(manager.delete(&path, Some(&place.token())).status, 404);
    assert_eq!(manager.get(&format!("/fleet/v1/deployments/{UUID}")).status, 404);
    manager.stop();
    assert!(list(&place.start(), "?all=true").is_empty());
}

/// What the database refuses from now on.
fn refuse(place: &Place, what: &str) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(place.state_dir().join("deployments.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let trigger =
        format!("CREATE TRIGGER no BEFORE {what} ON deployment BEGIN SELECT RAISE(ABORT, 'no'); END;");
    database.execute_batch(&trigger).unwrap();
    database
}

#[test]
fn what_cannot_be_forgotten_stays_and_is_asked_about() {
    let (place, manager, agent) = one();
    agent.manners(Manners::Refuses(8));
    start(&place, &manager, &order(&agent.id, UUID));
    let database = refuse(&place, "DELETE");
    let path = format!("/fleet/v1/deployments/{UUID}?forget=true");
    assert_eq!(manager.delete(&path, Some(&place.token())).status, 503);
    assert_eq!(shown(&manager, UUID)["open"], true);
    agent.manners(Manners::Good);
    wait_for("the answer", || (shown(&manager, UUID)["outcome"] == "done").then_some(()));
    database.execute_batch("DROP TRIGGER no;").unwrap();
    assert_eq!(manager.delete(&path, Some(&place.token())).status, 204);
    assert_eq!(manager.get(&format!("/fleet/v1/deployments/{UUID}")).status, 404);
}

#[test]
fn what_cannot_be_recorded_is_not_asked_for() {
    let (place, manager, agent) = one();
    let database = refuse(&place, "INSERT");
    let result = start(&place, &manager, &order(&agent.id, UUID)).remove(0);
    assert_eq!((&result["outcome"], result.get("open")), (&json!("not_recorded"), None), "{result}");
    assert!(agent.state().deploys.is_empty() && list(&manager, "?all=true").is_empty());
    database.execute_batch("DROP TRIGGER no;").unwrap();
    assert_eq!(start(&place, &manager, &order(&agent.id, UUID))[0]["outcome"], "done");
}

#[test]
fn nothing_is_asked_of_an_agent_that_could_be_another() {
    let (place, manager, agent) = one();
    let mut twin = crate::support::ours("2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a77", 5, "127.0.0.1");
    twin["service_port"] = json!(agent.port);
    manager.report("/heartbeat", &twin);
    let result = start(&place, &manager, &order(&agent.id, UUID)).remove(0);
    assert_eq!(result["outcome"], "unknown_board", "{result}");
    assert!(result["message"].as_str().unwrap().contains("2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a77"), "{result}");
    assert!(agent.state().deploys.is_empty());
    // It moves away.
    twin["service_port"] = json!(agent.port.wrapping_add(1).max(1));
    manager.report("/heartbeat", &twin);
    wait_for("the start", || (shown(&manager, UUID)["outcome"] == "done").then_some(()));
}
