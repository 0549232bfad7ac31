//! What reports, requests and metrics see of the deployments.

use std::collections::BTreeSet;

use super::entry::Entry;
use super::{Found, InstanceState, Keeper, Phase, Progress};
use crate::deploy::Views;
use crate::deploy::order::{Gpu, Id, Order};
use crate::model::{Accelerator, Deployment, InstanceId, Usage};

impl<B, C> Keeper<B, C> {
    pub(super) fn views(&self) -> Views {
        let looked_at = self.checking.values().filter(|order| !self.entries.contains_key(&order.uuid));
        let deployments: Vec<Deployment> =
            self.entries.values().map(view).chain(looked_at.map(looked_at_view)).collect();
        let own: BTreeSet<u32> =
            deployments.iter().filter(|one| !one.shared).flat_map(|one| one.cores.iter().copied()).collect();
        let sharing = || deployments.iter().filter(|one| one.shared && !one.cores.is_empty());
        let there = sharing().map(|one| one.cores.len()).max().unwrap_or(0);
        let promised: u32 = sharing().map(|one| one.required.0).fold(0, u32::saturating_add);
        // As many as are in use: shared ones may be promised several times.
        let shared = promised.min(u32::try_from(there).unwrap_or(u32::MAX));
        let cores = u32::try_from(own.len()).unwrap_or(u32::MAX).saturating_add(shared);
        Views { deployments, cores, damaged: self.damaged }
    }
}

fn view(entry: &Entry) -> Deployment {
    let record = entry.cell.get();
    let live = entry.live.as_ref();
    let state = state(&record.phase, live, entry.driving.as_ref().is_some_and(|driving| driving.starts));
    let holds = record.phase.holds();
    let runs = matches!(state, InstanceState::Running | InstanceState::Sleeping);
    let required = record.order.requirements;
    Deployment {
        uuid: record.order.uuid.clone(),
        kind: record.order.kind.clone(),
        instance_id: record.order.instance_id.clone(),
        index: record.order.index,
        name: record.name.clone(),
        url: record.order.url.clone(),
        file: record.order.file.clone(),
        ids: record.ids.iter().map(id).collect(),
        order: entry.digest.clone(),
        state,
        reason: reason(&record.phase, live),
        progress: entry.driving.as_ref().map_or_else(Progress::default, |driving| driving.progress.clone()),
        unknown: entry.unknown && record.phase == Phase::Running,
        required: (required.cores, required.memory, required.gpus),
        cores: if holds { record.allocation.cores.clone() } else { Vec::new() },
        shared: record.allocation.shared,
        memory: holds.then_some(record.allocation.memory),
        gpus: if holds { record.allocation.gpus.iter().map(gpu).collect() } else { Vec::new() },
        usage: live.filter(|_| runs).map_or_else(Usage::default, |live| live.usage),
    }
}

/// An order that its backend is asked about: nothing is held or done for it yet.
fn looked_at_view(order: &Order) -> Deployment {
    Deployment {
        uuid: order.uuid.clone(),
        kind: order.kind.clone(),
        instance_id: order.instance_id.clone(),
        index: order.index,
        name: order.name.clone(),
        url: order.url.clone(),
        file: order.file.clone(),
        ids: Vec::new(),
        order: order.digest(),
        state: InstanceState::Pending,
        reason: Some("the order is looked at".to_owned()),
        progress: Progress::default(),
        unknown: false,
        required: (order.requirements.cores, order.requirements.memory, order.requirements.gpus),
        cores: Vec::new(),
        shared: order.requirements.shared,
        memory: None,
        gpus: Vec::new(),
        usage: Usage::default(),
    }
}

fn state(phase: &Phase, live: Option<&Found>, driven: bool) -> InstanceState {
    match phase {
        Phase::Clearing | Phase::Starting => InstanceState::Pending,
        Phase::Running => match live.map(|live| live.state) {
            Some(InstanceState::Failed | InstanceState::Stopped) if driven => InstanceState::Pending,
            None if driven => InstanceState::Pending,
            seen => seen.unwrap_or(InstanceState::Running),
        },
        Phase::Stopping => live.map_or(InstanceState::Pending, |live| live.state),
        Phase::RollingBack { .. } | Phase::Ended { failed: true, .. } => InstanceState::Failed,
        Phase::Ended { failed: false, .. } | Phase::Stopped => InstanceState::Stopped,
    }
}

fn reason(phase: &Phase, live: Option<&Found>) -> Option<String> {
    match phase {
        Phase::RollingBack { reason, .. } => Some(reason.clone()),
        Phase::Ended { reason, .. } => reason.clone(),
        Phase::Stopped => None,
        _ => live.and_then(|live| live.reason.clone()),
    }
}

fn id(id: &Id) -> InstanceId {
    match id {
        Id::Number(number) => InstanceId::Number(*number),
        Id::Text(text) => InstanceId::Text(text.clone()),
    }
}

fn gpu(gpu: &Gpu) -> Accelerator {
    Accelerator { index: gpu.index, device: gpu.device.clone(), vendor: gpu.vendor.clone() }
}
