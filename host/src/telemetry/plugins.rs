//! The plugins in numbers, as they are at a scrape: no copy of their state is kept, so none can be out of date.

use prometheus::proto::MetricFamily;
use prometheus::{Error, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::model::PluginStatus;

const PLUGIN: [&str; 1] = ["plugin"];

pub(super) fn families(plugins: &[PluginStatus]) -> Result<Vec<MetricFamily>, Error> {
    let registry = Registry::new();
    for family in [
        count("samples_total", "Samples that a probe gave.", plugins, |plugin| plugin.samples)?,
        count("failures_total", "Traps, missed deadlines and errors of a plugin.", plugins, |plugin| {
            plugin.failures
        })?,
        count("restarts_total", "Instances that replaced a dead one.", plugins, |plugin| plugin.restarts)?,
        count(
            "host_calls_total",
            "Calls of the agent by a plugin, since its version started.",
            plugins,
            |plugin| plugin.host_calls,
        )?,
    ] {
        registry.register(Box::new(family))?;
    }
    for family in [
        gauge(
            "sample_duration_seconds",
            "How long the last sample took, by the wall clock.",
            plugins,
            |plugin| plugin.last_sample.map(|took| took.as_secs_f64()),
        )?,
        gauge(
            "cpu_seconds",
            "Processor time that a plugin's calls took, since its version started.",
            plugins,
            |plugin| plugin.cpu.gt(&std::time::Duration::ZERO).then_some(plugin.cpu.as_secs_f64()),
        )?,
        gauge(
            "memory_bytes",
            "Linear memory of a plugin's instance.",
            plugins,
            #[expect(clippy::cast_precision_loss, reason = "an instance has less than 2^53 bytes")]
            |plugin| plugin.memory.map(|bytes| bytes as f64),
        )?,
    ] {
        registry.register(Box::new(family))?;
    }
    registry.register(Box::new(state(plugins)?))?;
    Ok(registry.gather())
}

fn named(name: &str, help: &str) -> Opts {
    Opts::new(format!("cardcage_agent_plugin_{name}"), help)
}

fn count(
    name: &str,
    help: &str,
    plugins: &[PluginStatus],
    value: impl Fn(&PluginStatus) -> u64,
) -> Result<IntCounterVec, Error> {
    let family = IntCounterVec::new(named(name, help), &PLUGIN)?;
    for plugin in plugins {
        let series = family.get_metric_with_label_values(&[plugin.name.as_str()])?;
        series.inc_by(value(plugin));
    }
    Ok(family)
}

/// What is not known has no series.
fn gauge(
    name: &str,
    help: &str,
    plugins: &[PluginStatus],
    value: impl Fn(&PluginStatus) -> Option<f64>,
) -> Result<GaugeVec, Error> {
    let family = GaugeVec::new(named(name, help), &PLUGIN)?;
    for plugin in plugins {
        if let Some(value) = value(plugin) {
            family.get_metric_with_label_values(&[plugin.name.as_str()])?.set(value);
        }
    }
    Ok(family)
}

fn state(plugins: &[PluginStatus]) -> Result<IntGaugeVec, Error> {
    let family =
        IntGaugeVec::new(named("state", "1 for the state that a plugin is in."), &["plugin", "state"])?;
    for plugin in plugins {
        let labels = [plugin.name.as_str(), plugin.state.as_str()];
        family.get_metric_with_label_values(&labels)?.set(1);
    }
    Ok(family)
}
