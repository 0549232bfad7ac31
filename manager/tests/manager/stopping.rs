//! Starting wrong, and stopping.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Place, manager_command, wait_for};

#[test]
fn a_wrong_configuration_is_one_clear_line_and_status_2() {
    let place = Place::new();
    let config = place.configure("heartbeat_evry = \"5s\"");
    let output = manager_command(&config).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(
        message.contains("discovery.heartbeat_evry; did you mean discovery.heartbeat_every?"),
        "{message}"
    );

    let output = manager_command(&config.with_file_name("missing.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing.toml"));
}

#[test]
fn a_state_directory_that_cannot_be_made_is_status_1() {
    let place = Place::new();
    fs::write(place.state_dir(), "a file").unwrap();
    let output = manager_command(&place.configure("")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("state_dir"));
}

#[test]
fn both_signals_stop_it_in_order_though_connections_are_open() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let place = Place::new();
        let mut manager = place.start();
        let _idle = manager.connect();
        wait_for("the connection", || {
            manager.metric("cardcage_manager_connections").filter(|open| *open >= 2.0)
        });
        let start = Instant::now();
        manager.signal(signal);
        assert_eq!(manager.wait().code(), Some(0));
        assert!(start.elapsed() < Duration::from_secs(4), "an idle connection needs no grace");
    }
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let place = Place::new();
    let mut manager = place.start();
    let mut begun = manager.connect();
    write!(begun, "POST /heartbeat HTTP/1.1\r\nHost: m\r\nContent-Length: 500\r\n\r\n{{").unwrap();
    wait_for("the connection", || manager.metric("cardcage_manager_connections").filter(|open| *open >= 2.0));
    manager.signal(Signal::SIGTERM);
    wait_for("the first signal", || manager.log().contains("told to stop").then_some(()));
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.wait().code(), Some(130));
}
