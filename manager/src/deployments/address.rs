//! Where the agent of a board is asked.
//!
//! A board says itself where it is, in heartbeats that anybody can send. So an address is in doubt where claims
//! contradict each other, and then nothing new is sent there. What was ordered before has the address at which its agent
//! answered, or at which its board was when nothing was in doubt: a stop goes there, whatever is claimed since.

use std::collections::HashMap;
use std::net::SocketAddrV4;

use super::Deployments;
use crate::fleet::View;
use crate::model::{BoardId, Outcome, Reply, State};

impl Deployments {
    /// Where the agent of a board answers. Not where it is in doubt which agent that is.
    pub fn address(&self, board: &BoardId) -> Result<SocketAddrV4, Reply> {
        let none = |message: String| Reply::own(Outcome::UnknownBoard, message);
        let view = self.0.fleet.board(board.as_str());
        let view =
            view.ok_or_else(|| none(format!("board {board} is not known; it is asked when it reports")))?;
        let agent = address_of(&view);
        if !view.conflicts.identity.is_empty() {
            let message =
                format!("several agents say that they are board {board}; see `cardcage board {board}`");
            return Err(none(message));
        }
        let is_there = |rival: &&BoardId| {
            let rival = self.0.fleet.board(rival.as_str());
            rival.is_some_and(|rival| rival.board.state != State::Lost && address_of(&rival) == agent)
        };
        if let Some(rival) = view.conflicts.address.iter().find(is_there) {
            return Err(none(format!(
                "boards {board} and {rival} report one address and port; correct one of them"
            )));
        }
        Ok(agent)
    }

    /// The same for several; those in doubt are left out.
    pub(super) fn addresses<'a>(
        &self,
        boards: impl Iterator<Item = &'a BoardId>,
    ) -> HashMap<BoardId, SocketAddrV4> {
        boards.filter_map(|board| Some((board.clone(), self.address(board).ok()?))).collect()
    }

    /// Whether a board was heard at this address lately, whoever else says that they are this board.
    pub(super) fn is_heard_at(&self, board: &BoardId, agent: SocketAddrV4) -> bool {
        let view = self.0.fleet.board(board.as_str());
        view.is_some_and(|view| view.board.addresses.iter().any(|seen| seen.address == *agent.ip()))
    }
}

fn address_of(view: &View) -> SocketAddrV4 {
    SocketAddrV4::new(view.board.heartbeat.host_ip, view.board.heartbeat.service_port)
}
