//! Managers that do not take a report as the protocol wants: nobody else waits for them, and nothing is sent twice.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde_json::json;

use crate::agent::Agent;
use crate::manager::{Group, Manager, deaf, send, sender_socket};

const MANAGER: Ipv4Addr = Ipv4Addr::LOCALHOST;
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const BOARD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A query whose report goes to any address of the sender's machine.
async fn ask_for(address: SocketAddrV4, group: Group, query_id: &str) {
    let query = json!({"api_version": 1, "data": {
        "manager_ip": address.ip().to_string(), "manager_port": address.port(), "url": "/heartbeat", "query_id": query_id,
    }});
    send(&sender_socket(*address.ip()), group, query.to_string().as_bytes()).await;
}

/// The manager's answer makes this outcome, of exactly one attempt.
async fn check(outcome: &str, answer: impl Into<String>) {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let mut manager = Manager::answering(group, MANAGER, answer).await;
    manager.ask("/heartbeat", json!({})).await;
    manager.report().await;
    agent.until(|agent| agent.reports("/heartbeat", outcome) == 1).await;
    assert!(!manager.has_more());
}

#[tokio::test]
async fn a_manager_that_never_answers_delays_nobody() {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let (_listener, address) = deaf(OTHER);
    let mut manager = Manager::start(group, MANAGER).await;
    // More than are let under way for one manager.
    for number in 0..20 {
        ask_for(address, group, &number.to_string()).await;
    }
    agent.until(|agent| agent.reports("/heartbeat", "busy") == 4).await;
    for number in 0..10 {
        manager.ask("/resource", json!({"query_id": format!("good {number}")})).await;
        assert_eq!(manager.report().await.path(), "/resource");
    }
    assert_eq!(agent.reports("/heartbeat", "late"), 0, "the good manager had to wait");
    agent.until(|agent| agent.reports("/heartbeat", "late") == 16).await;
}

#[tokio::test]
async fn many_managers_that_never_answer_make_room_for_another() {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let mut manager = Manager::start(group, MANAGER).await;
    let deaf: Vec<_> = (21..25).map(|last| deaf(Ipv4Addr::new(127, 0, 0, last))).collect();
    // As many as are let under way, for one manager and in all.
    for (_listener, address) in &deaf {
        for number in 0..16 {
            ask_for(*address, group, &format!("{address} {number}")).await;
        }
    }
    for number in 0..5 {
        manager.ask("/resource", json!({"query_id": format!("good {number}")})).await;
        assert_eq!(manager.report().await.path(), "/resource");
    }
    assert_eq!(agent.reports("/heartbeat", "late"), 0, "the good manager had to wait");
    assert_eq!(agent.reports("/resource", "busy"), 0);
    // The first of the good ones took a place; it was free again for the others.
    agent.until(|agent| agent.reports("/heartbeat", "busy") == 1).await;
    agent.until(|agent| agent.reports("/heartbeat", "late") == 63).await;
}

#[tokio::test]
async fn a_manager_that_is_not_there_is_counted_as_unreachable() {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let (listener, address) = deaf(OTHER);
    drop(listener);
    ask_for(address, group, "q").await;
    agent.until(|agent| agent.reports("/heartbeat", "unreachable") == 1).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let victim = Manager::start(group, OTHER).await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{}/heartbeat\r\nContent-Length: 0\r\n\r\n",
        victim.address
    );
    let mut manager = Manager::answering(group, MANAGER, redirect).await;
    manager.ask("/heartbeat", json!({})).await;
    manager.report().await;
    agent.until(|agent| agent.reports("/heartbeat", "refused") == 1).await;
    assert!(!victim.has_more() && !manager.has_more());
}

#[tokio::test]
async fn only_200_is_delivered() {
    check("refused", "HTTP/1.1 204 No Content\r\n\r\n").await;
    check("refused", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n").await;
}

#[tokio::test]
async fn an_answer_with_a_body_is_delivered_however_long() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
    check("delivered", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
    check("delivered", format!("{head}{}", "x".repeat(100_000))).await;
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_broken() {
    check("broken", "250 OK\r\n").await;
    check("broken", format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000))).await;
}

#[tokio::test]
async fn the_manager_that_asks_again_is_answered_again() {
    let group = Group::new();
    let agent = Agent::start(group, BOARD);
    let mut manager = Manager::answering(group, MANAGER, "HTTP/1.1 503 Busy\r\n\r\n").await;
    for number in 0..3 {
        manager.ask("/heartbeat", json!({"query_id": number.to_string()})).await;
        manager.report().await;
    }
    agent.until(|agent| agent.reports("/heartbeat", "refused") == 3).await;
}
