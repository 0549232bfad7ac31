//! What a probe gives on a recorded board, it gives on any: recordings made on this machine, and one that is checked in, are
//! played by an agent built for ARM64, under an emulator, and every sample must be the same to the last bit.
//!
//! On a machine that is an ARM64 itself the other tests show it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::build::{Profile, build};
use crate::command::{cargo, root, run, target_dir};
use crate::setup;

const TARGET: &str = "aarch64-unknown-linux-gnu";
/// In a variable's name, as cargo writes it there.
const FLAGS: &str = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS";
const LINKER: &str = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER";

/// An ARM64 board, recorded, with one recording of a probe on it.
const BOARD: &str = "tests/boards/phytium-d2000";
/// What is played: the probes with the most arithmetic.
const PROBES: [&str; 5] = ["cpu", "memory", "network", "disk", "hwmon"];

/// Builds the agent for ARM64 and has it play.
pub fn test() -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        println!("Nothing to emulate: this machine is no x86-64.");
        return Ok(());
    }
    if !setup::for_arm64(TARGET)? {
        return Ok(());
    }
    build(Profile::Debug)?;
    let packages = ["--package", "cardcage-agent", "--package", "cardcage-compile"];
    let mut cross = cargo(["build", "--bins", "--target", TARGET, "--features", "cardcage-compile/compiler"]);
    // Static, so that it runs without the libraries of a system for ARM64.
    cross.args(packages).env(LINKER, setup::ARM64_LINKER).env(FLAGS, "-Ctarget-feature=+crt-static");
    run(&mut cross)?;
    let board = Emulated::new()?;
    let checked_in = root().join(BOARD);
    let [recording, expected] = ["hwmon.recording", "hwmon.expected.json"].map(|file| checked_in.join(file));
    let said = board.plays("hwmon", &recording, &["--expect".as_ref(), expected.as_os_str()])?;
    println!("{}", said.lines().last().unwrap_or_default());
    for probe in PROBES {
        board.plays_what_is_recorded_here(probe)?;
    }
    Ok(())
}

/// A folder with the agent for ARM64, and beside it its compiler: the kernel cannot start that itself, a script can.
struct Emulated {
    folder: PathBuf,
}

impl Emulated {
    fn new() -> Result<Self> {
        let (folder, built) = (target_dir().join("arm64"), target_dir().join(TARGET).join("debug"));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        fs::copy(built.join("cardcage-agent"), folder.join("cardcage-agent"))?;
        let compiler = folder.join("cardcage-compile");
        let there = built.join("cardcage-compile");
        fs::write(&compiler, format!("#!/bin/sh\nexec {} {there:?} \"$@\"\n", setup::EMULATOR))?;
        fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755))?;
        fs::write(folder.join("agent.toml"), format!("state_dir = {:?}\n", folder.join("state")))?;
        Ok(Self { folder })
    }

    /// Plays a recording of a probe; what it says.
    fn plays(&self, probe: &str, recording: &Path, more: &[&std::ffi::OsStr]) -> Result<String> {
        let mut agent = Command::new(setup::EMULATOR);
        agent.arg(self.folder.join("cardcage-agent")).args(["plugin", "try", probe, "--replay"]);
        agent.arg(recording).arg("--config").arg(self.folder.join("agent.toml")).args(more);
        said(&mut agent).with_context(|| format!("{probe} on ARM64"))
    }

    fn plays_what_is_recorded_here(&self, probe: &str) -> Result<()> {
        let recording = self.folder.join(format!("{probe}.recording"));
        let config = self.folder.join("here.toml");
        let board = fs::read_to_string(root().join(BOARD).join("agent.toml"))?;
        fs::write(&config, format!("state_dir = {:?}\n{board}", self.folder.join("here")))?;
        let mut agent = Command::new(Profile::Debug.folder().join("cardcage-agent"));
        agent.current_dir(root().join(BOARD)).args(["plugin", "record", probe, "--count", "3"]);
        agent.args(["--every", "100ms", "--output"]).arg(&recording).arg("--config").arg(&config);
        said(&mut agent).with_context(|| format!("{probe} here"))?;
        let played = self.plays(probe, &recording, &["--json".as_ref()])?;
        let played: Value = serde_json::from_str(&played).context("what ARM64 played is no JSON")?;
        let samples = played.get("samples").and_then(Value::as_array).map_or(0, Vec::len);
        let same = played.get("like_recorded") == Some(&Value::Bool(true));
        let compared = played.get("compared").and_then(Value::as_u64);
        ensure!(
            same && samples == 3 && compared == Some(3),
            "{probe} gave something else on ARM64: {played:#}"
        );
        println!("{probe}: {samples} samples recorded on x86-64, on ARM64 the same, bit for bit");
        Ok(())
    }
}

/// What a command prints, if it succeeds.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{:?} cannot be run", command.get_program()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
