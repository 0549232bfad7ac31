//! Fleets for the tests of what shows them.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use cardcage_daemon::state_dir::StateDir;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::agents::Agents;
use crate::clock::Clock;
use crate::config;
use crate::deployments::Deployments;
use crate::fleet::{Fleet, PerSubject};
use crate::protocol;
use crate::store::orders::Orders;

/// An empty fleet.
pub(crate) fn fleet() -> Fleet {
    asked_every(Duration::from_secs(3600))
}

/// One whose boards should tell their readings so often.
pub(crate) fn asked_every(resource: Duration) -> Fleet {
    Fleet::new(Clock::start(), PerSubject { heartbeat: Duration::from_secs(3600), resource })
}

/// No deployments, on the disk in this directory.
pub(crate) fn deployments(dir: &std::path::Path, fleet: &Fleet) -> Deployments {
    let state = StateDir::take(&dir.join("state")).unwrap();
    let (orders, all) = Orders::open(&state).unwrap();
    Deployments::new(orders, all, agents(), fleet.clone())
}

/// Agents that are asked in the clear.
pub(crate) fn agents() -> Arc<Agents> {
    Arc::new(Agents::new(&config::Agents::default()).unwrap())
}

fn body(data: Value) -> Vec<u8> {
    json!({"api_version": 1, "data": data}).to_string().into_bytes()
}

/// A board of an agent of ours reports who it is.
pub(crate) fn heartbeat(fleet: &Fleet, id: u128, hostname: &str, plugins: &Value) {
    heartbeat_at(fleet, id, hostname, plugins, SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 7), 23980));
}

/// The same, of an agent that answers there.
pub(crate) fn heartbeat_at(fleet: &Fleet, id: u128, hostname: &str, plugins: &Value, agent: SocketAddrV4) {
    let extension = json!({"agent_id": Uuid::from_u128(id), "plugins": plugins});
    let body = body(json!({
        "box_id": 1, "slot_id": 3, "cpu_id": 1, "srio_id": 0, "host_ip": agent.ip(), "hostname": hostname,
        "service_port": agent.port(), "box_type": "", "board_type": "", "cpu_type": "", "os_type": "", "resource_type": "",
        "cpu_arch": "", "gpu": [], "cardcage": extension
    }));
    let (report, query) = protocol::heartbeat::parse(&body).unwrap();
    fleet.heartbeat(report, query, None, &body).unwrap();
}

/// And how it is.
pub(crate) fn resource(fleet: &Fleet, id: u128, readings: &Value) {
    let body = body(json!({"host_ip": "10.0.0.7", "resource": {"cpu": {}, "memory": {}}, "component": [],
                           "cardcage": {"agent_id": Uuid::from_u128(id), "readings": readings}}));
    fleet.resource(protocol::resource::head(&body).unwrap(), None, &body).unwrap();
}
