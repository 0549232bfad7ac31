//! `plugin record`: what a probe was told on this board, for those who have none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use tokio::time::sleep;

use super::file::{self, For};
use super::plugin::RecordArguments;
use super::rehearsal::{Failure, Rehearsal, admitted};
use super::r#try::runtime;
use crate::capability::tape::{Header, Recording, Tape};
use crate::error::chain;
use crate::model::Support;
use crate::plugin::Kit;

/// Longest first line of a recording, in bytes: settings are in it.
const FIRST_LINE: u64 = 1 << 20;

pub(super) fn run(arguments: &RecordArguments) -> Result<()> {
    let config = arguments.config.load()?;
    let kit = Kit::on_board(&config)?;
    let plugin = admitted(&config, &arguments.plugin)?;
    let name = plugin.package().name.clone();
    let path = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.recording")));
    // Now: at the end all samples would be lost.
    let replaced = replaces(&path)?;
    file::writable(&path)?;
    let every = arguments.every.unwrap_or(plugin.package().manifest.probe.every);
    let runtime = runtime()?;
    let (recording, failure) = runtime.block_on(async {
        let rehearsal = Rehearsal::new(&kit, &plugin).await?;
        kit.applies(&plugin).await.map_err(|reason| anyhow!("{name}: {reason}"))?;
        record(&rehearsal, arguments.count, every, true).await
    })?;
    runtime.shutdown_background();
    // What a failing probe was told before it failed is what its author wants most.
    file::replace(&path, &recording.to_bytes()?, For::Owner)?;
    let mut out = io::stdout().lock();
    people(&mut out, &path, replaced, &recording)?;
    let played = format!("cardcage-agent plugin try PLUGIN.wasm --replay {}", path.display());
    match failure {
        Some(failure) => {
            bail!("{name}: {}; the recording ends with that, play it: {played}", chain(&failure))
        }
        None => Ok(writeln!(out, "Play it: {played}")?),
    }
}

/// Whether a recording is there that will be replaced. Any other file stays.
fn replaces(path: &Path) -> Result<bool> {
    let unread = || format!("{} cannot be read", path.display());
    let about = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        about => about.with_context(unread)?,
    };
    // An empty file is nobody's loss.
    let ours = about.is_file() && (about.len() == 0 || is_recording(path).with_context(unread)?);
    ensure!(
        ours,
        "{} is there and is no recording, so it is left as it is: name another file with --output",
        path.display()
    );
    Ok(true)
}

/// Whether it begins as one. The rest may be of another format, or missing.
fn is_recording(path: &Path) -> io::Result<bool> {
    let mut line = Vec::new();
    BufReader::new(File::open(path)?).take(FIRST_LINE).read_until(b'\n', &mut line)?;
    let line: Result<BTreeMap<String, Header>, _> = serde_json::from_slice(&line);
    Ok(line.is_ok_and(|line| line.contains_key("recording")))
}

/// What was recorded.
fn people(out: &mut impl io::Write, path: &Path, replaced: bool, recording: &Recording) -> Result<()> {
    let holds = if replaced { "is replaced, and holds" } else { "holds" };
    let Header { plugin, version, .. } = &recording.header;
    writeln!(out, "{} {holds} {} of {plugin} {version}:", path.display(), samples(recording))?;
    for (call, times) in calls(recording) {
        writeln!(out, "  {times:6} {call}")?;
    }
    writeln!(
        out,
        "It also holds what the board said of itself, serial numbers perhaps: read it before you share it."
    )?;
    Ok(())
}

/// Takes samples, and what the probe was told by then; and why they ended, if it was too early.
pub(super) async fn record(
    rehearsal: &Rehearsal<'_>,
    count: u32,
    every: Duration,
    progress: bool,
) -> Result<(Recording, Option<Failure>)> {
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
) -> Result<(), Failure> {
    let mut run = rehearsal.start(tape.clone()).await?;
    if run.support == Support::Nothing {
        return Err(Failure::Nothing);
    }
    for number in 1..=count {
        let sampled = run.sample().await?;
        if progress {
            let said = match sampled {
                Ok(sampled) => {
                    format!("{} readings, {} faults", sampled.readings.count(), sampled.faults.len())
                }
                Err(declined) => format!("no sample: {declined}"),
            };
            let _ = writeln!(io::stderr(), "sample {number} of {count}: {said}");
        }
        if number < count {
            sleep(every).await;
        }
    }
    Ok(())
}

/// Those that came to their end.
fn samples(recording: &Recording) -> String {
    match recording.outcomes().flatten().count() {
        0 => "no sample".to_owned(),
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
