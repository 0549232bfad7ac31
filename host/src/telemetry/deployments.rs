//! The deployments in numbers, as they are at a scrape.

use prometheus::proto::MetricFamily;
use prometheus::{Error, IntGauge, IntGaugeVec, Opts, Registry};

use crate::deploy::Views;
use crate::model::InstanceState;

pub(super) fn families(deploys: &Views) -> Result<Vec<MetricFamily>, Error> {
    let registry = Registry::new();
    let states = IntGaugeVec::new(
        Opts::new("cardcage_agent_deployments", "Deployed instances by their state."),
        &["state"],
    )?;
    for state in InstanceState::ALL {
        let count = deploys.deployments.iter().filter(|one| one.state == state).count();
        let series = states.get_metric_with_label_values(&[&state.as_str().to_ascii_lowercase()])?;
        series.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register(Box::new(states))?;
    for (name, help, value) in [
        (
            "cardcage_agent_deployments_unknown",
            "Instances of which nothing is known now, because who runs them does not answer.",
            deploys.deployments.iter().filter(|one| one.unknown).count(),
        ),
        (
            "cardcage_agent_deployment_records_damaged",
            "Records of deployments that were damaged and set aside when the agent started.",
            deploys.damaged,
        ),
        ("cardcage_agent_cores_allocated", "Cores that instances hold.", deploys.cores as usize),
    ] {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(Box::new(gauge))?;
    }
    Ok(registry.gather())
}
