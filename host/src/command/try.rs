//! `plugin try`: loads plugins as the agent would, outside of it.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::plugin::TryArguments;
use super::rehearsal::{self, Rehearsal, Run};
use super::replay;
use crate::capability::tape::Tape;
use crate::config::Config;
use crate::error::chain;
use crate::model::{Contribution, Readings, Snapshot, Support};
use crate::plugin::{self, Admitted, BUILT_IN, Instance, Kit, Role};
use crate::protocol::preview::Preview;

/// One plugin under trial.
struct Trial {
    plugin: Admitted,
    instance: Instance,
    support: Support,
    latest: Option<Arc<Readings>>,
    faults: Vec<String>,
}

/// What the samples cost the whole process.
struct Cost {
    samples: u32,
    cpu: Duration,
    wall: Duration,
}

/// Takes samples and prints them.
pub(super) fn run(arguments: &TryArguments) -> Result<()> {
    if let Some(recording) = &arguments.replay {
        return replay::run(arguments, recording);
    }
    let config = arguments.config.load()?;
    let kit = Arc::new(Kit::on_board(&config)?);
    let mut plugins = admitted(&config, &arguments.plugins)?;
    if arguments.plugins.is_empty() {
        // Backends and tasks have nothing to sample; one that is named is told so.
        plugins.retain(|plugin| plugin.package().role == Role::Probe);
    }
    let runtime = runtime()?;
    let (trials, cost) = runtime.block_on(async {
        let trials = start(&kit, plugins).await?;
        sample(&kit, trials, arguments).await
    })?;
    // A read that is stuck must not keep the command from ending.
    runtime.shutdown_background();
    print(&config, &trials, &cost, arguments.json)
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().context("the runtime cannot be set up")
}

/// The plugins that are meant: all, or those named, or files.
pub(super) fn admitted(config: &Config, wanted: &[String]) -> Result<Vec<Admitted>> {
    if wanted.is_empty() {
        let found = plugin::find(BUILT_IN, &config.plugin_dir(), &config.plugins.keys());
        let admit = |package| Admitted::new(package, &config.plugins);
        // Those that are refused are what `plugin list` and `cardcage-agent check` are for.
        return Ok(found.into_iter().filter_map(|plugin| plugin.and_then(admit).ok()).collect());
    }
    wanted.iter().map(|name| rehearsal::admitted(config, name)).collect()
}

async fn start(kit: &Kit, plugins: Vec<Admitted>) -> Result<Vec<Trial>> {
    let mut trials = Vec::new();
    for plugin in plugins {
        let name = plugin.package().name.clone();
        kit.applies(&plugin).await.map_err(|reason| anyhow!("{name}: {reason}"))?;
        let rehearsal = Rehearsal::new(kit, &plugin).await?;
        let run = rehearsal.start(Tape::default()).await;
        let Run { instance, support, .. } = run.map_err(|failure| anyhow!("{name}: {}", chain(&failure)))?;
        trials.push(Trial { plugin, instance, support, latest: None, faults: Vec::new() });
    }
    Ok(trials)
}

/// Takes the samples of all plugins side by side, as the agent does. The first is not counted: probes look around once.
async fn sample(
    kit: &Arc<Kit>,
    mut trials: Vec<Trial>,
    arguments: &TryArguments,
) -> Result<(Vec<Trial>, Cost)> {
    trials = round(kit, trials).await?;
    let (began, before) = (Instant::now(), processor_time()?);
    let count = arguments.count.unwrap_or(1);
    for _ in 1..count {
        if let Some(every) = arguments.every {
            tokio::time::sleep(every).await;
        }
        trials = round(kit, trials).await?;
    }
    let cost = Cost {
        samples: count.saturating_sub(1),
        cpu: processor_time()?.saturating_sub(before),
        wall: began.elapsed(),
    };
    Ok((trials, cost))
}

async fn round(kit: &Arc<Kit>, trials: Vec<Trial>) -> Result<Vec<Trial>> {
    let mut under_way = JoinSet::new();
    for mut trial in trials {
        let kit = Arc::clone(kit);
        under_way.spawn(async move {
            let sampled = trial.instance.sample(&kit.runtime).await;
            (trial, sampled)
        });
    }
    let mut trials = Vec::new();
    while let Some(sampled) = under_way.join_next().await {
        let (mut trial, sampled) = sampled?;
        match sampled {
            Ok(Ok(sampled)) => {
                (trial.latest, trial.faults) = (Some(Arc::new(sampled.readings)), sampled.faults)
            }
            Ok(Err(declined)) => trial.faults = vec![format!("no sample: {declined}")],
            Err(error) => bail!("{}: {}", trial.plugin.package().name, chain(&error)),
        }
        trials.push(trial);
    }
    trials.sort_by(|a, b| a.plugin.package().name.cmp(&b.plugin.package().name));
    Ok(trials)
}

/// Of all threads of this process, in user mode and in the kernel.
fn processor_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("the processor time cannot be read")?;
    let duration = |time: TimeVal| {
        Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0))
    };
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

fn print(config: &Config, trials: &[Trial], cost: &Cost, json: bool) -> Result<()> {
    let now = Instant::now();
    let contributions = trials.iter().filter_map(|trial| {
        Some(Contribution {
            plugin: trial.plugin.package().name.clone(),
            support: trial.support,
            taken: now,
            fresh_for: Duration::MAX,
            readings: Arc::clone(trial.latest.as_ref()?),
        })
    });
    let snapshot = Snapshot::merge(contributions.collect(), now);
    let Preview { heartbeat, resource } = Preview::new(&config.board, Ipv4Addr::LOCALHOST, &snapshot);
    let mut out = std::io::stdout().lock();
    let result = json!({
        "heartbeat": heartbeat,
        "resource": resource,
        "plugins": trials.iter().map(about).collect::<Vec<_>>(),
        "cost": {
            "samples": cost.samples,
            "cpu_seconds": cost.cpu.as_secs_f64(),
            "wall_seconds": cost.wall.as_secs_f64(),
        },
    });
    match json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&result)?)?,
        false => people(&mut out, &result, trials, cost)?,
    }
    Ok(())
}

fn about(trial: &Trial) -> Value {
    json!({
        "name": trial.plugin.package().name.as_str(),
        "support": trial.support.as_str(),
        "memory": trial.instance.memory(),
        "faults": trial.faults,
    })
}

/// The readings as the report would carry them, then each plugin's faults, then the cost.
fn people(out: &mut impl std::io::Write, result: &Value, trials: &[Trial], cost: &Cost) -> Result<()> {
    for part in ["heartbeat", "resource"] {
        let readings = result.get(part).unwrap_or(&Value::Null);
        writeln!(out, "{part}: {}", serde_json::to_string_pretty(readings)?)?;
    }
    for trial in trials {
        let name = &trial.plugin.package().name;
        writeln!(out, "{name}: support {}, {} KiB", trial.support.as_str(), trial.instance.memory() >> 10)?;
        for fault in &trial.faults {
            writeln!(out, "{name}: {fault}")?;
        }
    }
    if cost.samples > 0 {
        let each = |whole: Duration| whole / cost.samples;
        writeln!(
            out,
            "a sample: {:?} of processor time, {:?} by the clock",
            each(cost.cpu),
            each(cost.wall)
        )?;
    }
    Ok(())
}
