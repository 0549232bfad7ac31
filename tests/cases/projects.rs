//! From nothing to a reading in a running agent's report, as a vendor without hardware goes, in each language.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cardcage_manifest::{Kind, Plugin};
use cardcage_tests::{Agent, Typed, World, executable, skip, typed, until};
use tempfile::TempDir;

/// What the machine has already where tests run; a vendor types it once.
const ON_THE_MACHINE: [&str; 2] = ["apt install", "rustup target add"];

/// A vendor's machine, on which an agent runs.
struct Desk {
    folder: TempDir,
    agent: Agent,
}

impl Desk {
    /// Types a command in the folder of projects, or in one of them.
    fn type_in(&self, project: &str, command: &str) -> Output {
        let own = executable("cardcage-agent").parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.folder.path().join(project)).env_remove("WASI_SDK_PATH");
        shell.env(
            "PATH",
            std::env::join_paths([own].into_iter().chain(std::env::split_paths(&path))).unwrap(),
        );
        // Dependencies are compiled once for all tests.
        shell.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects"));
        shell.output().unwrap()
    }

    /// The same where it succeeds.
    #[track_caller]
    fn typed(&self, project: &str, command: &str) -> String {
        let output = self.type_in(project, command);
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn path(&self, project: &str, file: &str) -> PathBuf {
        self.folder.path().join(project).join(file)
    }
}

/// `plugin new`, then what it says is next, then a copy into the folder of an agent that runs; and what becomes of the
/// plugin when its source is broken.
fn check(test: &str, language: &str, source: &str, broken: &str) {
    let world = World::new();
    let manager = world.listener();
    let desk = Desk { folder: tempfile::tempdir().unwrap(), agent: world.agent().start() };
    let name = format!("acme-{language}");
    let told = desk.typed("", &format!("cardcage-agent plugin new {name} --lang {language}"));
    if language == "rust" {
        // The versions that the workspace is tested with, not those of the day.
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
        fs::copy(lock, desk.path(&name, "Cargo.lock")).unwrap();
    }
    // The agent's own configuration, so that nothing is compiled twice.
    let config = desk.agent.folder().join("agent.toml");
    let next: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert!(next.len() <= 4 && next[0] == format!("cd {name}"), "{told}");
    for step in &next[1..] {
        if ON_THE_MACHINE.iter().any(|begins| step.starts_with(begins)) {
            continue;
        }
        let output = desk.type_in(&name, &step.replace("try.toml", config.to_str().unwrap()));
        let complaint = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() && complaint.contains("is not there, which") {
            skip(test, complaint.trim());
            return;
        }
        assert!(output.status.success(), "{step}: {output:?}");
    }
    let (file, packed) = (format!("{name}.wasm"), desk.path(&name, &format!("{name}.wasm")));
    let bytes = fs::read(&packed).unwrap();
    let plugin = Plugin::read(&bytes).unwrap();
    assert!(plugin.manifest.name == name && Kind::Probe.is_exported(&plugin.exports), "{:?}", plugin.exports);
    let imports = |of: &str| plugin.imports.iter().any(|import| import.starts_with(of));
    // An operator has to grant nothing: of the host, what every plugin has; of the web, nothing.
    assert!(imports("cardcage:host/kernel@"), "{:?}", plugin.imports);
    assert!(!imports("cardcage:host/files@") && !imports("wasi:http/"), "{:?}", plugin.imports);

    desk.typed(
        &name,
        &format!("cardcage-agent plugin check {file} --samples 1000 --config {}", config.display()),
    );
    fs::copy(&packed, desk.agent.folder().join("plugins").join(&file)).unwrap();
    desk.agent.until_plugin(&name, "ready");
    until("its reading is in a report", || {
        let report = manager.answer("/resource");
        let sensors = report.readings()["sensors"].as_array().unwrap().clone();
        sensors.iter().any(|sensor| sensor["plugin"] == name.as_str()).then_some(())
    });

    let source = desk.path(&name, source);
    let text = fs::read_to_string(&source).unwrap() + broken;
    fs::write(&source, text).unwrap();
    let failed = desk.type_in(&name, "cardcage-agent plugin build");
    let complaint = String::from_utf8_lossy(&failed.stderr);
    assert!(
        !failed.status.success() && complaint.contains(source.file_name().unwrap().to_str().unwrap()),
        "{complaint}"
    );
    assert!(fs::read(&packed).unwrap() == bytes, "the last good plugin is gone");
}

#[test]
fn rust() {
    check("projects::rust", "rust", "src/lib.rs", "fn broken( {");
}

#[test]
fn python() {
    check("projects::python", "python", "app.py", "\ndef broken(\n");
}

#[test]
fn c() {
    check("projects::c", "c", "probe.c", "int broken( {\n");
}

#[test]
fn javascript() {
    check("projects::javascript", "js", "app.js", "function broken( {\n");
}

/// The five commands with which the guide to probes begins, typed.
#[test]
fn the_guides_five_commands_can_be_typed() {
    let world = World::new();
    let desk = Desk { folder: tempfile::tempdir().unwrap(), agent: world.agent().start() };
    let folder = desk.agent.folder();
    let all: Vec<Typed> = typed("sdk/guide/write-a-probe.md");
    assert_eq!(all.len(), 5);
    for Typed { command, says } in all {
        let line = command
            .trim_start_matches("sudo ")
            .replace("/var/lib/cardcage/plugins", folder.join("plugins").to_str().unwrap())
            .replace("/etc/cardcage/agent.toml", folder.join("agent.toml").to_str().unwrap());
        if command.contains(" plugin list ") {
            let row = says.lines().last().unwrap();
            let state = |text: &str| text.split_whitespace().take(6).map(str::to_owned).collect::<Vec<_>>();
            until(row, || {
                let said = desk.typed("", &line);
                assert_eq!(said.lines().next().map(state), says.lines().next().map(state));
                said.lines().any(|line| state(line) == state(row)).then_some(())
            });
            continue;
        }
        let said = desk.typed("", &line);
        if command.contains(" plugin new ") {
            let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
            fs::copy(lock, desk.path("acme-first", "Cargo.lock")).unwrap();
        }
        // Sizes, digests and readings are others.
        let first = |text: &str| text.lines().next().map(|line| line.split(':').next().unwrap().to_owned());
        if !says.starts_with('…') {
            assert_eq!(first(&said), first(&says), "{line}");
        }
    }
}
