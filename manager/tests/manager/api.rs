//! The API, as its document describes it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use crate::support::{AGENT, OTHER_AGENT, Place, ours, plain};

#[test]
fn boards_are_filtered_and_come_in_pages() {
    let place = Place::new();
    let manager = place.start();
    (1..=5).for_each(|slot| manager.report("/heartbeat", &plain(slot, "n", &format!("10.0.0.{slot}"))));
    let page = manager.get("/fleet/v1/boards?limit=2").json();
    assert_eq!((page["boards"].as_array().unwrap().len(), &page["total"]), (2, &json!(5)));
    let next = page["next"].as_str().unwrap();
    let rest = manager.get(&format!("/fleet/v1/boards?limit=3&after={next}")).json();
    assert_eq!((rest["boards"].as_array().unwrap().len(), rest.get("next")), (3, None));
    assert_eq!(manager.get("/fleet/v1/boards?state=lost").json()["total"], 0);
    assert_eq!(manager.get("/fleet/v1/boards?state=up&box=1").json()["total"], 5);
    assert_eq!(manager.get("/fleet/v1/boards?box=2").json()["total"], 0);
    assert_eq!(manager.get("/fleet/v1/boards?state=gone").status, 400);
}

#[test]
fn an_error_says_what_to_do() {
    let place = Place::new();
    let manager = place.start();
    let answer = manager.get("/fleet/v1/boards/nobody");
    assert_eq!(answer.status, 404);
    let problem = answer.json();
    assert_eq!(problem["type"], "urn:cardcage:problem:no-such-board");
    assert!(problem["detail"].as_str().unwrap().contains("nobody") && problem["remedy"].is_string());
    manager.report("/heartbeat", &plain(3, "n", "10.0.0.7"));
    assert_eq!(manager.get("/fleet/v1/boards/1-3-1-0-n/resource").json()["title"], "no readings");
}

#[test]
fn plugins_are_counted_over_the_boards() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &ours(AGENT, 3, "10.0.0.7"));
    let mut other = ours(OTHER_AGENT, 4, "10.0.0.8");
    other["cardcage"]["plugins"][0]["state"] = json!("quarantined");
    manager.report("/heartbeat", &other);
    let plugins = manager.get("/fleet/v1/plugins").json();
    let expected = json!([{"name": "hwmon", "version": "0.1.0", "digest": "ab12", "built_in": true,
                           "boards": {"quarantined": 1, "ready": 1}}]);
    assert_eq!(plugins["plugins"], expected);
}

#[test]
fn a_change_needs_the_token() {
    let place = Place::new();
    let manager = place.start();
    manager.report("/heartbeat", &plain(3, "n", "10.0.0.7"));
    let path = "/fleet/v1/boards/1-3-1-0-n";
    assert_eq!(manager.delete(path, None).status, 401);
    assert_eq!(manager.delete(path, Some("")).status, 403);
    assert_eq!(manager.delete(path, Some("not the token")).status, 403);
    assert_eq!(manager.boards().len(), 1);
    assert_eq!(manager.delete(path, Some(&place.token())).status, 204);
    assert_eq!(manager.delete(path, Some(&place.token())).status, 404);
    assert!(manager.boards().is_empty());
}

#[test]
fn the_token_is_private_and_stays_the_same() {
    let place = Place::new();
    place.start().stop();
    let token = place.token();
    let mode = fs::metadata(place.state_dir().join("token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let manager = place.start();
    assert_eq!(place.token(), token);
    assert!(token.len() >= 32 && !manager.log().contains(&token));
}

/// `UPDATE_EXPECT=1 cargo test` writes it anew.
#[test]
fn the_checked_in_document_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let document = cardcage_manager::api::document().to_pretty_json().unwrap() + "\n";
    expect_test::expect_file![path].assert_eq(&document);
}

#[test]
fn the_document_is_served() {
    let place = Place::new();
    let manager = place.start();
    let served = manager.get("/fleet/v1/openapi.json").json();
    assert_eq!(served, serde_json::to_value(cardcage_manager::api::document()).unwrap());
    assert_eq!(manager.get("/healthz").status, 200);
}
