//! `POST /heartbeat`, bytes to model.

use cardcage_wire::{board as wire, extension};

use super::extended::extras;
use super::report::{BadReport, agent_id, machine};
use crate::model::report::{Accelerator, Agent, Plugin};
use crate::model::{Heartbeat, Position, QueryId, Text};

/// Accelerators that are kept of one board.
const GPU_LIMIT: usize = 256;

/// Plugins that are kept of one board.
const PLUGIN_LIMIT: usize = 256;

/// Reads the body: the heartbeat, and which query it answers.
pub fn parse(body: &[u8]) -> Result<(Heartbeat, Option<QueryId>), BadReport> {
    let mut report = wire::Heartbeat::parse(body).map_err(BadReport::Wire)?;
    let query = report.cardcage.as_mut().and_then(|extension| extension.query_id.take());
    Ok((heartbeat(report)?, query.and_then(QueryId::known)))
}

fn heartbeat(report: wire::Heartbeat) -> Result<Heartbeat, BadReport> {
    Ok(Heartbeat {
        position: Position {
            box_id: report.box_id,
            slot_id: report.slot_id,
            cpu_id: report.cpu_id,
            srio_id: report.srio_id,
        },
        host_ip: machine(report.host_ip)?,
        hostname: Text::new(report.hostname),
        service_port: report.service_port,
        box_type: Text::known(report.box_type),
        board_type: Text::known(report.board_type),
        cpu_type: Text::known(report.cpu_type),
        os_type: Text::known(report.os_type),
        resource_type: Text::known(report.resource_type),
        cpu_arch: Text::known(report.cpu_arch),
        gpus: report
            .gpu
            .into_iter()
            .take(GPU_LIMIT)
            .map(|gpu| Accelerator { index: gpu.index, name: Text::known(gpu.name) })
            .collect(),
        agent: report.cardcage.map(agent).transpose()?,
    })
}

fn agent(extension: extension::HeartbeatExtension) -> Result<Agent, BadReport> {
    let identity = extension.identity;
    Ok(Agent {
        id: agent_id(&extension.agent_id)?,
        version: Text::known(extension.agent_version),
        kernel: identity.kernel.and_then(Text::known),
        manufacturer: identity.manufacturer.and_then(Text::known),
        model: identity.model.and_then(Text::known),
        serial: identity.serial.and_then(Text::known),
        extra: extras(identity.extra),
        plugins: extension.plugins.into_iter().take(PLUGIN_LIMIT).map(plugin).collect(),
    })
}

fn plugin(plugin: extension::Plugin) -> Plugin {
    Plugin {
        name: Text::new(plugin.name),
        version: Text::new(plugin.version),
        digest: Text::new(plugin.digest),
        built_in: plugin.built_in,
        state: Text::new(plugin.state),
        reason: plugin.reason.and_then(Text::known),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::BoardId;
    use crate::protocol::testing::{any_json, envelope, mutated};

    fn document() -> serde_json::Value {
        json!({
            "box_id": "1", "slot_id": 3, "cpu_id": 1, "srio_id": 0, "host_ip": "192.168.10.29", "hostname": "node7",
            "service_port": "23980", "box_type": "计算I型", "board_type": "GPU", "cpu_type": "",
            "gpu": [{"index": 0, "name": "A"}]
        })
    }

    fn extended(agent_id: &str) -> serde_json::Value {
        let mut report = document();
        report["cardcage"] = json!({
            "agent_id": agent_id, "query_id": "q", "agent_version": "0.1.0", "identity": {"model": "B1"},
            "plugins": [{"name": "cpu", "version": "0.1.0", "digest": "ab", "state": "ready"}]
        });
        report
    }

    #[test]
    fn a_plain_board_is_known_by_its_place_and_name() {
        let (report, query) = parse(&envelope(document())).unwrap();
        assert_eq!(query, None);
        assert_eq!(BoardId::of(&report).as_str(), "1-3-1-0-node7");
        assert_eq!((report.cpu_type, report.box_type), (None, Some("计算I型".into())));
    }

    #[test]
    fn a_board_of_ours_is_known_by_its_agent() {
        let id = "2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a11";
        let (report, query) = parse(&envelope(extended(&id.to_uppercase()))).unwrap();
        assert_eq!(query, QueryId::known("q".into()));
        assert_eq!(BoardId::of(&report).as_str(), id);
        assert_eq!(report.agent.unwrap().plugins.len(), 1);
    }

    #[test]
    fn an_extension_without_a_uuid_is_refused() {
        for id in ["", "7", "00000000-0000-0000-0000-000000000000"] {
            assert!(matches!(parse(&envelope(extended(id))), Err(BadReport::AgentId)));
        }
    }

    #[test]
    fn an_address_that_no_machine_has_is_refused() {
        for address in ["0.0.0.0", "239.192.168.80", "255.255.255.255"] {
            let mut report = document();
            report["host_ip"] = address.into();
            assert!(matches!(parse(&envelope(report)), Err(BadReport::HostIp(_))));
        }
    }

    #[test]
    fn the_query_that_it_answers_does_not_make_it_another_heartbeat() {
        let answer = |query: &str| {
            let mut report = extended("2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a11");
            report["cardcage"]["query_id"] = query.into();
            parse(&envelope(report)).unwrap()
        };
        let (one, other) = (answer("q1"), answer("q2"));
        assert_eq!(one.0, other.0);
        assert_ne!(one.1, other.1);
        assert_eq!((answer("").1, answer(&"q".repeat(65)).1), (None, None));
    }

    #[test]
    fn the_answer_says_what_is_wrong() {
        let error = parse(b"{\"api_version\": 1, \"data\": {}}").unwrap_err().to_string();
        assert!(error.contains("missing field `box_id`"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn arbitrary_json_does_not_panic(value in any_json()) {
            let _ = parse(&envelope(value));
        }

        #[test]
        fn a_report_with_strange_fields_does_not_panic(
            report in mutated(extended("2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a11"))
        ) {
            if let Ok((report, _)) = parse(&envelope(report)) {
                prop_assert!(report.hostname.as_str().len() <= Text::LIMIT);
            }
        }
    }
}
