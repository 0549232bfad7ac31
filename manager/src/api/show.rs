//! The model, as the API writes it.

mod deployment;
mod plugin;
mod readings;

use std::time::Duration;

use super::types::{
    Accelerator, Agent, Board, BoardDetail, Claimant, Flag, Missed, MissedAnswers, Plugin, Resource, Summary,
};
use crate::clock::{Clock, Moment};
use crate::fleet::{self, Answers, Fleet, Received, View};
use crate::model::{Text, report};
pub(super) use deployment::{deployment, result};
pub(super) use plugin::{push, seen};
use readings::Since;

pub(super) fn board(view: &View, fleet: &Fleet) -> Board {
    let clock = fleet.clock();
    let (board, heartbeat) = (&view.board, &*view.board.heartbeat);
    let (flags, conflicts_with) = conflicts(&view.conflicts);
    Board {
        id: board.id.to_string(),
        state: board.state.into(),
        flags,
        conflicts_with,
        claimants: view.conflicts.identity.iter().map(claimant).collect(),
        agent_id: heartbeat.agent.as_ref().map(|agent| agent.id.to_string()),
        box_id: heartbeat.position.box_id,
        slot_id: heartbeat.position.slot_id,
        cpu_id: heartbeat.position.cpu_id,
        srio_id: heartbeat.position.srio_id,
        hostname: heartbeat.hostname.to_string(),
        host_ip: heartbeat.host_ip,
        addresses: board.addresses.iter().map(|seen| seen.address).collect(),
        service_port: heartbeat.service_port,
        box_type: owned(heartbeat.box_type.as_ref()),
        board_type: owned(heartbeat.board_type.as_ref()),
        cpu_type: owned(heartbeat.cpu_type.as_ref()),
        os_type: owned(heartbeat.os_type.as_ref()),
        resource_type: owned(heartbeat.resource_type.as_ref()),
        cpu_arch: owned(heartbeat.cpu_arch.as_ref()),
        first_seen: board.first_seen.map(|seen| time_of_day(clock, seen)),
        last_seen: board.last_seen.map(|seen| time_of_day(clock, seen)),
        last_seen_age_ms: board.last_seen.map(|seen| millis(clock.now().since(seen))),
        missed: Missed {
            heartbeat: missed(board.answers.heartbeat),
            resource: missed(board.answers.resource),
        },
        summary: summary(board, fleet),
    }
}

fn conflicts(conflicts: &fleet::Conflicts) -> (Vec<Flag>, Vec<String>) {
    let sorts = [(Flag::SlotConflict, &conflicts.slot), (Flag::AddressConflict, &conflicts.address)];
    let copied = (!conflicts.identity.is_empty()).then_some(Flag::CopiedIdentity);
    let flags = sorts.iter().filter(|(_, rivals)| !rivals.is_empty()).map(|(flag, _)| *flag);
    let flags = flags.chain(copied).collect();
    let mut rivals: Vec<_> =
        sorts.iter().flat_map(|(_, rivals)| rivals.iter()).map(ToString::to_string).collect();
    rivals.sort_unstable();
    rivals.dedup();
    (flags, rivals)
}

fn claimant(claimant: &fleet::Claimant) -> Claimant {
    let position = claimant.position;
    Claimant {
        host_ip: claimant.host_ip,
        hostname: claimant.hostname.to_string(),
        box_id: position.box_id,
        slot_id: position.slot_id,
        cpu_id: position.cpu_id,
        srio_id: position.srio_id,
    }
}

fn missed(answers: Answers) -> MissedAnswers {
    MissedAnswers { in_a_row: answers.missed_in_a_row, total: answers.missed_total }
}

fn summary(board: &fleet::Board, fleet: &Fleet) -> Summary {
    let gpus = board.heartbeat.gpus.len();
    let age = |received: &Received| millis(fleet.clock().now().since(received.at));
    let age_ms = board.resource.as_ref().map(age);
    let summary = fleet.current(board).map(|received| received.summary).unwrap_or_default();
    Summary {
        age_ms,
        cpu_usage_percent: summary.cpu_usage,
        memory_used: summary.memory_used,
        memory_total: summary.memory_total,
        temperature: summary.temperature,
        power: summary.power,
        gpus: gpus.max(summary.gpus),
    }
}

pub(super) fn detail(view: &View, fleet: &Fleet, components: &[report::Component]) -> BoardDetail {
    let heartbeat = &view.board.heartbeat;
    let accelerator =
        |gpu: &report::Accelerator| Accelerator { index: gpu.index, name: owned(gpu.name.as_ref()) };
    BoardDetail {
        board: board(view, fleet),
        gpu: heartbeat.gpus.iter().map(accelerator).collect(),
        agent: heartbeat.agent.as_ref().map(agent),
        deployments: components.iter().map(readings::component).collect(),
    }
}

fn agent(agent: &report::Agent) -> Agent {
    Agent {
        version: owned(agent.version.as_ref()),
        kernel: owned(agent.kernel.as_ref()),
        manufacturer: owned(agent.manufacturer.as_ref()),
        model: owned(agent.model.as_ref()),
        serial: owned(agent.serial.as_ref()),
        extra: readings::extras(&agent.extra),
        plugins: agent.plugins.iter().map(plugin).collect(),
    }
}

fn plugin(plugin: &report::Plugin) -> Plugin {
    Plugin {
        name: plugin.name.to_string(),
        version: plugin.version.to_string(),
        digest: plugin.digest.to_string(),
        built_in: plugin.built_in,
        state: plugin.state.to_string(),
        reason: owned(plugin.reason.as_ref()),
    }
}

pub(super) fn resource(received: &Received, report: &report::Resource, clock: Clock) -> Resource {
    let readings = &report.readings;
    let since = Since(clock.now().since(received.at));
    Resource {
        received: time_of_day(clock, received.at),
        age_ms: millis(since.0),
        cpu: readings.cpu.as_ref().map(|cpu| since.cpu(cpu, report.cores_allocated)),
        memory: readings.memory.as_ref().map(|memory| since.memory(memory)),
        network: readings.networks.iter().map(|network| since.network(network)).collect(),
        disk: readings.disks.iter().map(|disk| since.disk(disk)).collect(),
        gpu: readings.gpus.iter().map(|gpu| since.gpu(gpu)).collect(),
        sensors: readings.sensors.iter().map(|sensor| since.sensor(sensor)).collect(),
        component: report.components.iter().map(readings::component).collect(),
    }
}

fn owned(text: Option<&Text>) -> Option<String> {
    text.map(ToString::to_string)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn time_of_day(clock: Clock, moment: Moment) -> String {
    humantime::format_rfc3339_millis(clock.time_of_day(moment)).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    #[test]
    fn readings_that_no_longer_come_are_not_in_the_summary() {
        let readings = json!({"cpu": {"usage_percent": 12.5}, "memory": {"total": 16, "used": 4}, "gpu": [{"index": 0}]});
        let shown = |resource_every| {
            let fleet = testing::asked_every(resource_every);
            testing::heartbeat(&fleet, 1, "n", &json!([]));
            testing::resource(&fleet, 1, &readings);
            std::thread::sleep(Duration::from_millis(10));
            let view = fleet.boards(&fleet::Filter::default(), None, 1).boards.remove(0);
            (summary(&view.board, &fleet), view.board.resource.is_some())
        };
        let (current, _) = shown(Duration::from_secs(3600));
        assert_eq!((current.cpu_usage_percent, current.memory_used, current.gpus), (Some(12.5), Some(4), 1));
        let (old, is_kept) = shown(Duration::from_millis(1));
        assert!(is_kept && old.age_ms.is_some_and(|age| age >= 10), "{old:?}");
        assert_eq!(old, Summary { age_ms: old.age_ms, ..Summary::default() });
    }
}
