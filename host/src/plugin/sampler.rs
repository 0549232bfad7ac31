//! The exports of a probe, of each version that is spoken. Whatever the version, what comes out is today's.

use wasmtime::Store;
use wasmtime::component::{Component, InstancePre};

use super::bindings::cardcage::types::errors::Error;
use super::bindings::cardcage::types::readings::Sample;
use super::bindings::exports::cardcage::probe::sampler::Finding;
use super::bindings::probe_0_1::{Probe as Probe01, ProbePre as ProbePre01};
use super::bindings::{Probe, ProbePre};
use super::convert;
use super::instance::State;

/// Found in a component once, for all its instances.
#[derive(Clone)]
pub(super) enum SamplerPre {
    V0_1(ProbePre01<State>),
    V0_2(ProbePre<State>),
}

/// Those of one instance.
pub(super) enum Sampler {
    V0_1(Probe01),
    V0_2(Probe),
}

impl SamplerPre {
    /// Of a component that exports several the newest counts: it is made for older agents too.
    pub(super) fn new(component: &Component, linked: InstancePre<State>) -> wasmtime::Result<Self> {
        let exports = |name| component.get_export_index(None, name).is_some();
        match exports("cardcage:probe/sampler@0.1.0") && !exports("cardcage:probe/sampler@0.2.0") {
            true => ProbePre01::new(linked).map(Self::V0_1),
            false => ProbePre::new(linked).map(Self::V0_2),
        }
    }

    pub(super) async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Sampler> {
        match self {
            Self::V0_1(probe) => probe.instantiate_async(store).await.map(Sampler::V0_1),
            Self::V0_2(probe) => probe.instantiate_async(store).await.map(Sampler::V0_2),
        }
    }
}

impl Sampler {
    pub(super) async fn configure(
        &self,
        store: &mut Store<State>,
        settings: &str,
    ) -> wasmtime::Result<Result<Finding, Error>> {
        match self {
            Self::V0_1(probe) => {
                let answer = probe.cardcage_probe_sampler().call_configure(store, settings).await?;
                Ok(answer.map(convert::finding_of_0_1))
            }
            Self::V0_2(probe) => probe.cardcage_probe_sampler().call_configure(store, settings).await,
        }
    }

    pub(super) async fn sample(&self, store: &mut Store<State>) -> wasmtime::Result<Result<Sample, Error>> {
        match self {
            Self::V0_1(probe) => probe.cardcage_probe_sampler().call_sample(store).await,
            Self::V0_2(probe) => probe.cardcage_probe_sampler().call_sample(store).await,
        }
    }
}
