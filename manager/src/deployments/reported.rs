//! What boards report to run on them. A report is kept as it came, so it is read here again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Deployments;
use crate::clock::Moment;
use crate::fleet::View;
use crate::model::report::Component;
use crate::model::{BoardId, Deployment, Outcome, Reply};
use crate::protocol;

/// What one board reported last.
#[derive(Debug, Clone, Default)]
pub(super) struct Reported {
    pub(super) components: Vec<Component>,
    /// When.
    pub(super) at: Option<Moment>,
    /// It says something about now.
    pub(super) is_current: bool,
}

impl Deployments {
    pub(super) fn reported(&self, view: &View) -> Reported {
        let Some(received) = &view.board.resource else { return Reported::default() };
        let is_current = self.0.fleet.current(&view.board).is_some();
        Reported { components: components(&received.body), at: Some(received.at), is_current }
    }

    /// What a board reported of one deployment.
    pub(super) fn component(&self, board: &BoardId, uuid: &str) -> Option<Component> {
        let view = self.0.fleet.board(board.as_str())?;
        self.reported(&view).components.into_iter().find(|component| component.uuid.as_str() == uuid)
    }

    /// Finds out what is to be stopped: what was ordered here, else what a board reports, else nothing. Where it is not
    /// clear which board is meant, `board` must say it; `kind` helps where an agent does not tell it. Reads every report if
    /// something was not ordered here, so it is no work for a task.
    pub fn resolve(
        &self,
        uuids: &[String],
        board: Option<&str>,
        kind: Option<&str>,
    ) -> Vec<Result<super::Stop, Reply>> {
        let known: HashMap<&String, Deployment> =
            uuids.iter().filter_map(|uuid| Some((uuid, self.get(uuid)?))).collect();
        let is_elsewhere = |known: &Deployment| board.is_some_and(|board| known.board.as_str() != board);
        let is_known =
            |uuid: &&String| known.get(uuid).is_some_and(|known| !known.is_over() && !is_elsewhere(known));
        let strangers: HashSet<&str> =
            uuids.iter().filter(|uuid| !is_known(uuid)).map(String::as_str).collect();
        let mut seen = if strangers.is_empty() { HashMap::new() } else { self.strangers(&strangers) };
        let resolve = |uuid: &String| {
            let mut found = seen.remove(uuid.as_str()).unwrap_or_default();
            found.retain(|(on, _, _)| board.is_none_or(|board| on.as_str() == board));
            // What was stopped here counts only if it is reported to run since.
            if let Some(over) = known.get(uuid).filter(|known| known.is_over()) {
                found.retain(|(on, component, said)| {
                    let runs = !matches!(component.state, "STOPPED" | "FAILED");
                    *on != over.board || (runs && *said > over.ordered)
                });
            }
            if let [_, _, ..] = found.as_slice() {
                let boards: Vec<_> = found.iter().take(5).map(|(on, _, _)| on.to_string()).collect();
                let message =
                    format!("boards {} have uuid {uuid}; say which one is meant", boards.join(", "));
                return Err(Reply::own(Outcome::UnknownBoard, message));
            }
            let stranger = found.pop().map(|(on, component, _)| {
                let said = component.more.map(|more| more.kind.to_string());
                (on, said.or_else(|| kind.map(str::to_owned)))
            });
            match (known.get(uuid), &stranger) {
                (Some(known), None) if is_elsewhere(known) => {
                    let message = format!("uuid {uuid} belongs to a deployment on board {}", known.board);
                    Err(Reply::own(Outcome::UnknownBoard, message))
                }
                _ => Ok(super::Stop { uuid: uuid.clone(), stranger }),
            }
        };
        uuids.iter().map(resolve).collect()
    }

    /// Every board that reports one of these uuids, and when it did, in milliseconds since 1970.
    pub(super) fn strangers(&self, uuids: &HashSet<&str>) -> HashMap<String, Vec<(BoardId, Component, i64)>> {
        let mut found: HashMap<String, Vec<_>> = HashMap::new();
        for view in self.0.fleet.walk() {
            let Reported { components, at, .. } = self.reported(&view);
            let said = at.map_or(0, |at| super::millis_of(self.0.fleet.clock().time_of_day(at)));
            for component in
                components.into_iter().filter(|component| uuids.contains(component.uuid.as_str()))
            {
                let boards = found.entry(component.uuid.to_string()).or_default();
                boards.push((view.board.id.clone(), component, said));
            }
        }
        found
    }
}

/// Most boards have none, and their reports need not be read for that.
fn components(body: &Arc<[u8]>) -> Vec<Component> {
    const FIELD: &[u8] = b"\"uuid\"";
    if !body.windows(FIELD.len()).any(|window| window == FIELD) {
        return Vec::new();
    }
    protocol::resource::parse(body).map(|resource| resource.components).unwrap_or_default()
}
