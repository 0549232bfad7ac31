//! What a call of a vendor's library costs a plugin: from the guest through the agent and a socket to the helper process, into
//! the function, and back. The probe of NVIDIA's accelerators asks a library whose functions do next to nothing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::figures::{Figures, Goal, say};
use crate::process::Programs;

/// Of one sample: how many accelerators there are, then nine of each; one of them fails, and its failure has a name.
const CALLS: f64 = 1.0 + 2.0 * 9.0 + 1.0;
const SAMPLES: u32 = 500;
const ROUNDS: usize = 9;
/// Microseconds.
const GOAL: f64 = 50.0;
const NAME: &str = "call of a native library, from a plugin and back";

pub fn measure(programs: &Programs, figures: &mut Figures) -> Result<()> {
    say("calls: a library with two accelerators");
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("nvml.c");
    std::fs::write(&source, include_str!("../../support/nvml.c"))?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.path().join("libnvidia-ml.so.1")).arg(source);
    match compiler.output() {
        Ok(compiled) => ensure!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr)),
        Err(error) => {
            figures.skip(NAME, format_args!("no C compiler: {error}"));
            return Ok(());
        }
    }
    let state_dir = folder.path().join("state");
    std::fs::write(folder.path().join("agent.toml"), format!("state_dir = {state_dir:?}\n"))?;
    // Compiles the plugin.
    sample(programs, folder.path(), 2)?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        rounds.push(sample(programs, folder.path(), SAMPLES)? / CALLS * 1e6);
    }
    rounds.sort_by(f64::total_cmp);
    let median = rounds.get(ROUNDS / 2).copied().context("there are rounds")?;
    figures.against(NAME, median, "µs", ("goal", GOAL), Goal::AtMost(1.0));
    Ok(())
}

/// Seconds by the clock of one sample, back to back.
fn sample(programs: &Programs, folder: &Path, count: u32) -> Result<f64> {
    let mut command = Command::new(&programs.agent);
    command.args(["plugin", "try", "gpu-nvidia", "--json", "--count", &count.to_string(), "--config"]);
    command.arg(folder.join("agent.toml")).env("LD_LIBRARY_PATH", folder);
    let output = command.output()?;
    ensure!(output.status.success(), "the agent: {}", String::from_utf8_lossy(&output.stderr));
    let tried: Value = serde_json::from_slice(&output.stdout)?;
    let faults =
        tried.pointer("/plugins/0/faults").and_then(Value::as_array).context("the faults are missing")?;
    ensure!(faults.len() == 1, "other calls were made: {faults:?}");
    let number =
        |pointer: &str| tried.pointer(pointer).and_then(Value::as_f64).context("a number is missing");
    Ok(number("/cost/wall_seconds")? / number("/cost/samples")?)
}
