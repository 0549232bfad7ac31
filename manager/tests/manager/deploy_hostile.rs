//! Agents that are wrong or hostile: long, silent, somebody else. The manager stays well and says what it saw.

use serde_json::json;

use crate::agent::Manners;
use crate::deploy::{UUID, one, order, shown, start, stop};
use crate::support::{Place, wait_for};

#[test]
fn an_answer_that_is_none_leaves_the_outcome_open() {
    let (place, manager, agent) = one();
    let wrong_uuid =
        json!({"api_version": 1, "data": {"uuid": "another", "id": 1, "result": 0, "message": ""}});
    for (number, manners, expected) in [
        (1, Manners::Endless, "more than 262144 bytes"),
        (2, Manners::Says("200 OK".into(), "<html>".into()), "what is no answer"),
        (3, Manners::Says("200 OK".into(), wrong_uuid.to_string()), "about uuid another"),
        (4, Manners::Says(format!("200 OK\r\nX: {}", "x".repeat(64 << 10)), String::new()), "broke off"),
        (5, Manners::Says("not a status".into(), String::new()), "broke off"),
    ] {
        agent.manners(manners);
        let result = start(&place, &manager, &order(&agent.id, &format!("u{number}"))).remove(0);
        assert_eq!((&result["outcome"], &result["open"]), (&json!("no_answer"), &json!(true)), "{result}");
        assert!(result["message"].as_str().unwrap().contains(expected), "{result}");
    }
}

#[test]
fn what_is_no_agent_is_not_asked_again_nor_followed_elsewhere() {
    let (place, manager, agent) = one();
    let target = crate::agent::FakeAgent::start();
    let moved = format!("307 Temporary Redirect\r\nLocation: http://127.0.0.1:{}/deploy", target.port);
    agent.manners(Manners::Says(moved, String::new()));
    let result = start(&place, &manager, &order(&agent.id, UUID)).remove(0);
    assert_eq!((&result["outcome"], result.get("open")), (&json!("not_an_agent"), None), "{result}");
    assert!(result["message"].as_str().unwrap().contains("307"));
    assert!(target.state().deploys.is_empty());
    assert_eq!(shown(&manager, UUID)["in_step"], false);
}

#[test]
fn a_message_cannot_speak_to_a_terminal() {
    let (place, manager, agent) = one();
    let reply =
        json!({"api_version": 1, "data": {"uuid": UUID, "id": "", "result": 7, "message": "a\u{1b}[2Jb"}});
    agent.manners(Manners::Says("200 OK".into(), reply.to_string()));
    let result = start(&place, &manager, &order(&agent.id, UUID)).remove(0);
    assert_eq!(result["message"], "a\u{FFFD}[2Jb");
}

#[test]
fn a_silent_agent_holds_up_neither_other_requests_nor_a_stop_of_its_own() {
    let (place, manager, agent) = one();
    agent.manners(Manners::Silent);
    let (sent, token) = (order(&agent.id, UUID), place.token());
    std::thread::scope(|scope| {
        let started = scope.spawn(|| manager.order("/fleet/v1/deployments", &token, &sent).json());
        wait_for("the start", || (!agent.state().deploys.is_empty()).then_some(()));
        assert_eq!(manager.get("/fleet/v1/boards").status, 200);
        assert_eq!(shown(&manager, UUID)["why"], "starting, no answer yet");
        agent.manners(Manners::Good);
        assert_eq!(stop(&place, &manager, &[UUID])[0]["outcome"], "done");
        assert_eq!(started.join().unwrap()["results"][0]["outcome"], "no_answer");
    });
}

#[test]
fn the_token_of_agents_is_sent_to_them_and_a_wrong_one_is_named() {
    let place = Place::new();
    let (file, agent) = (place.path().join("agents.token"), crate::agent::FakeAgent::start());
    agent.state().token = Some("the-agents-secret".into());
    std::fs::write(&file, "the-agents-secret\n").unwrap();
    let manager = place.start_with_agents(&format!("token_file = {file:?}\ntoken_in_clear = true"));
    agent.meet(&manager, 3);
    assert_eq!(start(&place, &manager, &order(&agent.id, UUID))[0]["outcome"], "done");
    assert!(!manager.log().contains("the-agents-secret"));
    agent.state().token = Some("another".into());
    let denied = stop(&place, &manager, &[UUID]).remove(0);
    assert_eq!((&denied["outcome"], denied.get("open")), (&json!("denied"), None), "{denied}");
    assert!(denied["message"].as_str().unwrap().contains("agents.token_file"), "{denied}");
    assert_eq!(agent.state().instances[UUID].state, "RUNNING");
}
