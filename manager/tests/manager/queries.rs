//! The manager asks, and counts who does not answer.

use std::collections::HashSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use cardcage_wire::board::{GROUP, Query, ReportUrl};
use serde_json::json;

use crate::support::{AGENT, Manager, Place, ours, plain, wait_for};

const OFTEN: &str = "heartbeat_every = \"200ms\"\nresource_every = \"200ms\"";

/// Where a board hears the queries.
fn listen(place: &Place) -> UdpSocket {
    let socket = UdpSocket::bind((GROUP, place.group_port())).unwrap();
    socket.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn next(socket: &UdpSocket) -> (Query, std::net::SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, source) = socket.recv_from(&mut buffer).unwrap();
    assert!(length < 1472);
    (Query::parse(&buffer[..length]).unwrap(), source)
}

/// Missed heartbeats, in a row and in all.
fn missed(manager: &Manager, id: &str) -> (u64, u64) {
    let board = manager.board(id);
    let missed = &board["missed"]["heartbeat"];
    (missed["in_a_row"].as_u64().unwrap(), missed["total"].as_u64().unwrap())
}

#[test]
fn queries_name_their_sender_and_alternate_and_have_ids() {
    let place = Place::new();
    let socket = listen(&place);
    let manager = place.start_with(OFTEN);
    let port: u16 = manager.address().rsplit(':').next().unwrap().parse().unwrap();
    let mut urls = HashSet::new();
    let mut ids = HashSet::new();
    for _ in 0..4 {
        let (query, source) = next(&socket);
        assert_eq!((source.ip(), query.manager_port.get()), (query.manager_ip.into(), port));
        assert_eq!(query.manager_ip, Ipv4Addr::LOCALHOST);
        assert_eq!(query.extensions, ["cardcage/1"]);
        assert_eq!(query.spread_ms, Some(0));
        urls.insert(query.url);
        assert!(ids.insert(query.query_id.unwrap()), "each query has an id of its own");
    }
    assert_eq!(urls, HashSet::from([ReportUrl::Heartbeat, ReportUrl::Resource]));
}

#[test]
fn a_board_that_answers_stays_up_and_one_that_does_not_is_lost() {
    let place = Place::new();
    let socket = listen(&place);
    let manager = place.start_with(OFTEN);
    manager.report("/heartbeat", &plain(4, "silent", "10.0.0.8"));
    let mut heartbeats = 0;
    wait_for("the silent board to be lost", || {
        let (query, _) = next(&socket);
        if query.url == ReportUrl::Heartbeat {
            manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
            heartbeats += 1;
        }
        (manager.board("1-4-1-0-silent")["state"] == "lost").then_some(())
    });
    assert!(heartbeats >= 3);
    assert_eq!((&manager.board(AGENT)["state"], missed(&manager, AGENT)), (&json!("up"), (0, 0)));
    assert!(missed(&manager, "1-4-1-0-silent").0 >= 3);
    wait_for("the log", || manager.log().contains("board lost").then_some(()));
    manager.report("/heartbeat", &plain(4, "silent", "10.0.0.8"));
    wait_for("the log", || manager.log().contains("board is back").then_some(()));
    assert!(missed(&manager, "1-4-1-0-silent").1 >= 3, "the count of all stays");
}

#[test]
fn what_is_missed_while_the_manager_is_down_is_missed_by_nobody() {
    let place = Place::new();
    let manager = place.start_with(OFTEN);
    manager.report("/heartbeat", &plain(4, "silent", "10.0.0.8"));
    wait_for("the board to be lost", || (manager.board("1-4-1-0-silent")["state"] == "lost").then_some(()));
    manager.stop();
    let manager = place.start();
    let (_, total) = missed(&manager, "1-4-1-0-silent");
    assert_eq!(manager.board("1-4-1-0-silent")["state"], "lost");
    drop(manager);
    assert_eq!(missed(&place.start(), "1-4-1-0-silent").1, total);
}

#[test]
fn a_query_that_cannot_be_sent_is_missed_by_nobody() {
    let place = Place::new();
    // No machine has this address: it is for documentation.
    let manager = place.start_on("192.0.2.1", OFTEN);
    manager.report("/heartbeat", &plain(4, "node", "10.0.0.8"));
    wait_for("the board to be late", || (manager.board("1-4-1-0-node")["state"] == "late").then_some(()));
    assert_eq!(missed(&manager, "1-4-1-0-node"), (0, 0));
    assert_eq!(manager.log().matches("waiting for it").count(), 1, "a lasting failure is told once");
}
