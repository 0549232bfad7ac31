//! From nothing to a reading in a running agent's report, as a vendor without hardware goes.

use std::process::Command;

use cardcage_tests::{World, executable, skip, until};

/// `plugin new`, `plugin build`, and a copy into the folder of an agent that runs.
#[test]
fn a_project_in_c_becomes_a_reading_in_a_report() {
    if Command::new("clang").arg("--version").output().is_err() {
        skip("a_project_in_c_becomes_a_reading_in_a_report", "clang");
        return;
    }
    let world = World::new();
    let (agent, manager) = (world.agent().start(), world.listener());
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(executable("cardcage-agent"));
        let output = command.args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = run(&["plugin", "new", "--help"]);
    assert!(help.contains("--lang") && help.contains("Usage: cardcage-agent plugin new"), "{help}");
    run(&["plugin", "new", "acme-first", "--lang", "c"]);
    run(&["plugin", "build", "acme-first"]);
    run(&["plugin", "try", "acme-first/acme-first.wasm"]);
    let built = folder.path().join("acme-first/acme-first.wasm");
    std::fs::copy(built, agent.folder().join("plugins/acme-first.wasm")).unwrap();
    agent.until_plugin("acme-first", "ready");
    until("its reading is in a report", || {
        let report = manager.answer("/resource");
        let sensors = report.readings()["sensors"].as_array().unwrap().clone();
        sensors.iter().any(|sensor| sensor["plugin"] == "acme-first").then_some(())
    });
}
