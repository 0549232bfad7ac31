//! What is started again, when, and what is not.

use std::time::Instant;

use cardcage_processes::{Restart, State};

use crate::support::{sh, world};

#[test]
fn always_is_after_success_too_and_backs_off() {
    let Some(world) = world() else { return };
    let mut program = sh("echo run; exit 0");
    program.restart = Restart::Always;
    let began = Instant::now();
    let first = world.run("one", program);
    let info = world.until("one", "started three times", |info| info.restarts == 2);
    assert!(began.elapsed().as_millis() >= 3000, "1 s, then 2 s");
    assert_eq!(info.pid, first.pid, "the supervisor stays");
    world.until_state("one", "waiting");
    world.processes.stop("one").unwrap();
    assert_eq!(world.info("one").state, State::Stopped);
    assert_eq!(world.said("one").matches("run").count(), 3);
}

#[test]
fn on_failure_is_after_failure_only() {
    let Some(world) = world() else { return };
    let mut program = sh("test -e been && exit 0; touch been; exit 1");
    program.restart = Restart::OnFailure;
    world.run("one", program);
    let info = world.until_state("one", "exited");
    assert_eq!((info.restarts, info.exit_code), (1, Some(0)));
}

#[test]
fn a_program_that_vanishes_is_tried_again() {
    let Some(world) = world() else { return };
    let package = world.package("one");
    std::fs::write(package.join("server"), "#!/bin/sh\nrm server\nexit 0\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(package.join("server"), mode).unwrap();
    let mut program = sh("");
    program.command = vec!["server".to_owned()];
    program.restart = Restart::Always;
    world.run("one", program);
    let info = world.until("one", "tried in vain", |info| info.restarts >= 1 && info.error.is_some());
    assert_eq!(info.state, State::Waiting);
    assert!(info.error.unwrap().contains("cannot execute server"));
}
