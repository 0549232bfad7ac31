//! A program is made, started, stopped, removed; how it begins and how its end is told.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use cardcage_processes::State;

use crate::support::{limits, open, owner, runs, sh, shim, wait, world};

#[test]
fn a_program_is_made_started_stopped_and_removed() {
    let Some(world) = world() else { return };
    let info = world.create("one", sh("echo here; exec sleep 1000"));
    assert_eq!((info.state, info.pid, info.order.as_str()), (State::Created, 0, "order of one"));
    let info = world.processes.start("one").unwrap();
    assert_eq!((info.state, info.restarts), (State::Running, 0));
    assert!(runs(info.pid.try_into().unwrap()));
    world.until_said("one", "here");
    assert_eq!(world.processes.start("one").unwrap().pid, info.pid, "it runs already");
    assert_eq!(world.processes.remove("one").unwrap_err().code(), "conflict");
    world.processes.stop("one").unwrap();
    world.processes.stop("one").unwrap();
    let stopped = world.info("one");
    assert_eq!((stopped.state, stopped.signal.as_deref()), (State::Stopped, Some("SIGTERM")));
    assert!(!runs(info.pid.try_into().unwrap()) && world.processes_left().is_empty());
    let again = world.processes.start("one").unwrap();
    assert_ne!(again.pid, info.pid);
    world.processes.stop("one").unwrap();
    world.processes.remove("one").unwrap();
    world.processes.remove("one").unwrap();
    assert_eq!(world.processes.info("one").unwrap(), None);
    assert_eq!(world.processes.start("one").unwrap_err().code(), "absent");
    assert_eq!(world.processes.stop("one").unwrap_err().code(), "absent");
}

#[test]
fn another_agent_finds_everything_again() {
    let Some(world) = world() else { return };
    let pid = world.run("one", sh("echo before; exec sleep 1000")).pid;
    let next = open(world.folder.path(), &world.group);
    let all = next.survey("backend").unwrap();
    assert_eq!(
        all.iter().map(|info| (info.uuid.as_str(), info.pid, info.state)).collect::<Vec<_>>(),
        [("one", pid, State::Running)]
    );
    assert!(next.survey("another").unwrap().is_empty());
    assert_eq!(next.owner("one").unwrap(), Some(owner("one")));
    assert_eq!(next.owner("two").unwrap(), None);
    next.stop("one").unwrap();
    assert_eq!(world.info("one").state, State::Stopped);
}

#[test]
fn a_deployment_has_one_program() {
    let Some(world) = world() else { return };
    world.create("one", sh("exit 0"));
    let again = world.processes.create(&owner("one"), &sh("exit 1"), &limits(), &world.package("one"));
    assert_eq!(again.unwrap_err().code(), "conflict");
    assert!(world.package("one").exists(), "what was refused was not taken");
}

#[test]
fn two_starts_at_once_are_one_program() {
    let Some(world) = world() else { return };
    for round in 0..5 {
        let uuid = format!("one-{round}");
        world.create(&uuid, sh("echo began; exec sleep 1000"));
        let other = open(world.folder.path(), &world.group);
        let pids: Vec<u32> = std::thread::scope(|scope| {
            let starts: Vec<_> = [&world.processes, &other, &world.processes]
                .into_iter()
                .map(|agent| scope.spawn(|| agent.start(&uuid).unwrap().pid))
                .collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(pids.iter().all(|&pid| pid == pids[0]), "{pids:?}");
        world.until_said(&uuid, "began");
        world.processes.stop(&uuid).unwrap();
        assert_eq!(world.said(&uuid).matches("began").count(), 1);
    }
}

#[test]
fn how_it_ended_is_kept() {
    let Some(world) = world() else { return };
    world.run("status", sh("exit 7"));
    let info = world.until_state("status", "exited");
    assert_eq!((info.exit_code, info.signal, info.error), (Some(7), None, None));
    world.run("signal", sh("kill -USR1 $$"));
    let info = world.until_state("signal", "exited");
    assert_eq!((info.exit_code, info.signal.as_deref()), (None, Some("SIGUSR1")));
    // Beyond the signals that have names.
    world.run("real-time", sh("kill -40 $$"));
    let info = world.until_state("real-time", "exited");
    assert_eq!(info.signal.as_deref(), Some("signal 40"));
}

#[test]
fn a_program_that_cannot_begin_says_why() {
    let Some(world) = world() else { return };
    let mut program = sh("");
    program.command = vec!["no/such/program".to_owned()];
    world.create("absent", program.clone());
    let error = world.processes.start("absent").unwrap_err();
    assert_eq!(error.code(), "absent");
    assert!(error.to_string().contains("no/such/program"), "{error}");
    let info = world.info("absent");
    assert_eq!(info.state, State::Exited);
    assert!(info.error.unwrap().contains("no/such/program"));
    program.command = vec!["data".to_owned()];
    fs::write(world.package("data").join("data"), "no program").unwrap();
    world.create("data", program);
    let error = world.processes.start("data").unwrap_err();
    assert_eq!(error.code(), "failed");
    assert!(error.to_string().contains("may not execute"), "{error}");
    world.processes.stop("data").unwrap();
    assert!(world.processes_left().is_empty());
}

#[test]
fn it_has_the_environment_of_its_order_and_no_other() {
    let Some(world) = world() else { return };
    // The shell's own, without a child: shells clear the mask of what they start.
    let mut program = sh(
        "pwd; umask; while read line; do echo \"$line\"; done < /proc/$$/status; ulimit -c; ls -l /proc/$$/fd; exec env",
    );
    program.environment = vec![("COLOUR".to_owned(), "blue green".to_owned())];
    world.run("one", program);
    world.until_state("one", "exited");
    let said = world.said("one");
    for line in [
        "COLOUR=blue green",
        "CARDCAGE_UUID=one",
        "CARDCAGE_CORES=0",
        "CARDCAGE_GPUS=0000:01:00.0",
        "USER=root",
        "HOME=/root",
        "0022",
        "SigBlk:\t0000000000000000",
        "0",
    ] {
        assert!(said.lines().any(|said| said == line), "{line} in {said}");
    }
    let files: Vec<&str> =
        said.lines().filter_map(|line| line.split_once(" -> ").map(|(_, file)| file)).collect();
    assert!(files.len() == 3 && files[0] == "/dev/null" && files[1].starts_with("pipe:"), "{files:?}");
    assert!(said.lines().next().unwrap().ends_with("/folder"), "{said}");
    assert!(!said.contains("CARGO"), "{said}");
}

#[test]
fn a_relative_command_is_in_the_package() {
    let Some(world) = world() else { return };
    let package = world.package("one");
    fs::create_dir(package.join("bin")).unwrap();
    fs::write(package.join("bin/server"), "#!/bin/sh\necho I am $0 $1\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(package.join("bin/server"), mode).unwrap();
    let mut program = sh("");
    program.command = vec!["bin/server".to_owned(), "now".to_owned()];
    world.run("one", program);
    world.until_said("one", "I am ./bin/server now");
}

#[test]
fn a_supervisor_is_not_started_by_hand() {
    let Some(world) = world() else { return };
    world.create("one", sh("exec sleep 1000"));
    let mut command = Command::new(shim());
    let status =
        command.arg0("shim").arg("run").arg(world.dir()).stdin(std::process::Stdio::null()).status().unwrap();
    assert!(!status.success());
    assert_eq!(world.info("one").state, State::Created);
    let status = Command::new(shim()).arg("nonsense").status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn the_supervisor_is_small_and_nobodys_child() {
    let Some(world) = world() else { return };
    let pid = world.run("one", sh("exec sleep 1000")).pid;
    let status = wait("the supervisor rests", || fs::read_to_string(format!("/proc/{pid}/status")).ok());
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    assert_ne!(field("PPid:").parse::<u32>().unwrap(), std::process::id());
    assert_eq!(field("Name:"), "cardcage-shim");
    assert_eq!(field("Threads:"), "1");
    let kibibytes: u32 = field("RssAnon:").parse().unwrap();
    assert!(kibibytes < 2048, "{kibibytes} KiB of its own");
}
