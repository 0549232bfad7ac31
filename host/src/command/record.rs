//! `plugin record`: what a probe was told on this board, for those who have none.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use tokio::time::sleep;

use super::file::{self, For};
use super::plugin::RecordArguments;
use super::rehearsal::{Failure, Rehearsal, admitted};
use super::r#try::runtime;
use crate::capability::tape::{Recording, Tape};
use crate::error::chain;
use crate::model::Support;
use crate::plugin::Kit;

pub(super) fn run(arguments: &RecordArguments) -> Result<()> {
    let config = arguments.config.load()?;
    let kit = Kit::new(&config)?;
    let plugin = admitted(&config, &arguments.plugin)?;
    let name = plugin.package().name.clone();
    let every = arguments.every.unwrap_or(plugin.package().manifest.probe.every);
    let runtime = runtime()?;
    let (recording, failure) = runtime.block_on(async {
        let rehearsal = Rehearsal::new(&kit, &plugin).await?;
        kit.applies(&plugin).await.map_err(|reason| anyhow!("{name}: {reason}"))?;
        record(&rehearsal, arguments.count, every, true).await
    })?;
    runtime.shutdown_background();
    let path = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.recording")));
    // What a failing probe was told before it failed is what its author wants most.
    file::replace(&path, &recording.to_bytes()?, For::Owner)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} holds {} of {name} {}:",
        path.display(),
        samples(&recording),
        recording.header.version
    )?;
    for (call, times) in calls(&recording) {
        writeln!(out, "  {times:6} {call}")?;
    }
    writeln!(
        out,
        "It also holds what the board said of itself, serial numbers perhaps: read it before you share it."
    )?;
    match failure {
        Some(failure) => bail!("{name}: {failure}"),
        None => {
            Ok(writeln!(out, "Play it: cardcage-agent plugin try PLUGIN.wasm --replay {}", path.display())?)
        }
    }
}

/// Takes samples, and what the probe was told by then; and why they ended, if it was too early.
pub(super) async fn record(
    rehearsal: &Rehearsal<'_>,
    count: u32,
    every: Duration,
    progress: bool,
) -> Result<(Recording, Option<String>)> {
    let tape = rehearsal.tape(every);
    let failure = take(rehearsal, &tape, count, every, progress).await.err();
    let recording = tape.take().ok_or_else(|| anyhow!("nothing was recorded"))?;
    Ok((recording, failure))
}

async fn take(
    rehearsal: &Rehearsal<'_>,
    tape: &Tape,
    count: u32,
    every: Duration,
    progress: bool,
) -> Result<(), String> {
    let mut run = rehearsal.start(tape.clone()).await.map_err(|failure: Failure| chain(&failure))?;
    if run.support == Support::Nothing {
        return Err("has nothing to do on this board".to_owned());
    }
    for number in 1..=count {
        let sampled = run.sample().await.map_err(|error| chain(&error))?;
        if progress {
            let said = match sampled {
                Ok(sampled) => {
                    format!("{} readings, {} faults", sampled.readings.count(), sampled.faults.len())
                }
                Err(declined) => format!("no sample: {declined}"),
            };
            let _ = writeln!(std::io::stderr(), "sample {number} of {count}: {said}");
        }
        if number < count {
            sleep(every).await;
        }
    }
    Ok(())
}

fn samples(recording: &Recording) -> String {
    match recording.samples() {
        1 => "one sample".to_owned(),
        several => format!("{several} samples"),
    }
}

/// How often each function was called.
fn calls(recording: &Recording) -> BTreeMap<&str, u32> {
    let mut calls = BTreeMap::new();
    for call in recording.sections.iter().flat_map(|section| &section.calls) {
        *calls.entry(call.name.as_str()).or_default() += 1;
    }
    calls
}
