//! The agent as a process: its command line, its signals, its files, what survives it.

use std::fs::Permissions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cardcage_tests::{World, connect_from, executable, sender_at, until};
use serde_json::Value;

#[test]
fn an_unknown_key_ends_it_with_code_2_and_names_the_nearest() {
    let world = World::new();
    let commands: [&[&str]; 6] = [
        &["run"],
        &["check"],
        &["plugin", "list"],
        &["plugin", "try", "cpu"],
        &["plugin", "warm"],
        &["plugin", "verify", "cpu.wasm"],
    ];
    for command in commands {
        let run = world.agent().config("[kernel]\nporc = \"/proc\"").output(command);
        assert_eq!(run.status.code(), Some(2), "{command:?}: {run:?}");
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
    assert!(said(&fine).contains("The agent can start."));

    // That it runs already is nothing to mend.
    let agent = world.agent().start();
    let state_dir = agent.folder().join("state");
    let notes = [
        format!("note:  an agent runs with state_dir {}\n", state_dir.display()),
        format!("note:  service.listen {} is in use\n", agent.service()),
    ];
    let beside = agent.output(&["check"]);
    assert!(beside.status.success(), "{beside:?}");
    let beside = said(&beside);
    assert!(notes.iter().all(|note| beside.contains(note)) && !beside.contains("wrong:"), "{beside}");
    assert!(beside.contains("must stop before another can start"), "{beside}");

    let config = agent.folder().join("agent.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(config, text + "[kernel]\nproc = \"/nowhere\"\nsys = \"/neither\"\n").unwrap();
    let wrong = agent.output(&["check"]);
    assert_eq!(wrong.status.code(), Some(1));
    let wrong = said(&wrong);
    let found: Vec<_> = wrong.lines().filter(|line| line.starts_with("wrong:")).collect();
    assert_eq!(
        found,
        ["wrong: kernel.proc /nowhere is no folder", "wrong: kernel.sys /neither is no folder"],
        "{wrong}"
    );
    assert!(notes.iter().all(|note| wrong.contains(note)), "{wrong}");
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn check_changes_nothing() {
    let world = World::new();
    let plan = world.agent().cold();
    let state_dir = plan.folder().join("state");
    let check = plan.clone().output(&["check"]);
    assert!(check.status.success(), "{check:?}");
    let note = format!("note:  state_dir {} will be made\n", state_dir.display());
    assert!(said(&check).contains(&note), "{check:?}");
    assert!(!state_dir.exists());

    let mut agent = plan.start();
    agent.until_plugin("cpu", "ready");
    agent.stop();
    let before = listing(agent.folder());
    assert!(before.iter().any(|entry| entry.contains("cwasm")), "{before:?}");
    let check = agent.output(&["check"]);
    assert!(check.status.success(), "{check:?}");
    assert_eq!(listing(agent.folder()), before);
}

/// A folder and everything in it: what it is, how long, since when.
fn listing(folder: &Path) -> Vec<String> {
    let list = Command::new("find").arg(folder).args(["-printf", "%p %M %u %s %T@ %C@\\n"]).output().unwrap();
    assert!(list.status.success(), "{list:?}");
    let mut list: Vec<_> = said(&list).lines().map(str::to_owned).collect();
    list.sort();
    list
}

#[test]
fn a_state_directory_that_others_can_write_to_is_refused_with_the_remedy() {
    let world = World::new();
    let plan = world.agent();
    let state_dir = plan.folder().join("state");
    let chmod = |mode| std::fs::set_permissions(&state_dir, Permissions::from_mode(mode)).unwrap();
    std::fs::create_dir(&state_dir).unwrap();
    for mode in [0o770, 0o702] {
        chmod(mode);
        let check = plan.clone().output(&["check"]);
        assert_eq!(check.status.code(), Some(1), "{check:?}");
        let wrong = said(&check);
        let wrong: Vec<_> = wrong.lines().filter(|line| line.starts_with("wrong:")).collect();
        assert!(wrong.len() == 1 && wrong[0].contains("chmod go-w"), "{wrong:?}");
        let mut run = plan.clone().launch();
        assert_eq!(run.wait().code(), Some(1));
        let log = run.log();
        let last = log.lines().last().unwrap();
        assert!(last.contains("chmod go-w") && last.contains(state_dir.to_str().unwrap()), "{log}");
    }
    chmod(0o750);
    plan.start().until_plugin("cpu", "ready");
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
fn words_of_rust_log_that_are_not_understood_are_named() {
    let world = World::new();
    let mut agent = world.agent().rust_log("debgu").start();
    let warning = agent.process.until_log("not understood");
    assert!(warning.contains("WARN") && warning.contains("RUST_LOG=\"debgu\""), "{warning}");
    // The usual lines, and no others.
    agent.process.until_log("plugin ready plugin=cpu");
    let log = agent.process.log();
    assert!(!log.contains("DEBUG") && !log.contains("TRACE"), "{log}");
}

#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let world = World::new();
    let mut agent = world.agent().rust_log("trace").unread().start();
    let manager = world.listener();
    let stranger = world.address(66);
    let (queries, group) = (sender_at(stranger), world.group());
    // Every connection that breaks is a line.
    let pester = || {
        for _ in 0..100 {
            let mut stream = connect_from(stranger, agent.service()).unwrap();
            stream.write_all(b"\x01\x02\x03\r\n\r\n").unwrap();
            let broken = stream.read_to_end(&mut Vec::new());
            assert!(!broken.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "no answer");
            queries.send_to(b"no query", (group.address, group.port)).unwrap();
        }
    };
    let lost = || agent.metric("cardcage_agent_log_lines_lost_total");
    until("lines are lost", || {
        pester();
        (lost() > 0.0).then_some(())
    });
    for _ in 0..5 {
        let before = lost();
        pester();
        let asked = Instant::now();
        let report = manager.answer("/resource");
        let took = report.at.saturating_duration_since(asked);
        assert!(took < Duration::from_secs(1), "the report took {took:?}");
        assert!(lost() > before, "somebody reads the log");
    }
    let asked = Instant::now();
    let ended = agent.stop();
    let took = asked.elapsed();
    assert!(ended.success(), "{ended:?}");
    assert!(took < Duration::from_secs(4), "it took {took:?}");
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
fn warm_says_what_it_leaves_out() {
    let world = World::new();
    let warm = world.agent().plugin("acme.wasm", b"hello").output(&["plugin", "warm"]);
    assert!(warm.status.success(), "{warm:?}");
    let lines = said(&warm);
    assert!(lines.contains("cpu is compiled\n"), "{lines}");
    assert!(lines.contains("acme is left out: not a WebAssembly file\n"), "{lines}");
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

/// A vendor at a desk: the agent's folder is not there, or is somebody else's.
#[test]
fn who_tries_a_plugin_needs_no_rights_of_the_agent() {
    let world = World::new();
    let (config, home) = (world.folder().join("agent.toml"), world.place("home"));
    std::fs::write(&config, "state_dir = \"/proc/nobodys\"\n").unwrap();
    let mut command = Command::new(executable("cardcage-agent"));
    command.args(["plugin", "try", "memory", "--config"]).arg(&config).env_remove("XDG_CACHE_HOME");
    let tried = command.env("HOME", &home).output().unwrap();
    assert!(tried.status.success(), "{tried:?}");
    let compiled = home.join(".cache/cardcage/compiled");
    assert!(compiled.is_dir());
    // It does not grow for ever: sixteen from before stay, beside what is tried.
    let number = || std::fs::read_dir(&compiled).unwrap().count();
    for old in 0..20_u32 {
        std::fs::write(compiled.join(format!("{old}-tried-{old}.cwasm")), "").unwrap();
    }
    assert!(command.env("HOME", &home).status().unwrap().success());
    assert_eq!(number(), 17);
    // Where that cannot be either, the first reason is the one to mend.
    let refused = command.env("HOME", "/proc").output().unwrap();
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && complaint.contains("/proc/nobodys/compiled"), "{complaint}");
}

#[test]
fn a_board_that_is_not_there_is_not_tried() {
    let world = World::new();
    let config = world.folder().join("agent.toml");
    std::fs::write(
        &config,
        format!("state_dir = {:?}\n[kernel]\nsys = \"nothing/sys\"\n", world.place("state")),
    )
    .unwrap();
    let mut command = Command::new(executable("cardcage-agent"));
    let tried = command.args(["plugin", "try", "hwmon", "--config"]).arg(&config).output().unwrap();
    let complaint = String::from_utf8(tried.stderr).unwrap();
    assert!(
        !tried.status.success() && complaint.contains("kernel.sys nothing/sys is no folder"),
        "{complaint}"
    );
}
