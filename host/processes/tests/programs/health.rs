//! Programs that say they are unwell, and checks that are.

use cardcage_processes::{Health, Restart, State};

use crate::support::{sh, world};

fn check(script: &str, retries: u32) -> Option<Health> {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    // Longer than a shell needs to begin on a busy machine.
    Some(Health { command, every: 1, timeout: 20, retries })
}

#[test]
fn an_unwell_program_is_ended_and_counts_as_failed() {
    let Some(world) = world() else { return };
    let mut program = sh("trap 'exit 0' TERM; while :; do sleep 0.1; done");
    program.health = check("echo x >> checks; exit 9", 2);
    program.restart = Restart::OnFailure;
    world.run("one", program);
    let info = world.until_state("one", "waiting");
    assert_eq!(info.exit_code, Some(0), "it ended well, and failed all the same");
    assert_eq!(info.error.unwrap(), "its health check failed 2 times in a row, at last: exit status 9");
    let checks = std::fs::read_to_string(world.dir().join("folder/checks")).unwrap();
    assert_eq!(checks.lines().count(), 2, "run in its folder");
    world.until("one", "started again", |info| info.restarts == 1 && info.state == State::Running);
}

#[test]
fn a_check_that_hangs_is_killed_and_one_that_is_not_there_is_said() {
    let Some(world) = world() else { return };
    let mut program = sh("exec sleep 1000");
    program.health = check("sleep 1000", 1).map(|health| Health { timeout: 1, ..health });
    world.run("hangs", program.clone());
    let info = world.until_state("hangs", "exited");
    assert!(info.error.unwrap().ends_with("it took longer than 1 s"));
    program.health = check("", 1).map(|health| Health { command: vec!["no-check".to_owned()], ..health });
    world.run("absent", program);
    let info = world.until_state("absent", "exited");
    assert!(info.error.as_ref().unwrap().contains("cannot execute no-check"), "{info:?}");
    assert!(world.processes_left().is_empty());
}

#[test]
fn a_well_program_goes_on_and_failures_must_be_in_a_row() {
    let Some(world) = world() else { return };
    let mut program = sh("exec sleep 1000");
    // Fails every second time.
    program.health = check("echo x >> checks; test $(($(wc -l < checks) % 2)) = 0", 2);
    world.run("one", program);
    let checks = world.dir().join("folder/checks");
    crate::support::wait("five checks", || {
        let text = std::fs::read_to_string(&checks).unwrap_or_default();
        (text.lines().count() >= 5).then_some(())
    });
    assert_eq!(world.info("one").state, State::Running);
}
