//! `plugin check`: whether a probe keeps the rules that every operator counts on.
//!
//! Everything is asked on a recorded board, where what happens can be repeated: one that `plugin record` saved, or this
//! one, of which a few samples are recorded first.

mod cases;
mod verdict;

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde_json::json;

use self::cases::Suite;
use self::verdict::{Check, Verdict};
use super::plugin::CheckArguments;
use super::record::record;
use super::rehearsal::{Failure, Rehearsal, admitted, admitted_for, recorded};
use super::r#try::runtime;
use crate::capability::tape::Index;
use crate::error::chain;
use crate::plugin::{Admitted, Kit};

/// Samples that are recorded where there is no recording.
const SAMPLES: u32 = 3;
/// The longest time between them: what a board is in a minute is not what is checked.
const EVERY: Duration = Duration::from_secs(1);

pub(super) fn run(arguments: &CheckArguments) -> Result<()> {
    let config = arguments.config.load()?;
    let recorded = arguments.replay.as_deref().map(recorded).transpose()?;
    let plugin = match &recorded {
        Some(index) => admitted_for(&config, &arguments.plugin, &index.recording().header)?,
        None => admitted(&config, &arguments.plugin)?,
    };
    let kit = if recorded.is_some() { Kit::for_trial(&config)? } else { Kit::on_board(&config)? };
    let runtime = runtime()?;
    let checks = runtime.block_on(async {
        let rehearsal = Rehearsal::new(&kit, &plugin).await?;
        let index = match recorded {
            Some(index) => index,
            None => here(&kit, &rehearsal).await?,
        };
        let suite = Suite { rehearsal: &rehearsal, index, samples: arguments.samples };
        anyhow::Ok(suite.run(progress).await)
    })?;
    runtime.shutdown_background();
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Failed).count();
    match arguments.json {
        true => programs(&plugin, &checks, failed == 0)?,
        false => people(&plugin, &checks)?,
    }
    match failed {
        0 => Ok(()),
        failed => bail!("{} fails {failed} of {} checks", plugin.package().name, checks.len()),
    }
}

/// Records this board.
async fn here(kit: &Kit, rehearsal: &Rehearsal<'_>) -> Result<Arc<Index>> {
    let name = &rehearsal.plugin.package().name;
    let elsewhere = |reason: String| {
        anyhow!(
            "{name}: {reason}; record a board on which it has something to do (`plugin record`), and check it with --replay"
        )
    };
    kit.applies(rehearsal.plugin).await.map_err(elsewhere)?;
    let every = rehearsal.plugin.package().manifest.probe.every.min(EVERY);
    let (recording, failure) = record(rehearsal, SAMPLES, every, false).await?;
    match failure {
        Some(nothing @ Failure::Nothing) => Err(elsewhere(nothing.to_string())),
        // Its author needs what it was told here, and no other board.
        Some(failure) => {
            bail!("{name}: {}; `plugin record` keeps what it was told until then", chain(&failure))
        }
        None => Ok(Arc::new(Index::new(recording))),
    }
}

/// What is being checked, for a person who waits.
fn progress(what: &str) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        // Erased by the next one.
        let _ = write!(out, "\r\x1b[2K{what} …\r");
        let _ = out.flush();
    }
}

fn programs(plugin: &Admitted, checks: &[Check], passed: bool) -> Result<()> {
    let package = plugin.package();
    let result = json!({
        "name": package.name.as_str(),
        "version": package.manifest.version.to_string(),
        "digest": package.digest.to_string(),
        "passed": passed,
        "checks": checks,
    });
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&result)?)?)
}

fn people(plugin: &Admitted, checks: &[Check]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} {}", plugin.package().name, plugin.package().manifest.version)?;
    for check in checks {
        writeln!(out, "  {:7} {}: {}", check.verdict.as_str(), check.name, check.said)?;
        for detail in &check.details {
            writeln!(out, "            {detail}")?;
        }
    }
    Ok(())
}
