//! Files that are not what they should be.

use std::fs;

use cardcage_processes::State;

use crate::support::{limits, owner, pid_in, runs, sh, world};

#[test]
fn a_program_whose_order_is_lost_is_ended_and_set_aside() {
    let Some(world) = world() else { return };
    for content in [None, Some("{\"owner\":"), Some("null"), Some("")] {
        let pid = world.run("one", sh("echo main=$$; exec sleep 1000")).pid;
        let said = world.until_said("one", "main=");
        let order = world.dir().join("program.json");
        match content {
            Some(content) => fs::write(order, content).unwrap(),
            None => fs::remove_file(order).unwrap(),
        }
        assert!(world.processes.survey("backend").unwrap().is_empty());
        assert!(!runs(pid.try_into().unwrap()) && !runs(pid_in(&said, "main")));
        assert_eq!(world.processes.info("one").unwrap(), None);
        let names: Vec<String> = fs::read_dir(world.folder.path().join("programs"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(names.len() == 1 && names[0].starts_with(".damaged-"), "{names:?}");
    }
    world.create("one", sh("exit 0"));
}

#[test]
fn an_order_in_the_wrong_folder_is_damaged() {
    let Some(world) = world() else { return };
    world.create("one", sh("exit 0"));
    let order = world.dir().join("program.json");
    let text = fs::read_to_string(&order).unwrap();
    fs::write(&order, text.replace("\"one\"", "\"two\"")).unwrap();
    assert!(world.processes.survey("backend").unwrap().is_empty());
}

#[test]
fn a_damaged_status_is_asked_for_while_somebody_knows_it() {
    let Some(world) = world() else { return };
    let pid = world.run("one", sh("exec sleep 1000")).pid;
    let status = world.dir().join("status.json");
    fs::write(&status, "{").unwrap();
    let info = world.info("one");
    assert_eq!((info.state, info.pid), (State::Running, pid));
    assert!(world.dir().join("status.json.damaged").exists());
    world.processes.stop("one").unwrap();
    fs::write(&status, "nonsense").unwrap();
    // Once its supervisor is gone, which has answered the stop a moment before.
    world.until_state("one", "lost");
}

#[test]
fn a_damaged_launch_does_not_hide_the_program() {
    let Some(world) = world() else { return };
    world.run("one", sh("exec sleep 1000"));
    fs::write(world.dir().join("launch.json"), "[]").unwrap();
    assert_eq!(world.info("one").state, State::Running);
    world.processes.stop("one").unwrap();
    assert!(world.processes_left().is_empty());
}

#[test]
fn what_a_killed_agent_was_making_does_not_stand_in_the_way() {
    let Some(world) = world() else { return };
    let dir = world.folder.path().join("programs");
    world.create("one", sh("exit 0"));
    let key = world.dir().file_name().unwrap().to_str().unwrap().to_owned();
    world.processes.remove("one").unwrap();
    for name in [format!(".new-{key}"), format!(".old-{key}")] {
        fs::create_dir_all(dir.join(name).join("folder")).unwrap();
    }
    world.processes.create(&owner("one"), &sh("exit 0"), &limits(), &world.package("one")).unwrap();
    world.processes.remove("one").unwrap();
}
