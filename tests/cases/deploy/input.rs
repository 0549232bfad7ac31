//! Orders that are wrong, each in its own way, and what is answered. Nothing is started by any of them.

use cardcage_tests::{Board, Kind, Reply, post, until};
use serde_json::{Value, json};

/// A change that makes an order wrong; what is answered; words of the answer.
type Wrong = (Value, i64, &'static [&'static str]);

/// Each is tried on both backends.
fn wrongs() -> Vec<Wrong> {
    vec![
        // A field that is missing has the value null here.
        (json!({"mode": null}), 1, &["mode", "missing"]),
        (json!({"type": null}), 1, &["type", "missing"]),
        (json!({"uuid": null}), 1, &["uuid", "missing"]),
        (json!({"url": null}), 1, &["url", "missing"]),
        (json!({"file": null}), 1, &["file", "missing"]),
        (json!({"require": null}), 1, &["require", "missing"]),
        (json!({"require": {"memory": 33_554_432, "gpu": 0}}), 1, &["require.cpu", "missing"]),
        (json!({"require": {"cpu": 1, "gpu": 0}}), 1, &["require.memory", "missing"]),
        (json!({"require": {"cpu": 1, "memory": 33_554_432}}), 1, &["require.gpu", "missing"]),
        // And one of another type.
        (json!({"mode": 1}), 1, &["mode", "text"]),
        (json!({"type": ["docker"]}), 1, &["type", "text"]),
        (json!({"uuid": 7}), 1, &["uuid", "text"]),
        (json!({"uuid": ""}), 1, &["uuid", "empty"]),
        (json!({"uuid": "a\nb"}), 1, &["uuid", "control character"]),
        (json!({"url": {}}), 1, &["url", "text"]),
        (json!({"file": false}), 1, &["file", "text"]),
        (json!({"require": "much"}), 1, &["require", "object"]),
        (json!({"require": {"cpu": "one", "memory": 33_554_432, "gpu": 0}}), 1, &["require.cpu"]),
        (json!({"require": {"cpu": 1.5, "memory": 33_554_432, "gpu": 0}}), 1, &["require.cpu"]),
        (json!({"index": "first"}), 1, &["index"]),
        (json!({"name": 3}), 1, &["name"]),
        (json!({"options": []}), 1, &["options", "object"]),
        // Words that mean nothing.
        (json!({"mode": "restart"}), 1, &["mode", "restart", "start", "stop"]),
        (json!({"type": "kubernetes"}), 2, &["kubernetes", "bar", "docker"]),
        (json!({"options": {"privileged": true}}), 1, &["privileged"]),
        (json!({"options": {"cpu": "all"}}), 1, &["options.cpu", "exclusive", "shared"]),
        (json!({"options": {"env": {"A": 1}}}), 1, &["string"]),
        (json!({"url": "ftp://127.0.0.1"}), 1, &["http://"]),
        // Numbers that nobody can have.
        (json!({"require": {"cpu": 0, "memory": 33_554_432, "gpu": 0}}), 1, &["require.cpu is 0"]),
        (json!({"require": {"cpu": -1, "memory": 33_554_432, "gpu": 0}}), 1, &["require.cpu is -1"]),
        (json!({"require": {"cpu": 1, "memory": 0, "gpu": 0}}), 1, &["require.memory is 0"]),
        (json!({"require": {"cpu": 1, "memory": -5, "gpu": 0}}), 1, &["require.memory"]),
        (json!({"require": {"cpu": 1, "memory": 33_554_432, "gpu": -1}}), 1, &["require.gpu is -1"]),
        // And more than the board has: what was asked, and what is free.
        (
            json!({"require": {"cpu": 65_536, "memory": 33_554_432, "gpu": 0}}),
            4,
            &["asked for 65536 cores", "free: "],
        ),
        (
            json!({"require": {"cpu": 1, "memory": 1_u64 << 50, "gpu": 0}}),
            4,
            &["asked for 1073741824 MiB", "free: "],
        ),
        (
            json!({"require": {"cpu": 1, "memory": 33_554_432, "gpu": 99}}),
            4,
            &["asked for 99 GPUs", "free: "],
        ),
    ]
}

#[test]
fn an_order_that_is_wrong_is_refused_with_the_field_and_what_would_be_right() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("wrong orders", kind) else { continue };
        for (change, result, words) in wrongs() {
            let mut body = board.serve("a").body();
            for (field, value) in change.as_object().unwrap() {
                match value {
                    Value::Null => drop(body["data"].as_object_mut().unwrap().remove(field)),
                    other => body["data"][field] = other.clone(),
                }
            }
            let reply = board.agent.deploy(&body).refused(result, words);
            assert_eq!(reply.status, 200, "{change}");
            // What could be read of the request is said again.
            let uuid = body["data"]["uuid"].as_str().unwrap_or_default();
            assert_eq!(reply.data["uuid"], uuid, "{change}");
        }
        until("nothing is deployed", || board.agent.deployments().is_empty().then_some(()));
        assert_eq!(board.remains("a"), Vec::<String>::new());
        assert_eq!(board.repository.asked(kind.file()), 0);
    }
}

#[test]
fn what_is_not_the_protocol_is_a_bad_request() {
    let Some(board) = Board::new("bodies", Kind::Bar) else { return };
    let deep = "[".repeat(100_000);
    for (body, status, word) in [
        ("", 400, "JSON"),
        ("mode=start", 400, "JSON"),
        ("{\"api_version\": 1", 400, "JSON"),
        ("[]", 400, "api_version"),
        ("{\"api_version\": 2, \"data\": {}}", 400, "api_version"),
        ("{\"api_version\": 1, \"data\": []}", 400, "api_version"),
        ("\u{0}", 400, "JSON"),
        (&deep, 400, "JSON"),
    ] {
        let answer = post(board.agent.service(), "/deploy", body.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
        Reply::of(&answer).refused(1, &[word]);
    }
}

#[test]
fn a_stop_that_is_wrong_is_refused() {
    let Some(board) = Board::new("wrong stops", Kind::Bar) else { return };
    for (id, word) in
        [(json!(null), "missing"), (json!(""), "empty"), (json!(-4), "positive"), (json!({}), "text")]
    {
        let body = cardcage_tests::stop("bar", "a", &id);
        board.agent.deploy(&body).refused(1, &["id", word]);
    }
    board
        .agent
        .deploy(&cardcage_tests::stop("bar", "a", &json!(4711)))
        .refused(5, &["a is not deployed here"]);
}

#[test]
fn what_the_engine_cannot_start_fails_and_says_why() {
    let Some(board) = Board::new("images that cannot start", Kind::Docker) else { return };
    let image = cardcage_tests::image("cardcage-tests:without-command", &[]);
    board.repository.put("without.tar", image);
    let without = board.of("without", "without.tar");
    board.agent.order(&without).refused(7, &["command"]);
    let absent = board.serve("absent").option("args", json!(["/bin/not-there"]));
    board.agent.order(&absent).refused(7, &["not-there"]);
    for uuid in ["without", "absent"] {
        let failed = board.agent.until_state(uuid, "FAILED");
        assert!(failed["reason"].is_string() && failed["cores"] == json!([]), "{failed}");
        until("nothing is left", || board.remains(uuid).is_empty().then_some(()));
    }
}

#[test]
fn a_package_that_cannot_start_fails_and_says_why() {
    let Some(board) = Board::new("packages that cannot start", Kind::Bar) else { return };
    let package = |manifest: &str| cardcage_tests::bar(manifest, &[("run", b"not a program")]);
    let head = "name = \"x\"\nversion = \"1\"\n";
    for (uuid, package, result, word) in [
        ("absent", package(&format!("{head}command = [\"./not-there\"]")), 7, "not-there"),
        ("no-program", package(&format!("{head}command = [\"./\"]")), 7, "./"),
        (
            "nobody",
            package(&format!("{head}command = [\"./run\"]\nuser = \"nobody-at-all\"")),
            7,
            "nobody-at-all",
        ),
        ("no-manifest", cardcage_tests::gzip(&cardcage_tests::tar(&[("x", b"x")])), 6, "bar.toml"),
        ("no-toml", package("name = "), 6, "bar.toml"),
        ("no-command", package(head), 6, "command"),
        ("unknown-key", package(&format!("{head}command = [\"./run\"]\nshell = true")), 6, "shell"),
    ] {
        let file = format!("{uuid}.bar");
        board.repository.put(&file, package);
        board.agent.order(&board.of(uuid, &file)).refused(result, &[word]);
        board.agent.until_state(uuid, "FAILED");
    }
    assert_eq!(board.remains_of_programs(), Vec::<String>::new());
}
