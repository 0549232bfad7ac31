//! What is not the protocol changes nothing, and nobody can make the manager wait.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::{AGENT, Manager, Place, ours, readings, wait_for};

/// The boards, without what changes by itself.
fn still(manager: &Manager) -> Vec<Value> {
    let mut boards = manager.boards();
    for board in &mut boards {
        board["last_seen_age_ms"] = Value::Null;
        board["summary"]["age_ms"] = Value::Null;
        // The milliseconds of the time of day may be rounded the other way.
        board["first_seen"] = Value::Null;
        board["last_seen"] = Value::Null;
    }
    boards
}

fn status(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // The rest of a refused body may be answered with a reset; what was read before it counts.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_body_that_is_not_the_protocol_gets_400_and_changes_nothing() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    manager.report("/resource", &readings(AGENT, "10.0.0.7"));
    let before = still(&manager);
    let with = |field: &str, value: Value| {
        let mut heartbeat = ours(AGENT, 3, "10.0.0.7");
        heartbeat[field] = value;
        json!({"api_version": 1, "data": heartbeat}).to_string().into_bytes()
    };
    let hostile: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{\"api_version\": 1}".to_vec(),
        b"{\"api_version\": 1, \"data\": {}}".to_vec(),
        json!({"api_version": 2, "data": ours(AGENT, 4, "10.0.0.8")}).to_string().into_bytes(),
        with("host_ip", json!("not an address")),
        with("host_ip", json!("0.0.0.0")),
        with("box_id", json!(1e99)),
        with("service_port", json!(70_000)),
        with("cardcage", json!({"agent_id": "../../etc/passwd"})),
        "[".repeat(100_000).into_bytes(),
        [with("hostname", json!("x")), b"trailing".to_vec()].concat(),
    ];
    for body in hostile {
        for path in ["/heartbeat", "/resource"] {
            let answer = manager.post(path, &body);
            assert_eq!(answer.status, 400, "{path}: {}", String::from_utf8_lossy(&body));
            assert_eq!(answer.json()["status"], 400);
            assert!(answer.body.len() < 1000);
        }
    }
    assert_eq!(still(&manager), before);
    assert_eq!(
        manager.metric("cardcage_manager_reports_total{outcome=\"malformed\",url=\"/heartbeat\"}"),
        Some(14.0)
    );
}

#[test]
fn a_report_is_posted() {
    let place = Place::new();
    let manager = place.start();
    assert_eq!(manager.get("/heartbeat").status, 405);
    assert_eq!(manager.post("/heartbeats", b"{}").status, 404);
}

#[test]
fn a_body_that_is_too_long_is_not_read() {
    let place = Place::new();
    let manager = place.start();
    let mut stream = manager.connect();
    write!(
        stream,
        "POST /resource HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\n"
    )
    .unwrap();
    assert_eq!(status(&mut stream), "HTTP/1.1 413 Payload Too Large");

    let mut stream = manager.connect();
    write!(
        stream,
        "POST /resource HTTP/1.1\r\nHost: m\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .unwrap();
    let chunk = [format!("{:x}\r\n", 1 << 20).into_bytes(), vec![b' '; 1 << 20], b"\r\n".to_vec()].concat();
    // The manager hangs up in the middle, so some of this may fail.
    let sent = (0..5).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(sent >= 4);
    assert_eq!(status(&mut stream), "HTTP/1.1 413 Payload Too Large");
}

#[test]
fn idle_and_slow_connections_keep_nobody_waiting() {
    let place = Place::new();
    let manager = place.start();
    let _idle: Vec<_> = (0..200).map(|_| manager.connect()).collect();
    let _slow: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = manager.connect();
            write!(stream, "POST /heartbeat HTTP/1.1\r\nHost: m\r\nContent-Length: 500\r\n\r\n{{").unwrap();
            stream
        })
        .collect();
    let _endless: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = manager.connect();
            write!(
                stream,
                "POST /resource HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n"
            )
            .unwrap();
            stream
        })
        .collect();
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    assert_eq!(manager.boards().len(), 1);
}

#[test]
fn a_report_of_the_greatest_length_is_taken_within_bounds() {
    let place = Place::new();
    let manager = place.start();
    let mut report = readings(AGENT, "10.0.0.7");
    let sensor = report["cardcage"]["readings"]["sensors"][0].clone();
    let mut sensors = vec![sensor; 4096];
    for (number, sensor) in sensors.iter_mut().enumerate() {
        sensor["name"] = json!(format!("sensor {number} {}", "x".repeat(300)));
    }
    report["cardcage"]["readings"]["sensors"] = sensors.into();
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    manager.report("/resource", &report);
    let resource = manager.get(&format!("/fleet/v1/boards/{AGENT}/resource")).json();
    assert_eq!(resource["sensors"].as_array().unwrap().len(), 4096);
    assert!(resource["sensors"][4095]["name"].as_str().unwrap().len() <= 256);
}

#[test]
fn control_characters_of_a_report_reach_nobody() {
    let place = Place::new();
    let manager = place.start();
    let mut heartbeat = ours(AGENT, 3, "10.0.0.7");
    heartbeat["hostname"] = json!("evil\u{1b}[2J\n\u{202e}\u{9b}");
    manager.report("/heartbeat", &heartbeat);
    for text in [manager.get("/fleet/v1/boards").body, manager.get("/metrics").body, manager.log()] {
        assert!(!text.chars().any(|c| matches!(c, '\u{1b}' | '\u{202e}' | '\u{9b}')), "{text:?}");
    }
}

#[test]
fn what_a_refusal_quotes_is_one_harmless_line() {
    let place = Place::new();
    let manager = place.start();
    let mut report = readings(AGENT, "10.0.0.7");
    let state = format!("x\u{1b}[2J\nFORGED line\u{202e}{}", "y".repeat(100_000));
    report["component"] = json!([{"instance_id": "i", "uuid": "u", "index": 0, "config": {"name": "n", "id": "c"},
                                  "state": state, "resource": {}}]);
    let body = json!({"api_version": 1, "data": report}).to_string();
    let answer = manager.post("/resource", body.as_bytes());
    assert_eq!(answer.status, 400);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("unknown variant") && detail.len() < 1000, "{detail:?}");
    let missing =
        manager.get("/fleet/v1/boards/a%1B%0AFORGED%E2%80%AE").json()["detail"].as_str().unwrap().to_owned();
    for text in [detail, missing] {
        assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
    }
    let log = wait_for("a line in the log", || {
        let log = manager.log();
        (log.contains("report rejected") && log.contains("FORGED")).then_some(log)
    });
    assert!(!log.contains('\u{1b}') && !log.contains('\u{202e}') && !log.contains("\nFORGED"), "{log:?}");
}
