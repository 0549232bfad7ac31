//! One query, one report.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::agent::Agent;
use crate::manager::{Group, Manager, send, sender_socket};

const MANAGER: Ipv4Addr = Ipv4Addr::LOCALHOST;
const BOARD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test]
async fn a_heartbeat_query_gets_one_heartbeat_from_the_address_that_it_names() {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let mut manager = Manager::start(group, MANAGER).await;
    manager.ask("/heartbeat", json!({})).await;

    let report = manager.report().await;
    assert!(report.head.starts_with("POST /heartbeat HTTP/1.1\r\n"), "{}", report.head);
    assert!(report.head.contains("content-type: application/json"), "{}", report.head);
    assert_eq!(report.from.ip(), BOARD);
    let data = report.data();
    assert_eq!(data["host_ip"], "127.0.0.2");
    assert_eq!(data["service_port"], agent.service.port());
    assert_eq!(data["hostname"], "板卡");
    assert_eq!(data.get("cardcage"), None);
    agent.until(|agent| agent.reports("/heartbeat", "delivered") == 1).await;
    assert!(!manager.has_more());
}

#[tokio::test]
async fn a_resource_query_is_answered_with_the_latest_sample_and_the_extension_it_asks_for() {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    agent.sample(2000);
    let mut manager = Manager::start(group, MANAGER).await;
    manager.ask("/resource", json!({"extensions": ["other/9", "cardcage/1"], "query_id": "q-1"})).await;

    let data = manager.report().await.data();
    assert_eq!(data["resource"]["memory"]["total"], 2000);
    assert_eq!(data["cardcage"]["query_id"], "q-1");
    assert_eq!(data["cardcage"]["readings"]["memory"]["total"], 2000);
    assert_eq!(data["cardcage"]["agent_id"], "00000000-0000-0000-0000-00007f000002");
}

#[tokio::test]
async fn every_agent_of_a_machine_hears_each_query_and_answers_with_its_own_address() {
    let group = Group::new();
    let addresses = [1, 2, 3].map(|host| Ipv4Addr::new(127, 0, 0, host));
    let _agents = addresses.map(|ip| Agent::start(group, ip));
    let mut manager = Manager::start(group, MANAGER).await;
    for round in 0..3 {
        manager.ask("/heartbeat", json!({"query_id": format!("round {round}")})).await;
        let mut heard = Vec::new();
        for _ in addresses {
            heard.push(manager.report().await.data()["host_ip"].as_str().unwrap().to_owned());
        }
        heard.sort();
        assert_eq!(heard, ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    }
    assert!(!manager.has_more());
}

#[tokio::test]
async fn copies_of_a_query_get_one_report() {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let mut manager = Manager::start(group, MANAGER).await;
    for _ in 0..5 {
        manager.ask("/heartbeat", json!({"query_id": "same"})).await;
        manager.ask("/resource", json!({})).await;
    }
    agent.until_queries("duplicate", 8).await;
    manager.ask("/heartbeat", json!({"query_id": "next"})).await;

    let mut paths = Vec::new();
    for _ in 0..3 {
        paths.push(manager.report().await.path().to_owned());
    }
    paths.sort();
    assert_eq!(paths, ["/heartbeat", "/heartbeat", "/resource"]);
    assert_eq!(agent.queries("accepted"), 3);
    assert!(!manager.has_more());
}

#[tokio::test]
async fn nothing_is_answered_before_the_first_sample() {
    let group = Group::new();
    let agent = Agent::start_unsampled(group, BOARD);
    let mut manager = Manager::start(group, MANAGER).await;
    manager.ask("/resource", json!({})).await;
    agent.until_queries("accepted", 1).await;
    agent.sample(4000);
    assert_eq!(manager.report().await.data()["resource"]["memory"]["total"], 4000);
}

#[tokio::test]
async fn agents_answer_at_their_own_places_in_the_spread() {
    let group = Group::new();
    // The shares of these two of a second are a good quarter of it apart.
    let agents = [5, 8].map(|host| Agent::start(group, Ipv4Addr::new(127, 0, 0, host)));
    let mut manager = Manager::start(group, MANAGER).await;
    let mut orders = Vec::new();
    for round in ["a", "b"] {
        manager.ask("/heartbeat", json!({"query_id": round, "spread_ms": 1000})).await;
        let first = manager.report().await.from.ip();
        let second = manager.report().await.from.ip();
        orders.push([first, second]);
    }
    let order = orders.first().unwrap();
    assert!(orders.iter().all(|other| other == order), "{orders:?}");
    assert_eq!(agents.len(), 2);
}

#[tokio::test]
async fn a_burst_of_queries_within_the_limits_is_answered_query_by_query() {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let mut manager = Manager::start(group, MANAGER).await;
    for number in 0..40 {
        manager.ask("/resource", json!({"query_id": number.to_string()})).await;
        manager.report().await;
    }
    assert_eq!(agent.queries("accepted"), 40);
    assert!(!manager.has_more());
}

#[tokio::test]
async fn a_datagram_that_was_not_sent_to_the_group_is_not_heard() {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let mut manager = Manager::start(group, MANAGER).await;
    let unicast = sender_socket(MANAGER);
    let query = manager.query("/heartbeat", json!({}));
    unicast.send_to(query.to_string().as_bytes(), (BOARD, group.port)).await.unwrap();
    let other = Group { address: Group::new().address, ..group };
    send(&unicast, other, query.to_string().as_bytes()).await;
    manager.ask("/resource", json!({})).await;
    assert_eq!(manager.report().await.path(), "/resource");
    assert_eq!(agent.queries("accepted"), 1);
}
