//! What the agent would report, for a person who tries a plugin: both subjects, with the extension.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use cardcage_wire::board::{Heartbeat, ResourceReport};
use serde::Serialize;
use uuid::Uuid;

use super::report::Agent;
use super::{heartbeat, resource};
use crate::config;
use crate::deploy::Views;
use crate::discovery::{Accepted, Query, Subject};
use crate::model::Snapshot;
use crate::store::AgentId;

/// Both reports as nobody asked for them.
#[derive(Debug, Serialize)]
pub struct Preview {
    pub heartbeat: Heartbeat,
    pub resource: ResourceReport,
}

impl Preview {
    pub fn new(board: &config::Board, host_ip: Ipv4Addr, snapshot: &Snapshot) -> Self {
        let agent = Agent { id: AgentId::new(Uuid::nil()), board: board.clone(), service_port: 0 };
        let asked = Accepted { query: query(host_ip), host_ip, received: Instant::now() };
        Self {
            heartbeat: heartbeat::report(&agent, &asked, snapshot, &[], true),
            resource: resource::report(&agent, &asked, snapshot, &Views::default(), true),
        }
    }
}

fn query(manager: Ipv4Addr) -> Query {
    Query {
        manager: SocketAddrV4::new(manager, 0),
        subject: Subject::Heartbeat,
        extended: true,
        query_id: None,
        spread: Duration::ZERO,
    }
}
