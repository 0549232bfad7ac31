//! `/metrics` is what Prometheus wants.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{AGENT, Place, ours, plain, readings};

/// In continuous integration everything must be there; elsewhere a test may be skipped, and says so.
fn skip(what: &str) -> bool {
    let ci = ["CI", "CARDCAGE_CI"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(!ci, "{what} is not installed");
    // Tests have no other way to tell.
    let _ = writeln!(std::io::stderr(), "SKIPPED promtool_has_no_complaint: {what} is not installed");
    true
}

#[test]
fn promtool_has_no_complaint() {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        assert!(skip("promtool (Debian package prometheus)"));
        return;
    };
    let place = Place::new();
    let manager = place.start();
    let mut heartbeat = ours(AGENT, 3, "10.0.0.7");
    heartbeat["hostname"] = json!("a \"quoted\" \\ name");
    manager.report("/heartbeat", &heartbeat);
    let mut report = readings(AGENT, "10.0.0.7");
    // Two things of one name must not become one series twice.
    let network = report["cardcage"]["readings"]["network"][0].clone();
    report["cardcage"]["readings"]["network"].as_array_mut().unwrap().push(network);
    manager.report("/resource", &report);
    manager.report("/heartbeat", &plain(4, "node8", "10.0.0.8"));
    let text = manager.get("/metrics").body;
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let complaints = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && complaints.is_empty(), "{}", String::from_utf8_lossy(&complaints));
}

#[test]
fn readings_have_base_units_and_what_is_unknown_is_left_out() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    manager.report("/resource", &readings(AGENT, "10.0.0.7"));
    let board = format!("board=\"{AGENT}\",box=\"1\",slot=\"3\",cpu=\"1\",host=\"ours\"");
    let value =
        |name: &str, labels: &str| manager.metric(&format!("cardcage_board_{name}{{{board}{labels}}}"));
    assert_eq!(value("up", ""), Some(1.0));
    assert_eq!(value("cpu_usage_ratio", ""), Some(0.125));
    assert_eq!(value("memory_used_bytes", ""), Some(4e9));
    assert_eq!(value("memory_free_bytes", ""), None);
    assert_eq!(value("disk_size_bytes", ",mount_point=\"/\",device=\"/dev/vda1\""), Some(100.0));
    let sensor = |name: &str, part: &str, sensor: &str| {
        value(name, &format!(",part=\"{part}\",part_name=\"\",sensor=\"{sensor}\""))
    };
    assert_eq!(sensor("sensor_temperature_celsius", "cpu", "Tctl"), Some(61.5));
    assert_eq!(sensor("sensor_energy_joules_total", "cpu", "package"), Some(5000.0));
    assert_eq!(sensor("sensor_ratio", "board", "inlet"), Some(0.4));
}

#[test]
fn the_manager_counts_what_it_does() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &plain(3, "n", "10.0.0.7"));
    manager.post("/resource", b"{}");
    manager.wait_until_saved();
    let reports = |outcome: &str, url: &str| {
        manager.metric(&format!("cardcage_manager_reports_total{{outcome=\"{outcome}\",url=\"{url}\"}}"))
    };
    assert_eq!((reports("kept", "/heartbeat"), reports("malformed", "/resource")), (Some(1.0), Some(1.0)));
    assert_eq!(manager.metric("cardcage_manager_boards{state=\"up\"}"), Some(1.0));
    assert_eq!(manager.metric("cardcage_manager_store_batches_total{outcome=\"written\"}"), Some(1.0));
}
