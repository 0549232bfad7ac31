//! `plugin try --replay`: a probe on a board that was recorded.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use super::file::{self, For};
use super::plugin::TryArguments;
use super::rehearsal::{Rehearsal, admitted_for, difference, recorded};
use super::r#try::runtime;
use crate::capability::tape::{Outcome, Tape};
use crate::error::chain;
use crate::plugin::Kit;

/// Longest file of expected samples, in bytes.
const EXPECTED: u64 = 64 << 20;

pub(super) fn run(arguments: &TryArguments, path: &Path) -> Result<()> {
    let [plugin] = arguments.plugins.as_slice() else {
        bail!("--replay takes one plugin: its name, or its file");
    };
    if let (Some(expected), true) = (&arguments.expect, arguments.accept) {
        ensure!(
            !file::is_same(expected, path),
            "{} is the recording, which would be lost: name another file with --expect",
            path.display()
        );
        file::writable(expected)?;
    }
    let index = recorded(path)?;
    let recording = index.recording();
    let config = arguments.config.load()?;
    let plugin = admitted_for(&config, plugin, &recording.header)?;
    let name = plugin.package().name.as_str();
    let kit = Kit::for_trial(&config)?;
    let count = arguments.count.unwrap_or(u32::try_from(recording.samples()).unwrap_or(u32::MAX));
    let tape = Tape::playing(index.clone(), None);
    let runtime = runtime()?;
    let (support, samples) = runtime.block_on(async {
        let rehearsal = Rehearsal::new(&kit, &plugin).await?;
        let run = rehearsal.start(tape.clone()).await;
        let mut run = run.map_err(|failure| anyhow!("{name}: {}", chain(&failure)))?;
        let mut samples = Vec::new();
        for _ in 0..count {
            let _checked = run.sample().await.map_err(|error| anyhow!("{name}: {}", chain(&error)))?;
            samples.extend(tape.latest());
        }
        anyhow::Ok((run.support, samples))
    })?;
    runtime.shutdown_background();
    let misses = tape.misses();
    // Compared with what the plugin said when it was recorded, or with what somebody says that it should say.
    let recorded = recording.outcomes().flatten().cloned().collect::<Vec<_>>();
    // As far as both go: --count may say fewer samples, or more.
    let both = recorded.len().min(samples.len());
    let unlike = compare(recorded.get(..both).unwrap_or_default(), samples.get(..both).unwrap_or_default())?;
    if arguments.json {
        let result = json!({
            "name": name,
            "support": support.as_str(),
            "samples": samples,
            "compared": both,
            "like_recorded": both > 0 && unlike.is_none(),
            "difference": unlike,
            "not_recorded": misses,
        });
        writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&result)?)?;
    } else {
        people(name, &samples, both, unlike.as_deref(), &misses)?;
    }
    match &arguments.expect {
        Some(expected) if arguments.accept => accept(expected, &samples),
        Some(expected) => expect(expected, &samples, recorded.len(), arguments.count),
        None => Ok(()),
    }
}

/// The last sample, then how those that were recorded, too, compare with the recording.
fn people(
    name: &str,
    samples: &[Outcome],
    both: usize,
    unlike: Option<&str>,
    misses: &[String],
) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if let Some(last) = samples.last() {
        writeln!(out, "{}", serde_json::to_string_pretty(last)?)?;
    }
    let count = samples.len();
    let compared = match unlike {
        _ if both == 0 => format!("{count} samples, and the recording has none to compare them with"),
        None if both == count => format!("{count} samples, the same as recorded, bit for bit"),
        None => format!("{both} of {count} samples were recorded, and they are the same, bit for bit"),
        Some(unlike) if both == count => format!("{count} samples, not the same as recorded: {unlike}"),
        Some(unlike) => {
            format!("{both} of {count} samples were recorded, and they are not the same: {unlike}")
        }
    };
    writeln!(out, "{name}: {compared}")?;
    for miss in misses {
        writeln!(out, "{name}: asked for what is not in the recording: {miss}")?;
    }
    Ok(())
}

fn compare(expected: &[Outcome], samples: &[Outcome]) -> Result<Option<String>> {
    Ok(difference(&serde_json::to_value(expected)?, &serde_json::to_value(samples)?)
        .map(|unlike| format!("sample {unlike}")))
}

fn accept(path: &Path, samples: &[Outcome]) -> Result<()> {
    let mut text = serde_json::to_string_pretty(samples)?;
    text.push('\n');
    file::replace(path, text.as_bytes(), For::Everybody)
}

fn expect(path: &Path, samples: &[Outcome], recorded: usize, count: Option<u32>) -> Result<()> {
    let read = || -> Result<Value> { Ok(serde_json::from_slice(&file::read(path, EXPECTED)?)?) };
    let expected = read().with_context(|| {
        format!("{} holds no expected samples; --accept writes those of now into it", path.display())
    })?;
    let wanted = expected.as_array().map_or(samples.len(), Vec::len);
    // Nothing is wrong with the plugin.
    ensure!(
        wanted == samples.len(),
        "{} has {wanted} samples, the recording has {recorded}, and {}: --count {wanted} takes as many, --accept keeps those of now",
        path.display(),
        count.map_or_else(|| "there is no --count".to_owned(), |count| format!("--count says {count}"))
    );
    match difference(&expected, &serde_json::to_value(samples)?) {
        None => Ok(()),
        Some(unlike) => bail!("not as {} expects: sample {unlike}", path.display()),
    }
}
