//! One sample of every message, as it stands on the wire: a type is spelled like its document, and a sample proves it.

#![expect(clippy::unwrap_used, reason = "a test may panic, that is how it fails")]

use std::net::Ipv4Addr;

use cardcage_wire::board::{
    DeployReply, DeployRequest, Envelope, Heartbeat, Query, ReportUrl, ResourceReport, State,
};
use cardcage_wire::extension;
use serde::Serialize;
use serde_json::Value;

/// What is written is what the sample says: the same fields, no more, no fewer.
fn check_writes<T: Serialize>(message: T, sample: &str) {
    let written: Value = serde_json::from_slice(&Envelope::new(message).to_bytes()).unwrap();
    let sample: Value = serde_json::from_str(sample).unwrap();
    assert_eq!(written, sample);
}

fn check_heartbeat(sample: &str) -> Heartbeat {
    let heartbeat = Heartbeat::parse(sample.as_bytes()).unwrap();
    check_writes(heartbeat.clone(), sample);
    heartbeat
}

fn check_resource(sample: &str) -> ResourceReport {
    let report = ResourceReport::parse(sample.as_bytes()).unwrap();
    check_writes(report.clone(), sample);
    report
}

#[test]
fn the_documents_query_has_its_port_in_a_string() {
    let sample = include_str!("../samples/board/query-heartbeat.json");
    let query = Query::parse(sample.as_bytes()).unwrap();
    assert_eq!(query.manager_ip, Ipv4Addr::new(192, 168, 10, 254));
    assert_eq!(query.manager_port.get(), 3926);
    assert_eq!(query.url, ReportUrl::Heartbeat);
    assert_eq!((query.query_id, query.spread_ms), (None, None));
}

#[test]
fn a_plain_query_has_exactly_the_documents_fields() {
    let sample = include_str!("../samples/board/query-resource.json");
    let query = Query::parse(sample.as_bytes()).unwrap();
    assert_eq!(query.url, ReportUrl::Resource);
    check_writes(query, sample);
}

#[test]
fn an_extended_query_says_what_its_manager_understands() {
    let sample = include_str!("../samples/board/query-extended.json");
    let query = Query::parse(sample.as_bytes()).unwrap();
    assert_eq!(query.extensions, [extension::NAME]);
    assert_eq!(query.spread_ms, Some(1000));
    check_writes(query, sample);
}

#[test]
fn a_heartbeat_has_exactly_the_documents_fields_and_its_chinese_text() {
    let heartbeat = check_heartbeat(include_str!("../samples/board/heartbeat.json"));
    assert_eq!(heartbeat.box_type, "计算I型");
    assert_eq!(heartbeat.gpu.first().unwrap().name, "景嘉微 JM9");
    assert_eq!(heartbeat.cardcage, None);
}

#[test]
fn numbers_in_strings_and_unknown_fields_are_the_same_heartbeat() {
    let strings = include_str!("../samples/board/heartbeat-strings.json");
    let numbers = include_str!("../samples/board/heartbeat.json");
    assert_eq!(Heartbeat::parse(strings.as_bytes()).unwrap(), Heartbeat::parse(numbers.as_bytes()).unwrap());
}

#[test]
fn an_extended_heartbeat_carries_the_plugins() {
    let heartbeat = check_heartbeat(include_str!("../samples/board/heartbeat-extended.json"));
    let extension = heartbeat.cardcage.unwrap();
    assert_eq!(extension.plugins.len(), 2);
    assert_eq!(extension.identity.manufacturer.as_deref(), Some("飞腾"));
}

#[test]
fn a_resource_report_round_trips_whole_counters() {
    let report = check_resource(include_str!("../samples/board/resource.json"));
    assert_eq!(report.resource.network.first().unwrap().rx_bytes, u64::MAX);
    assert_eq!(report.component.first().unwrap().state, State::Running);
}

#[test]
fn a_board_without_anything_sends_zeros_and_empty_lists() {
    let report = check_resource(include_str!("../samples/board/resource-empty.json"));
    assert_eq!(report.resource, cardcage_wire::board::Resource::default());
}

#[test]
fn an_extended_resource_report_leaves_the_unknown_out() {
    let report = check_resource(include_str!("../samples/board/resource-extended.json"));
    let readings = report.cardcage.unwrap().readings;
    assert_eq!(readings.cpu.unwrap().load_avg_1m, None);
    assert_eq!(readings.memory.unwrap().swap_total, Some(0));
    assert_eq!(readings.sensors.last().unwrap().value, None);
}

#[test]
fn deploys_are_written_as_the_document_has_them() {
    for sample in [
        include_str!("../samples/board/deploy-start.json"),
        include_str!("../samples/board/deploy-stop.json"),
    ] {
        check_writes(DeployRequest::parse(sample.as_bytes()).unwrap(), sample);
    }
    let sample = include_str!("../samples/board/deploy-reply.json");
    check_writes(DeployReply::parse(sample.as_bytes()).unwrap(), sample);
}
