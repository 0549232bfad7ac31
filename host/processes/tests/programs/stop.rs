//! Programs that do not want to end, and what they leave behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use cardcage_processes::State;

use crate::support::{open_with, pid_in, runs, sh, shim, wait, world};

#[test]
fn the_signal_is_the_one_that_was_ordered() {
    let Some(world) = world() else { return };
    let mut program = sh("trap 'echo goodbye; exit 3' INT; echo ready; while :; do sleep 0.1; done");
    program.stop_signal = "SIGINT".to_owned();
    world.run("one", program);
    world.until_said("one", "ready");
    world.processes.stop("one").unwrap();
    let info = world.info("one");
    assert_eq!((info.state, info.exit_code), (State::Stopped, Some(3)));
    assert!(world.said("one").contains("goodbye"), "what it said at the end is kept");
}

#[test]
fn what_the_agent_was_started_to_ignore_the_program_hears() {
    let Some(mut world) = world() else { return };
    let deaf = world.folder.path().join("deaf");
    let script = format!("#!/bin/sh\ntrap '' HUP INT QUIT TERM USR1 PIPE\nexec {:?} \"$@\"\n", shim());
    fs::write(&deaf, script).unwrap();
    fs::set_permissions(&deaf, fs::Permissions::from_mode(0o755)).unwrap();
    world.processes = open_with(world.folder.path(), &deaf, &world.group);
    world.run("one", sh("grep SigIgn /proc/self/status; echo that is all"));
    let said = world.until_said("one", "that is all");
    let ignored = said.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    // Two that no program can name may stay: 32 and 33 are the C library's.
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 0x7fff_ffff, 0, "{said}");
}

#[test]
fn who_does_not_listen_is_killed_after_the_grace() {
    let Some(world) = world() else { return };
    let mut program = sh("trap '' TERM; echo ready; while :; do sleep 0.1; done");
    program.stop_grace = 1;
    world.run("one", program);
    world.until_said("one", "ready");
    let began = Instant::now();
    world.processes.stop("one").unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1) && began.elapsed() < Duration::from_secs(6));
    let info = world.info("one");
    assert_eq!((info.state, info.signal.as_deref()), (State::Stopped, Some("SIGKILL")));
    assert!(world.processes_left().is_empty());
}

#[test]
fn descendants_that_left_end_with_it() {
    let Some(world) = world() else { return };
    let script = "setsid sh -c 'trap \"\" TERM HUP; (echo far=$$; exec sleep 1000) & wait' & \
        (setsid sh -c 'echo away=$$; exec sleep 1000' &) ; echo ready; wait";
    world.run("one", sh(script));
    let said = wait("all have begun", || {
        Some(world.said("one"))
            .filter(|said| ["far=", "away=", "ready"].iter().all(|word| said.contains(word)))
    });
    let pids = [pid_in(&said, "far"), pid_in(&said, "away")];
    assert!(pids.into_iter().all(runs));
    world.processes.stop("one").unwrap();
    assert!(!pids.into_iter().any(runs) && world.processes_left().is_empty());
}

#[test]
fn descendants_end_when_the_program_does() {
    let Some(world) = world() else { return };
    world.run("one", sh("setsid sh -c 'echo left=$$; exec sleep 1000' & sleep 0.2; exit 4"));
    let info = world.until_state("one", "exited");
    assert_eq!(info.exit_code, Some(4));
    let pid = pid_in(&world.said("one"), "left");
    assert!(!runs(pid) && world.processes_left().is_empty());
}

#[test]
fn who_moves_out_of_its_control_group_is_ended_all_the_same() {
    let Some(world) = world() else { return };
    let script = "for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do echo $$ 2>/dev/null >$procs; done; \
        setsid sh -c 'echo out=$$; exec sleep 1000' & echo ready; wait";
    world.run("one", sh(script));
    let said = wait("both have begun", || {
        Some(world.said("one")).filter(|said| said.contains("out=") && said.contains("ready"))
    });
    world.processes.stop("one").unwrap();
    assert!(!runs(pid_in(&said, "out")));
}

#[test]
fn a_fork_bomb_is_bounded_and_ends() {
    let Some(world) = world() else { return };
    let mut program = sh("trap '' TERM; bomb() { bomb & bomb & }; echo lit; bomb 2>/dev/null; sleep 1000");
    program.stop_grace = 1;
    // It is memory, too, that bounds it here, so that the machine of the test is spared.
    let mut limits = crate::support::limits();
    limits.memory = 96 << 20;
    world.create_within("one", program, limits);
    world.processes.start("one").unwrap();
    world.until_said("one", "lit");
    wait("there are many", || {
        (world.processes_left().len() > 100 || world.info("one").state != State::Running).then_some(())
    });
    world.processes.stop("one").unwrap();
    assert!(world.processes_left().is_empty());
}

#[test]
fn a_frozen_program_can_be_stopped() {
    let Some(world) = world() else { return };
    world.run("one", sh("echo ready; exec sleep 1000"));
    crate::limits::freeze(&world, true);
    world.until_state("one", "frozen");
    world.processes.stop("one").unwrap();
    assert_eq!(world.info("one").state, State::Stopped);
}

#[test]
fn a_start_in_the_middle_of_a_stop_starts_it_again() {
    let Some(world) = world() else { return };
    let mut program = sh("trap 'echo asked; sleep 1; exit 0' TERM; echo ready; while :; do sleep 0.1; done");
    program.stop_grace = 10;
    let first = world.run("one", program);
    world.until_said("one", "ready");
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| world.processes.stop("one").unwrap());
        world.until_said("one", "asked");
        let second = world.processes.start("one").unwrap();
        assert_ne!(second.pid, first.pid);
        stop.join().unwrap();
        assert_eq!(world.info("one").pid, second.pid);
    });
    assert_eq!(world.info("one").state, State::Running, "it was started after it was stopped");
}

#[test]
fn a_program_that_left_its_group_and_does_not_listen_ends_with_all_that_it_started() {
    let Some(world) = world() else { return };
    let script = "trap '' TERM; \
        for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do echo $$ 2>/dev/null >$procs; done; \
        (echo away=$(exec sh -c 'echo $PPID'); exec sleep 1000) & echo ready; while :; do sleep 0.1; done";
    let mut program = sh(script);
    program.stop_grace = 1;
    world.run("one", program);
    let said = wait("both have begun", || {
        Some(world.said("one")).filter(|said| ["away=", "ready"].iter().all(|word| said.contains(word)))
    });
    let pid = pid_in(&said, "away");
    assert!(runs(pid));
    world.processes.stop("one").unwrap();
    assert!(!runs(pid));
    assert_eq!(world.info("one").state, State::Stopped);
}
