//! Supervisors that are killed or silent, strangers with their pids, other boots.

use std::fs;

use cardcage_processes::State;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{open, pid_in, runs, sh, wait, world};

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn nothing_is_left_of_a_program_whose_supervisor_was_killed() {
    let Some(world) = world() else { return };
    let script = "setsid sh -c 'echo far=$$; exec sleep 1000' & echo main=$$; wait";
    let pid = world.run("one", sh(script)).pid;
    let said = wait("both have begun", || {
        Some(world.said("one")).filter(|said| said.contains("far=") && said.contains("main="))
    });
    signal(pid, Signal::KILL);
    let info = world.until_state("one", "lost");
    assert!(info.error.unwrap().contains("supervisor was killed"));
    assert!(!runs(pid_in(&said, "far")) && !runs(pid_in(&said, "main")));
    assert!(world.processes_left().is_empty());
    world.processes.stop("one").unwrap();
    assert_eq!(world.info("one").state, State::Lost, "it had ended already");
    assert_eq!(world.processes.start("one").unwrap().state, State::Running);
}

#[test]
fn a_supervisor_that_does_not_answer_is_put_down() {
    let Some(world) = world() else { return };
    let mut program = sh("echo main=$$; exec sleep 1000");
    program.stop_grace = 0;
    let pid = world.run("one", program).pid;
    let said = world.until_said("one", "main=");
    signal(pid, Signal::STOP);
    world.processes.stop("one").unwrap();
    assert!(!runs(pid.try_into().unwrap()) && !runs(pid_in(&said, "main")));
    assert_eq!(world.info("one").state, State::Stopped);
}

#[test]
fn signals_of_strangers_do_not_end_a_supervisor() {
    let Some(world) = world() else { return };
    let pid = world.run("one", sh("exec sleep 1000")).pid;
    for stranger in [Signal::TERM, Signal::INT, Signal::HUP, Signal::USR1] {
        signal(pid, stranger);
    }
    world.processes.stop("one").unwrap();
    assert_eq!(world.info("one").state, State::Stopped, "it was there to be told");
}

#[test]
fn a_stranger_with_a_pid_of_ours_is_never_signalled() {
    let Some(world) = world() else { return };
    world.create("one", sh("exit 0"));
    world.processes.start("one").unwrap();
    world.until_state("one", "exited");
    let mut stranger = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let path = world.dir().join("status.json");
    let mut status: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for whose in ["shim", "program"] {
        status[whose] = serde_json::json!({ "pid": stranger.id(), "start": 1 });
    }
    status["state"] = "running".into();
    fs::write(&path, status.to_string()).unwrap();
    world.until_state("one", "lost");
    world.processes.stop("one").unwrap();
    world.processes.start("one").unwrap();
    world.until_state("one", "exited");
    world.processes.remove("one").unwrap();
    assert!(stranger.try_wait().unwrap().is_none(), "it was not meant");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn after_a_boot_nothing_has_been_started() {
    let Some(world) = world() else { return };
    let pid = world.run("one", sh("exec sleep 1000")).pid;
    signal(pid, Signal::KILL);
    world.until_state("one", "lost");
    let path = world.dir().join("status.json");
    let text = fs::read_to_string(&path).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    for state in ["lost", "running"] {
        let text = text.replace(boot.trim(), "another boot").replace("\"lost\"", &format!("\"{state}\""));
        fs::write(&path, text).unwrap();
        let info = open(world.folder.path(), &world.group).info("one").unwrap().unwrap();
        assert_eq!((info.state, info.pid, info.error), (State::Created, 0, None));
    }
    assert_eq!(world.processes.start("one").unwrap().state, State::Running);
}
