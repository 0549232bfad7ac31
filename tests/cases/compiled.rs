//! Compiled code: what it takes to make it, and which of it is not trusted.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use cardcage_tests::{Agent, FullDisk, Plugin, World, skip, until};

use crate::replay::PROBES;

/// Waits until each plugin was tried more than once, and waits for the machine to be mended for this reason.
#[track_caller]
fn until_they_wait(agent: &Agent, reason: &str) {
    for probe in PROBES {
        until(&format!("{probe} waits: {reason}"), || {
            let plugin = agent.plugin(probe);
            assert!(["compiling", "backoff"].contains(&&*plugin.state), "{plugin:?}");
            let waits = plugin.state == "backoff" && plugin.failures > 1;
            (waits && plugin.reason.is_some_and(|why| why.contains(reason))).then_some(())
        });
    }
}

/// Waits until each plugin is ready, without having been set aside.
#[track_caller]
fn until_they_are_ready(agent: &Agent) {
    for probe in PROBES {
        let plugin = until(&format!("{probe} is ready"), || {
            let plugin = agent.plugin(probe);
            assert!(!["refused", "quarantined"].contains(&&*plugin.state), "{plugin:?}");
            (plugin.state == "ready").then_some(plugin)
        });
        assert_eq!((plugin.restarts, plugin.reason), (0, None), "{probe}");
    }
    let log = agent.process.log();
    assert!(!log.contains("set aside"), "{log}");
}

#[test]
fn plugins_wait_for_a_compiler_that_is_installed_later() {
    let world = World::new();
    let agent = world.agent().cold().without_compiler().start();
    let compiler = agent.folder().join("bin/cardcage-compile");
    until_they_wait(&agent, &format!("the compiler {} cannot be run", compiler.display()));
    agent.install_compiler();
    until_they_are_ready(&agent);
}

#[test]
fn plugins_wait_for_room_on_a_full_disk() {
    let world = World::new();
    let plan = world.agent().cold();
    let test = "plugins_wait_for_room_on_a_full_disk";
    let Some(disk) = FullDisk::at(test, &plan.folder().join("state"), 8) else { return };
    let agent = plan.start();
    until_they_wait(&agent, "No space left on device");
    disk.empty();
    until_they_are_ready(&agent);
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
    agent.process.until_log("compiled plugin does not load, it is made anew");
}

#[test]
fn compiled_code_that_others_can_write_to_is_made_anew() {
    check_made_anew("compiled_code_that_others_can_write_to_is_made_anew", |planted| {
        std::fs::set_permissions(planted, Permissions::from_mode(0o666))
    });
}

#[test]
fn compiled_code_of_another_user_is_made_anew() {
    check_made_anew("compiled_code_of_another_user_is_made_anew", |planted| {
        chown(planted, Some(65_534), None)
    });
}

/// Its name and its content are as they should be; but whoever could do this to a file could have planted it.
#[track_caller]
fn check_made_anew(test: &str, plant: impl FnOnce(&Path) -> std::io::Result<()>) {
    let world = World::new();
    let mut agent = world.agent().start();
    let cpu = agent.until_plugin("cpu", "ready");
    agent.stop();
    let planted = compiled(&agent, &cpu);
    let about = |path: &Path| path.metadata().map(|about| (about.uid(), about.mode() & 0o777)).unwrap();
    let own = about(&planted);
    if let Err(error) = plant(&planted) {
        skip(test, &format!("root: {error}"));
        return;
    }
    assert_ne!(about(&planted), own);
    let written = agent.process.log().len();
    agent.start_again();
    let line = agent.process.until_log_from(written, "compiled plugin does not load, it is made anew");
    assert!(line.contains("plugin=cpu") && line.contains("another user made it, or can change it"), "{line}");
    agent.until_plugin("cpu", "ready");
    assert_eq!(about(&compiled(&agent, &cpu)), own);
}

/// The file that a plugin was compiled to.
#[track_caller]
fn compiled(agent: &Agent, plugin: &Plugin) -> PathBuf {
    let entries = std::fs::read_dir(agent.folder().join("state/compiled")).unwrap();
    let paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let of_plugin = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&plugin.digest);
    paths.iter().find(of_plugin).unwrap().clone()
}
