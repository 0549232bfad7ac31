//! Deployments in the resource report, and in `GET /deployments`.

use cardcage_wire::board::{
    Component, ComponentConfig, ComponentCpu, ComponentMemory, ComponentNetwork, ComponentResource, Id,
    Require, State,
};
use cardcage_wire::extension;
use serde::Serialize;

use crate::model::{Deployment, InstanceId, InstanceState};

/// Longest reason in a report, in characters.
const REASON: usize = 256;

/// In the words of v1.1. What is not measured is 0, because its readers need a number.
pub(super) fn component(one: &Deployment) -> Component {
    let usage = &one.usage;
    Component {
        instance_id: one.instance_id.clone(),
        uuid: one.uuid.clone(),
        index: one.index,
        config: ComponentConfig {
            name: one.name.clone(),
            id: one.id().map(ToString::to_string).unwrap_or_default(),
        },
        state: state(one.state),
        resource: ComponentResource {
            cpu: ComponentCpu { load: usage.cpu_load.unwrap_or(0.0) },
            memory: ComponentMemory {
                mem_used: usage.memory_used.unwrap_or(0),
                mem_limit: usage.memory_limit.or(one.memory).unwrap_or(0),
            },
            network: ComponentNetwork {
                tx: usage.network_tx.unwrap_or(0),
                rx: usage.network_rx.unwrap_or(0),
            },
        },
    }
}

/// What v1.1 has no field for.
pub(super) fn extended(one: &Deployment) -> extension::Deployment {
    extension::Deployment {
        uuid: one.uuid.clone(),
        kind: one.kind.clone(),
        order: one.order.clone(),
        // A report carries many of them.
        reason: one.why().map(|why| why.chars().take(REASON).collect()),
        unknown: one.unknown,
        cores: one.cores.clone(),
        shared: one.shared,
        memory: one.memory,
        gpus: one.gpus.iter().map(|gpu| gpu.device.clone()).collect(),
        cpu_load: one.usage.cpu_load,
        memory_used: one.usage.memory_used,
        network_rx: one.usage.network_rx,
        network_tx: one.usage.network_tx,
    }
}

const fn state(state: InstanceState) -> State {
    match state {
        InstanceState::Pending => State::Pending,
        InstanceState::Running => State::Running,
        InstanceState::Failed => State::Failed,
        InstanceState::Stopped => State::Stopped,
        InstanceState::Sleeping => State::Sleeping,
    }
}

/// One element of the list that `GET /deployments` answers with. What is not known is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeploymentEntry {
    pub uuid: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub instance_id: String,
    pub index: i32,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// All that it was known by, the latest last.
    pub ids: Vec<Id>,
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub unknown: bool,
    /// SHA-256 over the order.
    pub order: String,
    pub url: String,
    pub file: String,
    pub require: Require,
    pub cores: Vec<u32>,
    pub shared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    pub gpus: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_load: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_rx: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_tx: Option<u64>,
}

impl From<&Deployment> for DeploymentEntry {
    fn from(one: &Deployment) -> Self {
        let (cpu, memory, gpu) = one.required;
        Self {
            uuid: one.uuid.clone(),
            kind: one.kind.clone(),
            instance_id: one.instance_id.clone(),
            index: one.index,
            name: one.name.clone(),
            id: one.id().map(id),
            ids: one.ids.iter().map(id).collect(),
            state: state(one.state),
            reason: one.why(),
            unknown: one.unknown,
            order: one.order.clone(),
            url: one.url.clone(),
            file: one.file.clone(),
            require: Require { cpu: cpu.into(), memory, gpu: gpu.into() },
            cores: one.cores.clone(),
            shared: one.shared,
            memory: one.memory,
            gpus: one.gpus.iter().map(|gpu| gpu.device.clone()).collect(),
            cpu_load: one.usage.cpu_load,
            memory_used: one.usage.memory_used,
            network_rx: one.usage.network_rx,
            network_tx: one.usage.network_tx,
        }
    }
}

fn id(id: &InstanceId) -> Id {
    match id {
        InstanceId::Number(number) => Id::Number(*number),
        InstanceId::Text(text) => Id::Text(text.clone()),
    }
}
