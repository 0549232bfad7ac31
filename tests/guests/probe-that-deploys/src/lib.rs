//! A probe that asks for the container engine, which only backends are given.

use cardcage_sdk::{Error, Probe, Sample, Settings, containers};

/// The probe.
pub struct ProbeThatDeploys;

impl Probe for ProbeThatDeploys {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        let containers = containers::survey()?;
        cardcage_sdk::info!("{} containers", containers.len());
        Ok(Sample::default())
    }
}

cardcage_sdk::export_probe!(ProbeThatDeploys);
