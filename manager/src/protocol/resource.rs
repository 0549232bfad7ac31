//! `POST /resource`, bytes to model.

use cardcage_wire::board as wire;

use super::report::{BadReport, agent_id, machine};
use super::{component, extended, plain, summary};
use crate::model::{Resource, ResourceHead};

/// Deployed instances that are kept of one board.
const COMPONENT_LIMIT: usize = 4096;

/// Items of one kind of reading that are kept of one board, as `wit/types/readings.wit` bounds them.
pub(super) mod limits {
    pub(in crate::protocol) const NETWORKS: usize = 1024;
    pub(in crate::protocol) const DISKS: usize = 1024;
    pub(in crate::protocol) const GPUS: usize = 256;
    pub(in crate::protocol) const SENSORS: usize = 4096;
    pub(in crate::protocol) const EXTRAS: usize = 64;
}

/// Checks the body, and keeps what a line shows of it.
pub fn head(body: &[u8]) -> Result<ResourceHead, BadReport> {
    let report = wire::ResourceReport::parse(body).map_err(BadReport::Wire)?;
    let (agent, summary) = match &report.cardcage {
        Some(extension) => (Some(agent_id(&extension.agent_id)?), summary::extended(&extension.readings)),
        None => (None, summary::plain(&report.resource)),
    };
    Ok(ResourceHead { host_ip: machine(report.host_ip)?, agent, summary })
}

/// Reads the body in full. The extension says what v1.1 cannot, so where it is there the readings are taken from it alone.
pub fn parse(body: &[u8]) -> Result<Resource, BadReport> {
    let report = wire::ResourceReport::parse(body).map_err(BadReport::Wire)?;
    // Here 0 is a true zero: nothing is promised to anybody.
    let cores_allocated = u32::try_from(report.resource.cpu.core_allocated).ok();
    let component = report.component.into_iter().take(COMPONENT_LIMIT);
    let (readings, components) = match report.cardcage {
        Some(extension) => {
            let components = component::extended(component, extension.deployments);
            (extended::readings(extension.readings), components)
        }
        None => (plain::readings(report.resource), component.map(component::plain).collect()),
    };
    Ok(Resource { readings, cores_allocated, components })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::protocol::testing::{any_json, envelope, mutated};

    fn document() -> serde_json::Value {
        json!({
            "host_ip": "192.168.10.29",
            "resource": {
                "cpu": {"usage_percent": 12.5, "load_avg_1m": 0.0, "core_count": 8, "core_allocated": 0,
                        "temperature": 51.5, "voltage": 0, "current": 0, "power": 0},
                "memory": {"total": "16000", "used": 4000, "free": 12000, "usage_percent": 25},
                "network": [{"interface": "eth0", "rx_bytes": 7, "rx_errors": -1}],
                "disk": [{"device": "/dev/vda1", "mount_point": "/", "total": 10, "used": 4, "free": 5}],
                "gpu": [{"index": 0, "name": "A", "power": 150.5}, {"index": 1, "mem_total": 100}]
            },
            "component": [{"instance_id": "i", "uuid": "u", "index": 0, "config": {"name": "n", "id": "c"},
                           "state": "RUNNING", "resource": {"memory": {"mem_used": 5, "mem_limit": 0}}}]
        })
    }

    fn extended() -> serde_json::Value {
        let mut report = document();
        report["cardcage"] = json!({
            "agent_id": "2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a11",
            "readings": {
                "cpu": {"age_ms": 40, "usage_percent": 0.0, "extra": {"governor": "powersave", "nested": {"a": 1}}},
                "sensors": [{"place": {"part": "board"}, "kind": "temperature", "name": "inlet", "value": 31.5,
                             "unit": "Cel", "status": "ok", "age_ms": 40, "plugin": "hwmon"}]
            }
        });
        report
    }

    #[test]
    fn a_zero_of_v1_1_that_means_unknown_becomes_absent() {
        let report = parse(&envelope(document())).unwrap();
        let sensors: Vec<_> =
            report.readings.sensors.iter().map(|s| (s.place.part.as_str(), s.kind.as_str())).collect();
        assert_eq!(sensors, [("cpu", "temperature"), ("gpu", "power")]);
        let cpu = report.readings.cpu.unwrap();
        assert_eq!((cpu.load_avg_1m, cpu.cores), (Some(0.0), Some(8)));
        assert_eq!(report.readings.networks[0].rx_errors, None);
        let usage: Vec<_> = report.readings.gpus.iter().map(|gpu| gpu.compute_usage).collect();
        assert_eq!(usage, [None, Some(0.0)]);
        assert_eq!((report.cores_allocated, report.components[0].memory_limit), (Some(0), None));
    }

    #[test]
    fn processors_of_which_nothing_is_said_have_no_usage_and_no_load() {
        for cpu in [json!({}), json!({"usage_percent": 0, "load_avg_1m": 0, "core_count": 0})] {
            let mut report = document();
            report["resource"]["cpu"] = cpu;
            let report = parse(&envelope(report)).unwrap();
            assert_eq!(report.readings.cpu, Some(crate::model::readings::Cpu::default()));
        }
    }

    #[test]
    fn the_extension_is_preferred() {
        let report = parse(&envelope(extended())).unwrap();
        let cpu = report.readings.cpu.as_ref().unwrap();
        assert_eq!((cpu.usage_percent, cpu.load_avg_1m, cpu.age.as_millis()), (Some(0.0), None, 40));
        assert_eq!(cpu.extra.len(), 1);
        assert_eq!(report.readings.sensors.len(), 1);
    }

    #[test]
    fn lists_are_bounded() {
        let mut report = extended();
        report["cardcage"]["readings"]["sensors"] = vec![json!({"kind": "fan"}); limits::SENSORS + 5].into();
        let kept = parse(&envelope(report)).map(|report| report.readings.sensors.len());
        assert!(kept.is_err() || kept.is_ok_and(|kept| kept == limits::SENSORS));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (head(&bytes), parse(&bytes));
        }

        #[test]
        fn arbitrary_json_does_not_panic(value in any_json()) {
            let _ = (head(&envelope(value.clone())), parse(&envelope(value)));
        }

        #[test]
        fn a_report_with_strange_fields_is_refused_or_can_be_read_later(report in mutated(extended())) {
            let body = envelope(report);
            if head(&body).is_ok() {
                let report = parse(&body).unwrap();
                prop_assert!(report.readings.sensors.iter().all(|s| s.value.is_none_or(f64::is_finite)));
            }
        }
    }
}
