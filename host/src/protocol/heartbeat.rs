//! Who the board is, in the words of v1.1.

use cardcage_wire::board::{Gpu, Heartbeat};

use super::extension;
use super::report::Agent;
use crate::discovery::Accepted;
use crate::model::{PluginStatus, Snapshot};

/// v1.1 cannot leave a field out: an unknown number is 0, an unknown text empty.
pub(super) fn report(
    agent: &Agent,
    asked: &Accepted,
    snapshot: &Snapshot,
    plugins: &[PluginStatus],
    extended: bool,
) -> Heartbeat {
    let (set, found) = (&agent.board, &snapshot.identity);
    Heartbeat {
        box_id: number(set.box_id, found.box_id),
        slot_id: number(set.slot_id, found.slot_id),
        cpu_id: number(set.cpu_id, found.cpu_id),
        srio_id: number(set.srio_id, found.srio_id),
        host_ip: asked.host_ip,
        hostname: text(set.hostname.as_ref(), found.hostname.as_ref()),
        service_port: agent.service_port,
        box_type: text(set.box_type.as_ref(), found.box_type.as_ref()),
        board_type: text(set.board_type.as_ref(), found.board_type.as_ref()),
        cpu_type: text(None, snapshot.cpu.as_ref().and_then(|cpu| cpu.reading.model.as_ref())),
        os_type: text(None, found.os.as_ref()),
        resource_type: text(set.resource_type.as_ref(), found.resource_type.as_ref()),
        cpu_arch: text(None, found.architecture.as_ref()),
        gpu: gpus(snapshot),
        cardcage: extended.then(|| extension::heartbeat(agent.id, asked, snapshot, plugins)),
    }
}

fn gpus(snapshot: &Snapshot) -> Vec<Gpu> {
    let gpus = snapshot.gpus.iter();
    gpus.map(|gpu| Gpu {
        index: number(Some(gpu.index), None),
        name: text(gpu.gpu.reading.name.as_ref(), None),
    })
    .collect()
}

/// What the operator set, else what a probe found; a number that v1.1 cannot hold is as good as unknown.
fn number(set: Option<u32>, found: Option<u32>) -> i32 {
    set.or(found).and_then(|number| number.try_into().ok()).unwrap_or(0)
}

fn text(set: Option<&String>, found: Option<&String>) -> String {
    set.or(found).cloned().unwrap_or_default()
}
