//! The deployed instances of a report, with or without what our extension says of them.
//!
//! v1.1 writes 0 for what was not measured. Nothing that runs uses no memory, so where that is 0 nothing was measured;
//! our extension says it field by field.

use std::collections::HashMap;

use cardcage_wire::board as wire;
use cardcage_wire::extension::Deployment;

use super::resource::limits;
use crate::model::Text;
use crate::model::report::{Component, Placement};

/// Logical cores that are kept of one instance.
const CORES: usize = 4096;

/// Of an agent that speaks v1.1 alone.
pub(super) fn plain(component: wire::Component) -> Component {
    let resource = component.resource;
    let measured = resource.memory.mem_used != 0;
    let bytes = |value: u64| (measured || value != 0).then_some(value);
    Component {
        instance_id: Text::new(component.instance_id),
        uuid: Text::new(component.uuid),
        index: component.index,
        name: Text::new(component.config.name),
        id: Text::new(component.config.id),
        state: state(component.state),
        cpu_load: (measured || resource.cpu.load != 0.0).then_some(resource.cpu.load),
        memory_used: measured.then_some(resource.memory.mem_used),
        memory_limit: Some(resource.memory.mem_limit).filter(|limit| *limit != 0),
        tx_bytes: bytes(resource.network.tx),
        rx_bytes: bytes(resource.network.rx),
        more: None,
    }
}

/// Of an agent of ours. Both lists have one order; the uuids say so, and where they do not they decide.
pub(super) fn extended(
    components: impl Iterator<Item = wire::Component>,
    deployments: Vec<Deployment>,
) -> Vec<Component> {
    let mut by_uuid: HashMap<String, Deployment> =
        deployments.into_iter().map(|deployment| (deployment.uuid.clone(), deployment)).collect();
    let joined = components.map(|component| {
        let more = by_uuid.remove(&component.uuid);
        let component = plain(component);
        match more {
            Some(more) => with(component, more),
            None => component,
        }
    });
    joined.collect()
}

fn with(component: Component, more: Deployment) -> Component {
    Component {
        cpu_load: more.cpu_load.filter(|load| load.is_finite()),
        memory_used: more.memory_used,
        tx_bytes: more.network_tx,
        rx_bytes: more.network_rx,
        more: Some(Placement {
            kind: Text::new(more.kind),
            order: Text::new(more.order),
            reason: more.reason.and_then(Text::known),
            unknown: more.unknown,
            cores: more.cores.into_iter().take(CORES).collect(),
            shared: more.shared,
            memory: more.memory,
            gpus: more.gpus.into_iter().take(limits::GPUS).map(Text::new).collect(),
        }),
        ..component
    }
}

const fn state(state: wire::State) -> &'static str {
    match state {
        wire::State::Pending => "PENDING",
        wire::State::Running => "RUNNING",
        wire::State::Failed => "FAILED",
        wire::State::Stopped => "STOPPED",
        wire::State::Sleeping => "SLEEPING",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn component(uuid: &str, used: u64) -> wire::Component {
        from_value(json!({"instance_id": "i", "uuid": uuid, "index": 0, "config": {"name": "n", "id": "815"},
                          "state": "RUNNING", "resource": {"memory": {"mem_used": used, "mem_limit": 7}}}))
        .unwrap()
    }

    fn deployment(value: Value) -> Deployment {
        from_value(value).unwrap()
    }

    #[test]
    fn a_zero_that_means_unknown_is_absent() {
        let unknown = plain(component("u", 0));
        assert_eq!((unknown.memory_used, unknown.cpu_load, unknown.rx_bytes), (None, None, None));
        let known = plain(component("u", 5));
        assert_eq!((known.memory_used, known.cpu_load, known.rx_bytes), (Some(5), Some(0.0), Some(0)));
        assert_eq!(known.memory_limit, Some(7));
    }

    #[test]
    fn the_extension_belongs_to_its_uuid_wherever_it_stands() {
        let more = vec![
            deployment(json!({"uuid": "b", "type": "bar", "order": "d", "unknown": true, "reason": "",
                              "cores": [2, 3], "shared": true, "memory": 9, "memory_used": 4})),
            deployment(json!({"uuid": "nobody", "type": "docker"})),
        ];
        let components = extended([component("a", 5), component("b", 6)].into_iter(), more);
        assert_eq!((components[0].more.as_ref(), components[0].memory_used), (None, Some(5)));
        let more = components[1].more.as_ref().unwrap();
        assert_eq!((more.kind.as_str(), more.reason.as_ref(), more.unknown), ("bar", None, true));
        assert_eq!((more.cores.as_slice(), more.shared, more.memory), ([2, 3].as_slice(), true, Some(9)));
        assert_eq!((components[1].memory_used, components[1].cpu_load), (Some(4), None));
    }
}
