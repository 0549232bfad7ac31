//! The agent as a process: its command line, its signals, its files, what survives it.

use std::time::{Duration, Instant};

use cardcage_tests::{World, until};
use serde_json::Value;

#[test]
fn an_unknown_key_ends_it_with_code_2_and_names_the_nearest() {
    let world = World::new();
    for command in ["run", "check"] {
        let run = world.agent().config("[kernel]\nporc = \"/proc\"").output(&[command]);
        assert_eq!(run.status.code(), Some(2));
        let complaint = String::from_utf8(run.stderr).unwrap();
        assert!(complaint.contains("unknown field `porc`"), "{complaint}");
        assert!(complaint.contains("did you mean `proc`?"), "{complaint}");
    }
}

#[test]
fn a_configuration_that_is_not_there_ends_it_with_code_2() {
    let world = World::new();
    let run = world.agent().output(&["run", "--config", "/nowhere/agent.toml"]);
    assert_eq!(run.status.code(), Some(2), "{run:?}");
}

#[test]
fn check_says_what_is_wrong_all_at_once() {
    let world = World::new();
    let fine = world.agent().output(&["check"]);
    assert!(fine.status.success(), "{fine:?}");
    assert!(String::from_utf8(fine.stdout).unwrap().contains("The agent can start."));

    let agent = world.agent().start();
    // Its address is taken by itself, and the recording is not there.
    let config = agent.folder().join("agent.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(config, text + "[kernel]\nproc = \"/nowhere\"\n").unwrap();
    let wrong = agent.output(&["check"]);
    assert_eq!(wrong.status.code(), Some(1));
    let said = String::from_utf8(wrong.stdout).unwrap();
    assert!(said.contains("wrong: service.listen"), "{said}");
    assert!(said.contains("wrong: kernel.proc /nowhere is no folder"), "{said}");
}

#[test]
fn sigterm_ends_it_soon_with_code_0_and_takes_the_pid_file_along() {
    let world = World::new();
    let pid = world.folder().join("agent.pid");
    let mut agent = world.agent().flag("-f").flag("-P").flag(pid.to_str().unwrap()).start();
    let written = std::fs::read_to_string(&pid).unwrap();
    assert_eq!(written.trim(), agent.process.pid().to_string());
    until("it samples", || (agent.plugin("cpu").samples > 0).then_some(()));
    let asked = Instant::now();
    let ended = agent.stop();
    let took = asked.elapsed();
    assert!(ended.success(), "{ended:?}");
    assert!(took < Duration::from_secs(4), "it took {took:?}");
    assert!(!pid.exists(), "the pid file is left");
}

#[test]
fn a_log_file_takes_the_log() {
    let world = World::new();
    let log = world.folder().join("agent.log");
    let agent = world.agent().flag("-L").flag(log.to_str().unwrap()).launch();
    until("the log says so", || {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        (log.contains("service is open") && !log.contains('\x1b')).then_some(())
    });
    assert_eq!(agent.log(), "");
}

#[test]
fn a_killed_agent_comes_back_as_itself() {
    let world = World::new();
    let mut agent = world.agent().start();
    let manager = world.listener();
    let id = |report: &Value| report["data"]["cardcage"]["agent_id"].as_str().unwrap().to_owned();
    let before = id(&manager.answer("/heartbeat").body);
    agent.kill();
    agent.start_again();
    let after = id(&manager.answer("/heartbeat").body);
    assert_eq!(before, after);
    // And another agent is another.
    let _other = world.agent().start();
    manager.ask_extended("/heartbeat");
    assert_ne!(id(&manager.report().body), id(&manager.report().body));
}

#[test]
fn a_second_agent_in_the_same_state_directory_does_not_start() {
    let world = World::new();
    let agent = world.agent().start();
    let second = agent.output(&["run"]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(!second.stderr.is_empty());
}

#[test]
fn compiled_code_that_was_tampered_with_is_made_anew() {
    let world = World::new();
    let mut agent = world.agent().start();
    agent.until_plugin("cpu", "ready");
    agent.stop();
    let compiled = agent.folder().join("state/compiled");
    let mut damaged = 0;
    for entry in std::fs::read_dir(&compiled).unwrap() {
        let path = entry.unwrap().path();
        let mut code = std::fs::read(&path).unwrap();
        let middle = code.len() / 2;
        code[middle] ^= 1;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, code).unwrap();
        damaged += 1;
    }
    assert!(damaged >= 7);
    agent.start_again();
    agent.until_plugin("cpu", "ready");
    assert!(agent.process.log().contains("compiled plugin does not load, it is made anew"));
}

#[test]
fn the_service_answers_what_it_has_and_refuses_what_it_has_not() {
    let world = World::new();
    let agent = world.agent().start();
    let health = agent.get("/healthz");
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    let absent = agent.get("/nothing");
    assert_eq!((absent.status, &absent.json()["code"]), (404, &Value::from("absent")));
    let post = cardcage_tests::post(agent.service(), "/plugins", b"{}").unwrap();
    assert_eq!(post.status, 405);
}

#[test]
fn try_prints_readings_without_an_agent() {
    let world = World::new();
    let tried = world.agent().output(&["plugin", "try", "cpu", "memory", "--count", "2", "--json"]);
    assert!(tried.status.success(), "{tried:?}");
    let tried: Value = serde_json::from_slice(&tried.stdout).unwrap();
    assert!(tried["resource"]["resource"]["memory"]["total"].as_u64() > Some(0), "{tried}");
    assert_eq!(tried["plugins"].as_array().unwrap().len(), 2);
}
