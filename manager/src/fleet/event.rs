//! What is worth a log line: changes, not reports.

use std::net::Ipv4Addr;

use tracing::{debug, info, warn};

use super::claims::{Thing, Verdict};
use crate::model::{BoardId, Position, State};

/// A change in the fleet.
#[derive(Debug)]
pub(super) enum Event {
    New { id: BoardId, hostname: String, position: Position, address: Ipv4Addr },
    Changed { id: BoardId, from: State, to: State },
    Claims(Verdict),
    CopiedIdentity { id: BoardId, addresses: Vec<Ipv4Addr> },
    SettledIdentity(BoardId),
}

pub(super) fn log(events: &[Event]) {
    for event in events {
        match event {
            Event::New { id, hostname, position, address } => {
                info!(board = %id, hostname, box_id = position.box_id, slot_id = position.slot_id,
                      cpu_id = position.cpu_id, %address, "new board");
            }
            Event::Changed { id, to: State::Lost, .. } => warn!(board = %id, "board lost"),
            Event::Changed { id, from: State::Lost, .. } => info!(board = %id, "board is back"),
            Event::Changed { id, to, .. } => {
                debug!(board = %id, state = to.name(), "board changed")
            }
            Event::Claims(Verdict::Contested(Thing::Slot(slot), boards)) => {
                warn!(%slot, boards, "several boards claim one slot");
            }
            Event::Claims(Verdict::Settled(Thing::Slot(slot))) => {
                info!(%slot, "the claims on a slot are settled")
            }
            Event::Claims(Verdict::Contested(Thing::Address(address), boards)) => {
                warn!(%address, boards, "several boards report from one address");
            }
            Event::Claims(Verdict::Settled(Thing::Address(address))) => {
                info!(%address, "the claims on an address are settled")
            }
            Event::CopiedIdentity { id, addresses } => {
                warn!(board = %id, ?addresses,
                      "several agents have one identity; delete agent_id in state_dir of all but one and restart them");
            }
            Event::SettledIdentity(id) => info!(board = %id, "one agent has this identity again"),
        }
    }
}
