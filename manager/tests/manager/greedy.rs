//! Who makes the manager hold much memory gets no more, and keeps nobody else out.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::support::{AGENT, Manager, Place, ours, readings, wait_for};

/// Whom the manager is asked by: the greedy one, and another.
const GREEDY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const MODEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What one address gets, of reports and of answers.
const SHARE: usize = 64 << 20;

/// A connection that takes little before it is read.
fn connect(manager: &Manager, from: Ipv4Addr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&manager.address().parse::<SocketAddr>().unwrap().into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn get(manager: &Manager, from: Ipv4Addr, path: &str) -> TcpStream {
    let mut stream = connect(manager, from);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

/// The status of an answer, of which no more is read.
fn status(stream: &mut TcpStream) -> u16 {
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    String::from_utf8_lossy(&line)[9..].parse().unwrap()
}

fn held(manager: &Manager, of: &str) -> usize {
    // By the modest one: the other may get no answer.
    let text = whole(get(manager, MODEST, "/metrics"));
    let line =
        text.lines().find(|line| line.starts_with(&format!("cardcage_manager_held_bytes{{of={of:?}}}")));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// Readings of nearly the greatest length.
fn long_readings() -> Value {
    let mut report = readings(AGENT, "10.0.0.7");
    let mut sensor = report["cardcage"]["readings"]["sensors"][0].clone();
    sensor["unit"] = json!("u".repeat(250));
    sensor["kind"] = json!("k".repeat(250));
    let named = |number: usize| {
        let mut sensor = sensor.clone();
        sensor["name"] = json!(format!("{number} {}", "n".repeat(240)));
        sensor
    };
    report["cardcage"]["readings"]["sensors"] = (0..4000).map(named).collect();
    report
}

fn body(data: &Value) -> Vec<u8> {
    json!({"api_version": 1, "data": data}).to_string().into_bytes()
}

/// Announces a report and sends the beginning of it.
fn begin(manager: &Manager, from: Ipv4Addr, announced: usize, sent: &[u8]) -> TcpStream {
    let mut stream = connect(manager, from);
    write!(stream, "POST /resource HTTP/1.1\r\nHost: m\r\nContent-Length: {announced}\r\n\r\n").unwrap();
    stream.write_all(sent).unwrap();
    stream
}

#[test]
fn slow_peers_with_long_reports_keep_no_other_report_out() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    let _announced: Vec<_> = (0..100).map(|_| begin(&manager, GREEDY, 4 << 20, b"{")).collect();
    let _begun: Vec<_> = (0..100).map(|_| begin(&manager, GREEDY, 4 << 20, &[b' '; 100 << 10])).collect();
    wait_for("the beginnings", || (held(&manager, "reports") >= 100 * 90_000).then_some(()));
    assert!(held(&manager, "reports") < 100 * 110_000, "what is only announced is not held");
    manager.report("/resource", &long_readings());
    let answer = manager.get(&format!("/fleet/v1/boards/{AGENT}/resource")).json();
    assert_eq!(answer["sensors"].as_array().unwrap().len(), 4000);
}

#[test]
fn who_holds_its_share_of_reports_gets_no_more_and_others_do() {
    let place = Place::new();
    let manager = place.start();
    let long = body(&long_readings());
    // Whole but for a byte each, and as much of one more as is left then.
    let kept = long.len() - 1;
    let (whole, left) = (SHARE / kept, SHARE % kept);
    let mut begun: Vec<_> = (0..whole).map(|_| begin(&manager, GREEDY, long.len(), &long[..kept])).collect();
    begun.push(begin(&manager, GREEDY, long.len(), &long[..left]));
    wait_for("the share to be used up", || (held(&manager, "reports") == SHARE).then_some(()));
    let mut refused = begin(&manager, GREEDY, 100 << 10, &[b' '; 100 << 10]);
    assert_eq!(status(&mut refused), 503);
    let mut short = begin(&manager, GREEDY, 2, b"{}");
    assert_eq!(status(&mut short), 400, "an ordinary report is read");
    let mut other = begin(&manager, MODEST, long.len(), &long);
    assert_eq!(status(&mut other), 200);
    drop(begun);
    wait_for("the memory to be given back", || (held(&manager, "reports") == 0).then_some(()));
    assert_eq!(status(&mut begin(&manager, GREEDY, long.len(), &long)), 200);
}

fn whole(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Boards, each of which has more series than one gets.
fn report_interfaces(manager: &Manager, boards: usize) {
    let interface = |number: usize| {
        json!({"interface": format!("{number} {}", "i".repeat(90)), "age_ms": 0, "rx_bytes": 1, "tx_bytes": 1,
               "state": "up"})
    };
    let interfaces: Value = (0..1024).map(interface).collect();
    for board in 0..boards {
        let agent = format!("{board:08x}-9d53-4c0a-8a53-7e5b0c6f9a11");
        manager.report("/heartbeat", &ours(&agent, 3, "10.0.0.8"));
        let mut report = readings(&agent, "10.0.0.8");
        report["cardcage"]["readings"]["network"] = interfaces.clone();
        manager.report("/resource", &report);
    }
}

/// Many ask, so many at a time, and nobody reads.
fn check_unread(path: &str, at_a_time: usize, further_boards: usize) {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    manager.report("/resource", &long_readings());
    report_interfaces(&manager, further_boards);
    let (mut unread, mut statuses) = (Vec::new(), Vec::new());
    while unread.len() < 60 {
        let mut asked: Vec<_> = (0..at_a_time).map(|_| get(&manager, GREEDY, path)).collect();
        statuses.extend(asked.iter_mut().map(status));
        unread.append(&mut asked);
    }
    let count = |status| statuses.iter().filter(|other| **other == status).count();
    assert_eq!(count(200) + count(503), 60);
    assert!(count(200) >= 2 && count(503) >= 30, "{path}: {statuses:?}");
    // An answer more than the share, and those that others asked for meanwhile.
    let bound = SHARE + 4 * 16_000_000;
    let now = held(&manager, "answers");
    assert!((SHARE..bound).contains(&now), "{path}: {now}");

    let refused = whole(get(&manager, GREEDY, "/fleet/v1/boards"));
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("manager busy"), "{refused}");
    assert!(refused.contains("\r\nretry-after: "), "{refused}");
    // Whether the manager is well is another question.
    let health = whole(get(&manager, GREEDY, "/healthz"));
    assert!(health.starts_with("HTTP/1.1 200 ") && health.ends_with("\r\n\r\nok\n"), "{health}");
    // Reports are no answers of this sort.
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    let answer = whole(get(&manager, MODEST, path));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\ncontent-length: "), "{path}");
    assert!(manager.log().contains("answers are not read"));

    drop(unread);
    wait_for("the memory to be given back", || (held(&manager, "answers") == 0).then_some(()));
    assert_eq!(manager.get(path).status, 200);
}

#[test]
fn metrics_that_nobody_reads_are_bounded() {
    // One peer gets them one after another only.
    check_unread("/metrics", 1, 60);
}

#[test]
fn who_asks_for_many_metrics_at_once_has_two_places_in_the_line() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    manager.report("/resource", &long_readings());
    let many: Vec<_> = (0..60).map(|_| get(&manager, GREEDY, "/metrics")).collect();
    let other = whole(get(&manager, MODEST, "/metrics"));
    assert!(other.starts_with("HTTP/1.1 200 "), "{other}");
    let answers: Vec<_> = many.into_iter().map(whole).collect();
    assert!(answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 200 ")).count() >= 2);
    let refused = answers
        .iter()
        .find(|answer| answer.contains("answers about the whole fleet are being made for this address"));
    assert!(refused.is_some_and(|answer| answer.starts_with("HTTP/1.1 503 ")), "{refused:?}");
}

#[test]
fn readings_that_nobody_reads_are_bounded() {
    check_unread(&format!("/fleet/v1/boards/{AGENT}/resource"), 60, 0);
}
