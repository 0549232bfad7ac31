//! One report for each accepted query, and none for any other.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use cardcage_tests::{Agent, Listener, Manner, World, sender_at, until};
use serde_json::{Value, json};

/// Waits until the agent has counted as many queries with this outcome.
#[track_caller]
fn until_counted(agent: &Agent, outcome: &str, count: u32) {
    until(&format!("{count} queries are {outcome}"), || {
        (agent.queries(outcome) >= f64::from(count)).then_some(())
    });
}

#[test]
fn copies_of_one_query_get_one_report() {
    let world = World::new();
    let agent = world.agent().start();
    let manager = world.listener();
    let by_id = manager.query("/heartbeat", &json!({"query_id": "one"})).to_string();
    let by_bytes = manager.query("/heartbeat", &json!({})).to_string();
    for _ in 0..5 {
        manager.send(by_id.as_bytes());
        manager.send(by_bytes.as_bytes());
    }
    until_counted(&agent, "duplicate", 8);
    assert_eq!(agent.queries("accepted"), 2.0);
    manager.report();
    manager.report();
    // Whatever came after them would have come before this one.
    manager.ask("/resource");
    assert_eq!(manager.report().path, "/resource");
    manager.had_no_more();
}

#[test]
fn the_same_query_later_is_another_query() {
    let world = World::new();
    let _agent = world.agent().start();
    let manager = world.listener();
    manager.ask("/heartbeat");
    let first = manager.report();
    std::thread::sleep(Duration::from_millis(600));
    manager.ask("/heartbeat");
    assert!(manager.report().at > first.at);
    manager.had_no_more();
}

#[test]
fn numbers_that_are_sent_as_strings_are_understood() {
    let world = World::new();
    let _agent = world.agent().start();
    let manager = world.listener();
    let mut query = manager.query("/heartbeat", &json!({"spread_ms": "0", "unheard of": {"by": "us"}}));
    query["api_version"] = json!("1");
    query["data"]["manager_port"] = json!(manager.address().port().to_string());
    manager.send(query.to_string().as_bytes());
    assert_eq!(manager.report().path, "/heartbeat");
}

/// A hostile datagram: what it is counted as, where it comes from, and what it is.
type Hostile<'a> = (&'a str, Ipv4Addr, Vec<u8>);

fn hostile(manager: &Listener, other: Ipv4Addr, stranger: Ipv4Addr) -> Vec<Hostile<'static>> {
    let own = *manager.address().ip();
    let query = manager.query("/heartbeat", &json!({}));
    let with = |field: &str, value: Value| {
        let mut query = query.clone();
        query["data"][field] = value;
        query.to_string().into_bytes()
    };
    let mut version = query.clone();
    version["api_version"] = json!(2);
    let mut long = query.to_string().into_bytes();
    long.resize(1473, b' ');
    vec![
        ("malformed", own, Vec::new()),
        ("malformed", own, b"\xff\x00{{{".to_vec()),
        ("malformed", own, vec![b'['; 1400]),
        ("malformed", own, query.to_string().into_bytes()[..40].to_vec()),
        ("malformed", own, b"null".to_vec()),
        ("oversized", own, long),
        ("oversized", own, vec![b' '; 65_507]),
        ("api_version", own, version.to_string().into_bytes()),
        ("url", own, with("url", json!("/deploy"))),
        ("url", own, with("url", json!("/heartbeat/../deploy"))),
        ("url", own, with("url", json!("http://example.com/heartbeat"))),
        ("port", own, with("manager_port", json!(0))),
        ("malformed", own, with("manager_port", json!(65_536))),
        ("address", own, with("manager_ip", json!("239.192.168.80"))),
        ("address", own, with("manager_ip", json!("0.0.0.0"))),
        ("address", own, with("manager_ip", json!("example.com"))),
        ("extension", own, with("spread_ms", json!(4_000_000_000_u32))),
        // A victim that is to get the reports of the whole fleet.
        ("spoofed", own, with("manager_ip", json!(other))),
        ("spoofed", other, query.to_string().into_bytes()),
        ("not_allowed", stranger, with("manager_ip", json!(stranger))),
    ]
}

#[test]
fn every_hostile_query_is_dropped_and_counted_for_its_own_reason() {
    let world = World::new();
    let (manager, other, stranger) = (world.listener(), world.address(9), world.address(200));
    let allow = format!("[managers]\nallow = [\"{}/25\"]", world.address(0));
    let agent = world.agent().config(&allow).start();
    let mut counts = std::collections::BTreeMap::new();
    for (outcome, from, datagram) in hostile(&manager, other, stranger) {
        let group = world.group();
        sender_at(from).send_to(&datagram, (group.address, group.port)).unwrap();
        let count = counts.entry(outcome).or_insert(0);
        *count += 1;
        until_counted(&agent, outcome, *count);
    }
    for (outcome, count) in counts {
        assert_eq!(agent.queries(outcome), f64::from(count), "{outcome}");
    }
    assert_eq!(agent.queries("accepted"), 0.0);
    manager.ask("/heartbeat");
    assert_eq!(manager.report().path, "/heartbeat");
    manager.had_no_more();
    // What is dropped is said once for each reason, not once for each datagram.
    let said = agent.process.log().lines().filter(|line| line.contains("dropped")).count();
    assert!((1..=20).contains(&said), "{}", agent.process.log());
}

#[test]
fn a_flood_is_cut_off_and_another_manager_is_answered_at_once() {
    let world = World::new();
    let agent = world.agent().start();
    let (flood, manager) = (sender_at(world.address(66)), world.listener());
    let group = world.group();
    let enough = Instant::now() + Duration::from_secs(2);
    let mut number = 0;
    while Instant::now() < enough {
        for _ in 0..100 {
            number += 1;
            let query = json!({"api_version": 1, "data": {
                "manager_ip": world.address(66), "manager_port": 1, "url": "/heartbeat", "query_id": number.to_string(),
            }});
            // The socket's buffer may be full: that is what a flood is.
            let _lost = flood.send_to(query.to_string().as_bytes(), (group.address, group.port));
        }
        let asked = Instant::now();
        let report = manager.answer("/resource");
        let took = report.at.saturating_duration_since(asked);
        assert!(took < Duration::from_secs(1), "the report took {took:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(agent.queries("source_flood") > 100.0);
    assert!(agent.process.log().len() < 64 << 10, "the flood is in the log");
}

#[test]
fn a_manager_that_does_not_answer_delays_no_other() {
    let world = World::new();
    let mut agent = world.agent().start();
    let silent = world.listener_at(10, Manner::Silent);
    let manager = world.listener();
    let nobody = {
        let gone = world.listener_at(11, Manner::Right);
        gone.query("/heartbeat", &json!({}))
    };
    sender_at(world.address(11))
        .send_to(nobody.to_string().as_bytes(), (world.group().address, world.group().port))
        .unwrap();
    for _ in 0..3 {
        silent.ask_extended("/resource");
        let asked = Instant::now();
        let report = manager.answer("/heartbeat");
        let took = report.at.saturating_duration_since(asked);
        assert!(took < Duration::from_secs(1), "the report took {took:?}");
    }
    let failed = |outcome: &str, url: &str| {
        agent.metric(&format!("cardcage_agent_reports_total{{outcome=\"{outcome}\",url=\"{url}\"}}"))
    };
    until("the other reports are given up", || {
        (failed("late", "/resource") == 3.0 && failed("unreachable", "/heartbeat") == 1.0).then_some(())
    });
    agent.process.until_log("reports are not delivered");
}

#[test]
fn a_redirect_is_not_followed() {
    let world = World::new();
    let agent = world.agent().start();
    let victim = world.listener_at(10, Manner::Right);
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{}/heartbeat\r\nContent-Length: 0\r\n\r\n",
        victim.address()
    );
    let manager = world.listener_at(1, Manner::Bytes(answer));
    manager.ask("/heartbeat");
    manager.report();
    let refused = "cardcage_agent_reports_total{outcome=\"refused\",url=\"/heartbeat\"}";
    until("the report counts as refused", || (agent.metric(refused) == 1.0).then_some(()));
    victim.had_no_more();
    manager.had_no_more();
}

#[test]
fn answers_of_several_agents_are_spread_and_each_keeps_its_place() {
    let world = World::new();
    let agents: Vec<_> = (0..4).map(|_| world.agent().start()).collect();
    let manager = world.listener();
    let places = |id: &str| {
        let asked = Instant::now();
        let query = manager.query("/heartbeat", &json!({"spread_ms": 2_000, "query_id": id}));
        manager.send(query.to_string().as_bytes());
        let mut places: Vec<_> = agents
            .iter()
            .map(|_| {
                let report = manager.report();
                (report.from.ip(), report.at.saturating_duration_since(asked))
            })
            .collect();
        places.sort();
        places
    };
    let (first, second) = (places("first"), places("second"));
    for ((agent, place), (_, again)) in first.iter().zip(&second) {
        assert!(*place < Duration::from_secs(3), "{agent} answered after {place:?}");
        let moved = place.abs_diff(*again);
        assert!(moved < Duration::from_millis(500), "{agent} answered after {place:?}, then after {again:?}");
    }
    let earliest = first.iter().map(|(_, place)| place).min().unwrap();
    let latest = first.iter().map(|(_, place)| place).max().unwrap();
    assert!(*latest - *earliest > Duration::from_millis(20), "all at once: {first:?}");
    manager.had_no_more();
}

#[test]
fn two_managers_that_number_their_queries_do_not_silence_each_other() {
    let world = World::new();
    let agent = world.agent().start();
    let managers = [1, 10].map(|host| world.listener_at(host, Manner::Right));
    for number in 1..=4 {
        for manager in &managers {
            let more = json!({"query_id": number.to_string(), "extensions": ["cardcage/1"]});
            manager.send(manager.query("/heartbeat", &more).to_string().as_bytes());
            let report = manager.report();
            assert_eq!(report.data()["cardcage"]["query_id"], number.to_string());
            // For so long the same number from elsewhere is taken for a copy.
            std::thread::sleep(Duration::from_millis(600));
        }
    }
    assert_eq!((agent.queries("accepted"), agent.queries("duplicate")), (8.0, 0.0));
    managers.iter().for_each(Listener::had_no_more);
}

#[test]
fn a_manager_that_spreads_its_answers_over_a_minute_delays_no_other() {
    let world = World::new();
    let agent = world.agent().start();
    let patient = world.listener_at(10, Manner::Right);
    let manager = world.listener();
    for number in 0..64 {
        let more = json!({"query_id": number.to_string(), "spread_ms": 60_000});
        patient.send(patient.query("/resource", &more).to_string().as_bytes());
        // A burst of all of them could be longer than what the socket holds.
        if number % 8 == 7 {
            until_counted(&agent, "accepted", number + 1);
        }
    }
    for url in ["/heartbeat", "/resource"].repeat(4) {
        let asked = Instant::now();
        let report = manager.answer(url);
        let took = report.at.saturating_duration_since(asked);
        assert!(took < Duration::from_secs(1), "the report took {took:?}");
    }
    assert_eq!(agent.queries("busy"), 0.0);
    for url in ["/heartbeat", "/resource"] {
        let busy = format!("cardcage_agent_reports_total{{outcome=\"busy\",url=\"{url}\"}}");
        assert_eq!(agent.metric(&busy), 0.0, "{url}");
    }
}
