//! How long the text becomes.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::testing;

fn text(fleet: &Fleet) -> String {
    render(fleet, usize::MAX).unwrap().concat()
}

/// As many interfaces as are kept, with all counters and long names.
fn interfaces() -> Value {
    let interface = |number: usize| {
        json!({"interface": format!("{number} {}", "i".repeat(250)), "age_ms": 0, "rx_bytes": 1, "tx_bytes": 1,
               "rx_packets": 1, "tx_packets": 1, "rx_errors": 1, "tx_errors": 1, "rx_dropped": 1, "tx_dropped": 1,
               "state": "up", "speed": 8})
    };
    json!({"network": (0..1024).map(interface).collect::<Vec<_>>()})
}

/// What an ordinary board says: 201 series.
fn ordinary() -> Value {
    let network = |number: usize| {
        json!({"interface": format!("eth{number}"), "age_ms": 40, "rx_bytes": 123_456_789_012_u64,
               "tx_bytes": 123_456_789_012_u64, "rx_packets": 123_456_789, "tx_packets": 123_456_789,
               "rx_errors": 0, "tx_errors": 0, "rx_dropped": 0, "tx_dropped": 0, "state": "up", "speed": 1_000_000_000})
    };
    let disk = |number: usize| {
        json!({"mount_point": format!("/data{number}"), "age_ms": 40, "device": format!("/dev/nvme0n1p{number}"),
               "total": 512_000_000_000_u64, "used": 256_000_000_000_u64, "free": 230_000_000_000_u64, "read_only": false})
    };
    let sensor = |number: usize| {
        json!({"place": {"part": "cpu"}, "kind": "temperature", "name": format!("Core {number}"), "unit": "Cel",
               "value": 61.5, "status": "ok", "age_ms": 40, "plugin": "hwmon"})
    };
    json!({
        "cpu": {"age_ms": 40, "usage_percent": 12.5, "load_avg_1m": 0.5, "load_avg_5m": 0.5, "load_avg_15m": 0.5, "cores": 8},
        "memory": {"age_ms": 40, "total": 16_000_000_000_u64, "used": 4_000_000_000_u64, "free": 12_000_000_000_u64,
                   "swap_total": 8_000_000_000_u64, "swap_free": 8_000_000_000_u64},
        "network": (0..6).map(network).collect::<Vec<_>>(), "disk": (0..4).map(disk).collect::<Vec<_>>(),
        "sensors": (0..52).map(sensor).collect::<Vec<_>>()
    })
}

#[test]
fn a_board_that_invents_interfaces_gets_no_more_than_its_share_of_the_text() {
    let fleet = testing::fleet();
    for id in 1..=60 {
        testing::heartbeat(&fleet, id, &"h".repeat(256), &json!([]));
        testing::resource(&fleet, id, &interfaces());
    }
    let text = text(&fleet);
    // One line more than the limit, and the lines of the families.
    assert!(text.len() < 60 * (TEXT_LIMIT + 2048) + 16_384, "{}", text.len());
    assert!(text.contains("cardcage_board_up{") && text.contains(&format!("host=\"{}\"", "h".repeat(64))));
    let left_out = text.lines().filter(|line| line.starts_with("cardcage_board_series_left_out{"));
    let left_out: Vec<u64> = left_out.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(left_out.len(), 60);
    assert!(left_out.iter().all(|left_out| *left_out > 9000), "{left_out:?}");
}

#[test]
fn ten_thousand_ordinary_boards_fit() {
    let fleet = testing::fleet();
    testing::heartbeat(&fleet, 1, "node-1-3.rack", &json!([]));
    testing::resource(&fleet, 1, &ordinary());
    let text = text(&fleet);
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines().count(), 201);
    assert!(lines().any(|line| line.contains("series_left_out{") && line.ends_with(" 0")));
    let bytes: usize = lines().map(|line| line.len() + 1).sum();
    assert!(10_000 * bytes < super::super::LIMIT, "{bytes}");
}

#[test]
fn a_text_that_becomes_too_long_is_not_made_to_its_end() {
    let fleet = testing::fleet();
    (1..=3).for_each(|id| testing::heartbeat(&fleet, id, "n", &json!([])));
    let whole = text(&fleet).len();
    let made = |limit| render(&fleet, limit);
    assert!(made(whole).is_ok() && matches!(made(1000), Err(NoText::TooLong)));
}

#[test]
fn readings_that_no_longer_come_are_left_out_but_for_their_age() {
    let families = |resource_every| {
        let fleet = testing::asked_every(resource_every);
        testing::heartbeat(&fleet, 1, "n", &json!([]));
        testing::resource(&fleet, 1, &ordinary());
        // Four periods of a millisecond, or of an hour.
        std::thread::sleep(Duration::from_millis(10));
        let text = text(&fleet);
        ["resource_age_seconds{", "cpu_usage_ratio{", "sensor_ok{", "cpu_cores_allocated{", "up{"]
            .map(|family| text.contains(&format!("\n{PREFIX}{family}")))
    };
    assert_eq!(families(Duration::from_secs(3600)), [true; 5]);
    assert_eq!(families(Duration::from_millis(1)), [true, false, false, false, true]);
}

#[test]
fn every_board_is_there_once_though_they_are_taken_a_few_at_a_time() {
    let fleet = testing::fleet();
    (1..=600).for_each(|id| testing::heartbeat(&fleet, id, "n", &json!([])));
    let text = text(&fleet);
    let mut boards: Vec<_> = text.lines().filter(|line| line.starts_with("cardcage_board_up{")).collect();
    boards.dedup();
    assert!(boards.len() == 600 && boards.is_sorted());
}
