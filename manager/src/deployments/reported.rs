//! What boards report to run on them. A report is kept as it came, so it is read here again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

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
    /// In this life of the manager. What was read back from the disk is older than anything that is done now, and nobody
    /// knows whether it is older than what was done before.
    pub(super) is_of_now: bool,
    /// It says something about now.
    pub(super) is_current: bool,
}

impl Deployments {
    pub(super) fn reported(&self, view: &View) -> Reported {
        let Some(received) = &view.board.resource else { return Reported::default() };
        let is_current = self.0.fleet.current(&view.board).is_some();
        let is_of_now = view.board.answers.resource.last.is_some_and(|last| last >= received.at)
            && received.at >= Moment::default();
        Reported { components: components(&received.body), at: Some(received.at), is_of_now, is_current }
    }

    /// Whether a report that came then says something about a deployment as it was last ordered or stopped: one from
    /// before the answer may say what was before.
    pub(super) fn is_later(&self, reported: &Reported, deployment: &Deployment) -> bool {
        let since = time_of_day(deployment.ordered.max(deployment.answered));
        let said = reported.at.map(|at| self.0.fleet.clock().time_of_day(at));
        reported.is_of_now && said.is_some_and(|said| said > since)
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
                found.retain(|(on, component, reported)| {
                    let runs = !matches!(component.state, "STOPPED" | "FAILED");
                    *on != over.board || (runs && self.is_later(reported, over))
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

    /// Every board that reports one of these uuids, and when it did.
    pub(super) fn strangers(
        &self,
        uuids: &HashSet<&str>,
    ) -> HashMap<String, Vec<(BoardId, Component, Reported)>> {
        let mut found: HashMap<String, Vec<_>> = HashMap::new();
        for view in self.0.fleet.walk() {
            let mut reported = self.reported(&view);
            let components = std::mem::take(&mut reported.components);
            for component in
                components.into_iter().filter(|component| uuids.contains(component.uuid.as_str()))
            {
                let boards = found.entry(component.uuid.to_string()).or_default();
                boards.push((view.board.id.clone(), component, reported.clone()));
            }
        }
        found
    }
}

fn time_of_day(millis: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Most boards have none, and their reports need not be read for that.
fn components(body: &Arc<[u8]>) -> Vec<Component> {
    const FIELD: &[u8] = b"\"uuid\"";
    if !body.windows(FIELD.len()).any(|window| window == FIELD) {
        return Vec::new();
    }
    protocol::resource::parse(body).map(|resource| resource.components).unwrap_or_default()
}
