//! Hostile datagrams: each is dropped for its own reason, and the manager next to it is answered.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::manager::{Group, Manager, send, sender_socket};

const MANAGER: Ipv4Addr = Ipv4Addr::LOCALHOST;
const BOARD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The datagram is counted under the reason, gets no report, and the next query does.
async fn check(reason: &str, from: Ipv4Addr, datagram: impl FnOnce(Value) -> Vec<u8>) {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let mut manager = Manager::start(group, MANAGER).await;
    let hostile = datagram(manager.query("/heartbeat", json!({})));
    send(&sender_socket(from), group, &hostile).await;
    agent.until_queries(reason, 1).await;
    manager.ask("/resource", json!({})).await;
    assert_eq!(manager.report().await.path(), "/resource");
    assert_eq!(agent.queries("accepted"), 1);
    assert!(!manager.has_more());
}

fn with(mut query: Value, field: &str, value: Value) -> Vec<u8> {
    query["data"][field] = value;
    query.to_string().into_bytes()
}

#[tokio::test]
async fn a_query_in_another_machines_name() {
    let other = Ipv4Addr::new(127, 0, 0, 9);
    check("spoofed", other, |query| query.to_string().into_bytes()).await;
}

#[tokio::test]
async fn a_query_that_wants_the_reports_sent_to_a_victim() {
    check("spoofed", MANAGER, |query| with(query, "manager_ip", json!("127.0.0.9"))).await;
}

#[tokio::test]
async fn a_query_of_a_machine_that_is_not_allowed() {
    let stranger = Ipv4Addr::new(127, 1, 0, 1);
    check("not_allowed", stranger, |query| with(query, "manager_ip", json!("127.1.0.1"))).await;
}

#[tokio::test]
async fn not_json() {
    check("malformed", MANAGER, |_| b"\xff\x00{{{".to_vec()).await;
}

#[tokio::test]
async fn an_empty_datagram() {
    check("malformed", MANAGER, |_| Vec::new()).await;
}

#[tokio::test]
async fn json_as_deep_as_a_datagram_is_long() {
    check("malformed", MANAGER, |_| vec![b'['; 1472]).await;
}

#[tokio::test]
async fn a_query_that_is_too_long() {
    check("oversized", MANAGER, |query| {
        let mut bytes = query.to_string().into_bytes();
        bytes.resize(1473, b' ');
        bytes
    })
    .await;
}

#[tokio::test]
async fn the_longest_datagram_there_is() {
    check("oversized", MANAGER, |_| vec![b' '; 65507]).await;
}

#[tokio::test]
async fn another_api_version() {
    check("api_version", MANAGER, |mut query| {
        query["api_version"] = json!(2);
        query.to_string().into_bytes()
    })
    .await;
}

#[tokio::test]
async fn another_url() {
    check("url", MANAGER, |query| with(query, "url", json!("/deploy"))).await;
}

#[tokio::test]
async fn port_0() {
    check("port", MANAGER, |query| with(query, "manager_port", json!(0))).await;
}

#[tokio::test]
async fn a_manager_at_a_multicast_address() {
    check("address", MANAGER, |query| with(query, "manager_ip", json!("239.192.168.80"))).await;
}

#[tokio::test]
async fn a_spread_beyond_all_bounds() {
    check("extension", MANAGER, |query| with(query, "spread_ms", json!(4_000_000_000_u32))).await;
}

#[tokio::test]
async fn a_flood_is_cut_off_and_another_manager_still_answered() {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let flood = Manager::start(group, Ipv4Addr::new(127, 0, 0, 66)).await;
    let mut manager = Manager::start(group, MANAGER).await;
    for number in 0..2000 {
        flood.ask("/heartbeat", json!({"query_id": number.to_string()})).await;
        if number % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    agent.until(|agent| agent.queries("source_flood") > 0).await;
    manager.ask("/resource", json!({})).await;
    assert_eq!(manager.report().await.path(), "/resource");
}
