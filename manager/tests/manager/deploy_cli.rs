//! `cardcage deploy`, `stop`, `ps`, `logs`, against a real manager and an agent that plays its part.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::agent::{FakeAgent, Manners};
use crate::deploy::{OTHER, UUID, one, order, start};
use crate::support::{Manager, Place, wait_for};

fn command(place: &Place, manager: &Manager, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardcage"));
    command
        .args(line)
        .env("CARDCAGE_MANAGER", &manager.url)
        .env("CARDCAGE_TOKEN_FILE", place.state_dir().join("token"));
    command
}

fn run(place: &Place, manager: &Manager, line: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(place, manager, line).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

const ORDER: [&str; 9] =
    ["deploy", "--type", "bar", "--url", "http://s/", "--file", "f.bar", "--memory", "512MiB"];

fn deploy<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ORDER.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn a_deployment_from_its_start_to_its_stop() {
    let (place, manager, agent) = one();
    let line = deploy(&[
        "--board", "1/3/1", "--cpu", "2", "--uuid", UUID, "--env", "A=b", "--arg", "-v", "--option", "n=7",
    ]);
    let (status, out, err) = run(&place, &manager, &line);
    assert_eq!(status, Some(0), "{err}");
    assert!(
        out.lines().nth(1).unwrap().starts_with(&format!("done     {UUID}  {}  1   ", &agent.id[..13])),
        "{out}"
    );
    let sent = agent.state().deploys[0].clone();
    assert_eq!(sent["options"], json!({"env": {"A": "b"}, "args": ["-v"], "n": 7}));
    assert_eq!(sent["require"], json!({"cpu": 2, "memory": 512 << 20, "gpu": 0}));
    agent.report(&manager);
    let (_, out, _) = run(&place, &manager, &["ps"]);
    let row = out.lines().nth(1).unwrap();
    assert!(row.starts_with("running  running  ") && row.contains(UUID) && row.contains("7.5 %"), "{out}");
    assert!(out.ends_with("1 deployment, 0 not as wanted\n"), "{out}");
    let (_, out, _) = run(&place, &manager, &["ps", "--json", "--board", "1/3/1", "--state", "running"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["deployments"][0]["uuid"], UUID);
    let (_, out, _) = run(&place, &manager, &["board", "1/3/1"]);
    assert!(out.contains("COMPONENTS") && out.contains(UUID), "{out}");
    let (status, out, err) = run(&place, &manager, &["stop", UUID]);
    assert!(status == Some(0) && out.contains("done"), "{out}{err}");
    agent.report(&manager);
    assert!(
        run(&place, &manager, &["ps"]).1.starts_with("STATE")
            && !run(&place, &manager, &["ps"]).1.contains(UUID)
    );
    assert!(run(&place, &manager, &["ps", "--all"]).1.contains(UUID));
}

#[test]
fn the_status_says_how_it_ended() {
    let (place, manager, agent) = one();
    let status = |line: &[&str]| run(&place, &manager, line);
    let (code, _, err) = status(&deploy(&["--select", "box=1"]));
    assert!(code == Some(1) && err.contains("no longer than 2h, two queries"), "{err}");
    start(&place, &manager, &order(&agent.id, OTHER));
    agent.manners(Manners::Refuses(4));
    let (code, out, err) = status(&deploy(&["--board", "1/3/1", "--json"]));
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["results"][0]["outcome"], "no_room");
    agent.manners(Manners::Refuses(9));
    let (code, out, err) = status(&deploy(&["--select", "box=1"]));
    assert_eq!(code, Some(4), "{out}{err}");
    assert!(err.contains("cardcage ps"), "{err}");
    assert_eq!(status(&["stop", "nobody"]).0, Some(3));
    assert_eq!(status(&["logs", "nobody"]).0, Some(3));
    assert_eq!(status(&deploy(&["--board", "nobody"])).0, Some(3));
    assert_eq!(status(&deploy(&[])).0, Some(2), "no board");
    assert_eq!(status(&deploy(&["--board", "1/3/1", "--option", "a=b"])).0, Some(2));
    let (code, _, err) = status(&["stop", UUID, "--token-file", "/dev/null"]);
    assert!(code == Some(1) && err.contains("token"), "{err}");
    start(&place, &manager, &order(&agent.id, UUID));
    assert_eq!(status(&["stop", "--forget", UUID]).1, format!("forgot {UUID}\n"));
}

#[test]
fn several_boards_are_one_command_and_a_line_each() {
    let (place, manager, agent) = one();
    let other = FakeAgent::start();
    other.meet(&manager, 4);
    let (status, out, err) = run(&place, &manager, &deploy(&["--board", "1/3/1", "--board", "1/4/1"]));
    assert_eq!((status, out.lines().count()), (Some(0), 3), "{out}{err}");
    assert_eq!((agent.state().instances.len(), other.state().instances.len()), (1, 1));
}

#[test]
fn a_log_is_followed_until_its_instance_has_ended() {
    let (place, manager, agent) = one();
    start(&place, &manager, &order(&agent.id, UUID));
    agent.report(&manager);
    let print = |text: &str| agent.state().instances.get_mut(UUID).unwrap().log.push_str(text);
    print("one\ntwo\nthree\u{1b}[2J\n");
    let (status, out, _) = run(&place, &manager, &["logs", UUID]);
    assert_eq!((status, out.as_str()), (Some(0), "one\ntwo\nthree\u{FFFD}[2J\n"));
    assert_eq!(run(&place, &manager, &["logs", UUID, "--tail", "2"]).1, "two\nthree\u{FFFD}[2J\n");

    let mut follow = command(&place, &manager, &["logs", UUID, "--follow", "--tail", "1"]);
    let mut follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), "three\u{FFFD}[2J");
    print("four\n");
    assert_eq!(next(), "four");
    print("five\n");
    assert_eq!(next(), "five");
    agent.state().instances.get_mut(UUID).unwrap().state = "STOPPED".into();
    agent.report(&manager);
    let status = wait_for("the end", || follow.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    agent.state().instances.clear();
    let (status, _, err) = run(&place, &manager, &["logs", UUID]);
    assert!(status == Some(1) && err.contains("is gone"), "{err}");
}
