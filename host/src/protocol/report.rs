//! The body of a report: the document's fields, and `data.cardcage` where the query asked for it.

use std::borrow::Cow;

use bytes::Bytes;
use cardcage_wire::board::{Envelope, REPORT_LIMIT};
use tracing::warn;

use super::{heartbeat, resource};
use crate::config;
use crate::deploy::Views;
use crate::discovery::{Accepted, Subject};
use crate::model::{PluginStatus, Snapshot};
use crate::store::AgentId;

/// What an agent says about itself in every report.
#[derive(Debug, Clone)]
pub struct Agent {
    pub id: AgentId,
    /// What the operator decided; it stands before what the probes find.
    pub board: config::Board,
    /// Where the agent answers commands: the port that it is bound to.
    pub service_port: u16,
}

/// The body that answers a query.
pub fn body(
    agent: &Agent,
    asked: &Accepted,
    snapshot: &Snapshot,
    plugins: &[PluginStatus],
    deploys: &Views,
) -> Bytes {
    let write = |snapshot: &Snapshot| match asked.query.subject {
        Subject::Heartbeat => {
            Envelope::new(heartbeat::report(agent, asked, snapshot, plugins, asked.query.extended)).to_bytes()
        }
        Subject::Resource => {
            Envelope::new(resource::report(agent, asked, snapshot, deploys, asked.query.extended)).to_bytes()
        }
    };
    let mut body = write(snapshot);
    let mut snapshot = Cow::Borrowed(snapshot);
    while body.len() > REPORT_LIMIT
        && let Some((plugin, rest)) = snapshot.without_loudest()
    {
        warn!(%plugin, bytes = body.len(), "the report is too long; it goes without what this plugin says");
        body = write(&rest);
        snapshot = Cow::Owned(rest);
    }
    body.into()
}

#[cfg(test)]
mod tests;
