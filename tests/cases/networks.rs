//! Several machines on real networks: namespaces, bridges, virtual cables.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cardcage_tests::{Agent, Lab, Listener, Manner, Namespace, World, namespaces_are_allowed, until};
use serde_json::{Value, json};

/// Every manager of these networks may ask.
const ALLOW: &str = "[managers]\nallow = [\"10.77.0.0/16\"]";

/// A machine with one interface.
fn machine(lab: &Lab, switch: &str, address: Ipv4Addr) -> Arc<Namespace> {
    let machine = Namespace::new();
    lab.plug(switch, &machine, "eth0", &format!("{address}/24"));
    Arc::new(machine)
}

/// A manager that the test plays on a machine.
fn manager(world: &World, machine: &Namespace, address: Ipv4Addr) -> Listener {
    let group = world.group();
    machine.run(|| Listener::open(group, address, Manner::Right))
}

/// An address of a network of the lab.
fn at(network: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, network, host)
}

#[test]
fn three_boards_on_one_network_answer_each_with_its_own_address() {
    if !namespaces_are_allowed("three_boards_on_one_network_answer_each_with_its_own_address") {
        return;
    }
    let (world, lab) = (World::new(), Lab::new());
    lab.switch("net1");
    let desk = machine(&lab, "net1", at(1, 254));
    let manager = manager(&world, &desk, at(1, 254));
    let boards: Vec<Agent> = (1..=3)
        .map(|slot| {
            let config = format!("{ALLOW}\n[board]\nslot_id = {slot}");
            world.agent().on(&machine(&lab, "net1", at(1, slot))).config(&config).start()
        })
        .collect();
    manager.ask("/heartbeat");
    let mut heard: Vec<_> = boards
        .iter()
        .map(|_| {
            let report = manager.report();
            assert_eq!(report.data()["host_ip"], json!(report.from.ip()));
            (report.from.ip(), report.data()["slot_id"].as_u64().unwrap())
        })
        .collect();
    heard.sort();
    let expected: Vec<_> = (1..=3).map(|slot| (IpAddr::from(at(1, slot)), u64::from(slot))).collect();
    assert_eq!(heard, expected);
    manager.had_no_more();
}

#[test]
fn a_board_on_two_networks_has_an_address_for_each_and_answers_once() {
    if !namespaces_are_allowed("a_board_on_two_networks_has_an_address_for_each_and_answers_once") {
        return;
    }
    let (world, lab) = (World::new(), Lab::new());
    lab.switch("net1");
    lab.switch("net2");
    let board = machine(&lab, "net1", at(1, 3));
    lab.plug("net2", &board, "eth1", "10.77.2.3/24");
    // A container engine's bridge, where no manager is.
    board.ip(&["link", "add", "docker0", "type", "bridge"]);
    board.ip(&["address", "add", "172.17.0.1/16", "dev", "docker0"]);
    board.ip(&["link", "set", "docker0", "up"]);
    let desk = machine(&lab, "net1", at(1, 254));
    lab.plug("net2", &desk, "eth1", "10.77.2.254/24");
    let (first, second) = (manager(&world, &desk, at(1, 254)), manager(&world, &desk, at(2, 254)));
    let agent = world.agent().on(&board).config(ALLOW).start();

    for (manager, address) in [(&first, at(1, 3)), (&second, at(2, 3))] {
        manager.ask("/heartbeat");
        let report = manager.report();
        assert_eq!(report.data()["host_ip"], json!(address));
        assert_eq!(report.from.ip(), address);
    }
    // One query over both networks, as a manager that is on both sends it.
    for manager in [&first, &second] {
        manager.send(manager.query("/resource", &json!({"query_id": "both"})).to_string().as_bytes());
    }
    until("the copy is counted", || (agent.queries("duplicate") == 1.0).then_some(()));
    assert_eq!(agent.queries("accepted"), 3.0);
    let answered = |manager: &Listener| manager.report_within(Duration::from_millis(500)).is_some();
    assert_eq!([&first, &second].into_iter().filter(|manager| answered(manager)).count(), 1);

    let log = agent.process.log();
    let joined = |name: &str| log.contains(&format!("listening on an interface interface=\"{name}\""));
    assert_eq!(["eth0", "eth1", "docker0", "lo"].map(joined), [true, true, false, false], "{log}");
}

/// More rounds than the kernel has room for memberships on one socket.
#[test]
fn an_interface_that_is_deleted_and_made_again_is_listened_on_again() {
    if !namespaces_are_allowed("an_interface_that_is_deleted_and_made_again_is_listened_on_again") {
        return;
    }
    let (world, lab) = (World::new(), Lab::new());
    lab.switch("net1");
    let desk = machine(&lab, "net1", at(1, 254));
    let manager = manager(&world, &desk, at(1, 254));
    let board = machine(&lab, "net1", at(1, 3));
    let mut agent = world.agent().on(&board).config(ALLOW).start();
    for round in 0..22 {
        let written = agent.process.log().len();
        board.ip(&["link", "delete", "eth0"]);
        agent.process.until_log_from(written, "left an interface");
        lab.plug("net1", &board, "eth0", "10.77.1.3/24");
        agent.process.until_log_from(written, "listening on an interface");
        if round % 7 == 0 {
            assert_eq!(manager.answer("/heartbeat").from.ip(), at(1, 3));
        }
    }
    assert_eq!(manager.answer("/resource").data()["host_ip"], json!(at(1, 3)));
}

#[test]
fn a_board_whose_network_comes_up_later_is_there_then() {
    if !namespaces_are_allowed("a_board_whose_network_comes_up_later_is_there_then") {
        return;
    }
    let (world, lab) = (World::new(), Lab::new());
    lab.switch("net1");
    let desk = machine(&lab, "net1", at(1, 254));
    let manager = manager(&world, &desk, at(1, 254));
    let board = Arc::new(Namespace::new());
    let mut agent = world.agent().on(&board).config(ALLOW).start();
    assert!(agent.process.log().contains("no network interface to listen on yet"));
    lab.plug("net1", &board, "eth0", "10.77.1.3/24");
    agent.process.until_log("listening on an interface");
    assert_eq!(manager.answer("/heartbeat").data()["host_ip"], json!(at(1, 3)));
}

#[test]
fn a_manager_that_cannot_be_reached_delays_no_other() {
    if !namespaces_are_allowed("a_manager_that_cannot_be_reached_delays_no_other") {
        return;
    }
    let (world, lab) = (World::new(), Lab::new());
    lab.switch("net1");
    let (desk, lost) = (machine(&lab, "net1", at(1, 254)), machine(&lab, "net1", at(1, 66)));
    let (manager, unreachable) = (manager(&world, &desk, at(1, 254)), manager(&world, &lost, at(1, 66)));
    let board = machine(&lab, "net1", at(1, 3));
    // What is sent to it goes to a machine that is not there; what it sends still comes.
    board.ip(&["neighbour", "replace", "10.77.1.66", "lladdr", "02:00:00:00:00:66", "dev", "eth0"]);
    let agent = world.agent().on(&board).config(ALLOW).start();
    manager.answer("/resource");
    for _ in 0..3 {
        unreachable.ask_extended("/resource");
        let asked = Instant::now();
        let took = manager.answer("/resource").at.saturating_duration_since(asked);
        assert!(took < Duration::from_secs(1), "the report took {took:?}");
    }
    let lost = "cardcage_agent_reports_total{outcome=\"unreachable\",url=\"/resource\"}";
    until("the other reports are given up", || (agent.metric(lost) == 3.0).then_some(()));
    unreachable.had_no_more();
}

#[test]
fn a_stranger_on_the_network_is_not_answered() {
    if !namespaces_are_allowed("a_stranger_on_the_network_is_not_answered") {
        return;
    }
    let (world, lab) = (World::new(), Lab::new());
    lab.switch("net1");
    let (desk, stranger) = (machine(&lab, "net1", at(1, 254)), machine(&lab, "net1", at(1, 7)));
    let (manager, stranger) = (manager(&world, &desk, at(1, 254)), manager(&world, &stranger, at(1, 7)));
    let allow = "[managers]\nallow = [\"10.77.1.254\"]";
    let agent = world.agent().on(&machine(&lab, "net1", at(1, 3))).config(allow).start();
    stranger.ask("/heartbeat");
    until("it is counted", || (agent.queries("not_allowed") == 1.0).then_some(()));
    manager.answer("/heartbeat");
    stranger.had_no_more();
}

#[test]
fn a_manager_on_two_networks_sees_every_board_once() {
    if !namespaces_are_allowed("a_manager_on_two_networks_sees_every_board_once") {
        return;
    }
    let (world, lab) = (World::new(), Lab::new());
    lab.switch("net1");
    lab.switch("net2");
    let desk = machine(&lab, "net1", at(1, 254));
    lab.plug("net2", &desk, "eth1", "10.77.2.254/24");
    let (one, two) = (machine(&lab, "net1", at(1, 1)), machine(&lab, "net2", at(2, 2)));
    let both = machine(&lab, "net1", at(1, 3));
    lab.plug("net2", &both, "eth1", "10.77.2.3/24");
    let _agents: Vec<_> = [&one, &two, &both]
        .into_iter()
        .zip(1..)
        .map(|(machine, slot)| {
            let config = format!("{ALLOW}\n[board]\nslot_id = {slot}");
            world.agent().on(machine).config(&config).start()
        })
        .collect();
    let manager = world.manager().on(&desk).start();
    let addresses = |board: &Value| {
        let addresses = board["addresses"].as_array().unwrap().iter();
        addresses.map(|address| address.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let of_slot = |boards: &[Value], slot: u8| {
        boards.iter().find(|board| board["slot_id"] == slot).cloned().unwrap_or_default()
    };
    let boards = manager.until_boards("three boards are up", |boards| {
        boards.len() == 3 && boards.iter().all(|board| board["state"] == "up")
    });
    for board in &boards {
        assert_eq!(board["flags"], json!([]), "{board}");
    }
    assert_eq!(addresses(&of_slot(&boards, 1)), [at(1, 1).to_string()].into());
    assert_eq!(addresses(&of_slot(&boards, 2)), [at(2, 2).to_string()].into());

    // One of its cables is pulled: the other is enough. Both are: it is lost.
    both.ip(&["link", "delete", "eth0"]);
    manager.until_boards("it is up through the other network", |boards| {
        let board = of_slot(boards, 3);
        board["state"] == "up" && board["host_ip"] == json!(at(2, 3))
    });
    both.ip(&["link", "delete", "eth1"]);
    manager.until_boards("it is lost", |boards| of_slot(boards, 3)["state"] == "lost");
    lab.plug("net1", &both, "eth0", "10.77.1.3/24");
    manager.until_boards("it is back through the first", |boards| {
        let board = of_slot(boards, 3);
        boards.len() == 3 && board["state"] == "up" && board["host_ip"] == json!(at(1, 3))
    });
}
