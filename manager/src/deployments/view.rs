//! Deployments as they are wanted, beside what their boards report: one list, in the order of board and uuid.
//!
//! It is made board by board, so that a page of a large fleet needs the reports of the boards on it and no others.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::compare::{Facts, Step, compare};
use super::{Deployments, reported::Reported};
use crate::clock::Moment;
use crate::model::report::Component;
use crate::model::{BoardId, Deployment, State};

/// Which ones.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only of this board.
    pub board: Option<String>,
    /// Only those that are reported in this state; `absent` for those that are not reported.
    pub state: Option<String>,
    /// Only of this type.
    pub kind: Option<String>,
    /// Also those that are stopped, as they should be.
    pub all: bool,
    /// At most so many.
    pub limit: usize,
    /// Go on after this one.
    pub after: Option<After>,
}

/// The last one of a page: its board and its uuid.
pub type After = (String, String);

/// One deployment.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The component instance.
    pub uuid: String,
    /// Where.
    pub board: BoardId,
    /// How the board stands; none if it is not known any more.
    pub board_state: Option<State>,
    /// As it is wanted; none if it was not ordered here.
    pub deployment: Option<Deployment>,
    /// As it is reported.
    pub component: Option<Component>,
    /// When that was.
    pub reported: Option<Moment>,
    /// Whether the two agree.
    pub step: Step,
}

impl Entry {
    /// Which backend.
    pub fn kind(&self) -> Option<&str> {
        let wanted = self.deployment.as_ref().and_then(|deployment| deployment.kind.as_deref());
        wanted.or_else(|| Some(self.component.as_ref()?.more.as_ref()?.kind.as_str()))
    }

    fn is_wanted(&self, wanted: &Wanted) -> bool {
        let state = self.component.as_ref().map_or("absent", |component| component.state);
        let is_over = self.step.in_step && self.deployment.as_ref().is_some_and(Deployment::is_over);
        wanted.state.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(state))
            && wanted.kind.as_deref().is_none_or(|wanted| self.kind() == Some(wanted))
            && (wanted.all || !is_over)
    }
}

impl Deployments {
    /// A page, and whether there are more.
    pub fn list(&self, wanted: &Wanted) -> (Vec<Entry>, bool) {
        let mut by_board: BTreeMap<BoardId, Vec<Deployment>> = BTreeMap::new();
        let is_on_board =
            |known: &&Deployment| wanted.board.as_ref().is_none_or(|board| known.board.as_str() == board);
        for deployment in self.book().all().filter(is_on_board) {
            by_board.entry(deployment.board.clone()).or_default().push(deployment.clone());
        }
        let mut entries = Vec::new();
        for board in self.boards(wanted, &by_board) {
            let after =
                wanted.after.as_ref().filter(|(last, _)| *last == board.as_str()).map(|(_, uuid)| uuid);
            let of_board = self.of_board(&board, by_board.remove(&board).unwrap_or_default());
            for entry in of_board.into_iter().filter(|entry| after.is_none_or(|after| entry.uuid > *after)) {
                if !entry.is_wanted(wanted) {
                    continue;
                }
                if entries.len() == wanted.limit {
                    return (entries, true);
                }
                entries.push(entry);
            }
        }
        (entries, false)
    }

    fn boards(&self, wanted: &Wanted, known: &BTreeMap<BoardId, Vec<Deployment>>) -> BTreeSet<BoardId> {
        if let Some(board) = &wanted.board {
            return BTreeSet::from([BoardId::from(board.as_str())]);
        }
        let start = wanted.after.as_ref().map(|(board, _)| board.as_str());
        let in_range = |board: &BoardId| start.is_none_or(|start| board.as_str() >= start);
        let fleet = self.0.fleet.walk().map(|view| view.board.id);
        fleet.chain(known.keys().cloned()).filter(in_range).collect()
    }

    /// One deployment: as it was ordered here, else as any board reports it. Reads every report in the second case.
    pub fn entry(&self, uuid: &str) -> Option<Entry> {
        let (board, deployments) = match self.get(uuid) {
            Some(deployment) => (deployment.board.clone(), vec![deployment]),
            None => (self.strangers(&HashSet::from([uuid])).remove(uuid)?.into_iter().next()?.0, Vec::new()),
        };
        self.of_board(&board, deployments).into_iter().find(|entry| entry.uuid == uuid)
    }

    /// What one board reports.
    pub fn components(&self, board: &str) -> Vec<Component> {
        self.0.fleet.board(board).map(|view| self.reported(&view).components).unwrap_or_default()
    }

    fn of_board(&self, board: &BoardId, deployments: Vec<Deployment>) -> Vec<Entry> {
        let view = self.0.fleet.board(board.as_str());
        let mut reported = view.as_ref().map(|view| self.reported(view)).unwrap_or_default();
        let state = view.map(|view| view.board.state);
        let Reported { at, is_current, .. } = reported;
        let components = std::mem::take(&mut reported.components);
        let mut components: BTreeMap<String, Component> =
            components.into_iter().map(|component| (component.uuid.to_string(), component)).collect();
        let mut entries = Vec::new();
        let mut push = |uuid: String, deployment: Option<Deployment>, component: Option<Component>| {
            let is_later = deployment.as_ref().is_none_or(|one| self.is_later(&reported, one));
            let step =
                compare(deployment.as_ref(), Facts { component: component.as_ref(), is_current, is_later });
            let board = board.clone();
            entries.push(Entry {
                uuid,
                board,
                board_state: state,
                deployment,
                component,
                reported: at,
                step,
            });
        };
        for deployment in deployments {
            let component = components.remove(&deployment.uuid);
            push(deployment.uuid.clone(), Some(deployment), component);
        }
        for (uuid, component) in components {
            push(uuid, None, Some(component));
        }
        entries.sort_by(|one, other| one.uuid.cmp(&other.uuid));
        entries
    }
}
