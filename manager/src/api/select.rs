//! Which boards a selector means: `key=value,key=value`, and a board must have all of them.
//!
//! Whoever sends a heartbeat can have what a selector asks for. So one that is in doubt is left out, and told.

use std::collections::HashSet;

use super::types::LeftOut;
use crate::fleet::{Fleet, View};
use crate::model::{BoardId, State, Text};

/// One thing that a board must have.
enum Rule {
    Box(i32),
    Slot(i32),
    Cpu(i32),
    State(State),
    Type(String),
    Resource(String),
    Arch(String),
    Host(String),
}

/// Boards that are told of those that were left out.
const TOLD: usize = 100;

/// What a selector means.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The ids of the boards, in their order.
    pub(super) boards: Vec<String>,
    /// Those that it fits and that are in doubt, and why.
    pub(super) left_out: Vec<LeftOut>,
    pub(super) more_left_out: usize,
}

/// Finds them. `trusted` are boards that need not be known for long.
pub(super) fn select(fleet: &Fleet, trusted: &HashSet<BoardId>, selector: &str) -> Result<Selection, String> {
    let rules = parse(selector)?;
    let mut selection = Selection::default();
    for view in fleet.walk().filter(|view| rules.iter().all(|rule| rule.fits(view))) {
        let board = view.board.id.to_string();
        match fleet.doubt(&view, trusted.contains(&view.board.id)) {
            None => selection.boards.push(board),
            Some(why) if selection.left_out.len() < TOLD => selection.left_out.push(LeftOut { board, why }),
            Some(_) => selection.more_left_out += 1,
        }
    }
    Ok(selection)
}

impl Selection {
    /// Why nothing was selected.
    pub(super) fn nothing(&self) -> String {
        let Some(first) = self.left_out.first() else {
            return "the selector fits no board; `cardcage boards` shows what they have".to_owned();
        };
        let all = self.left_out.len().saturating_add(self.more_left_out);
        format!(
            "the selector fits {all} boards, and all of them are left out, {} for one: {}; name those that are meant as boards",
            first.board, first.why
        )
    }
}

fn parse(selector: &str) -> Result<Vec<Rule>, String> {
    selector.split(',').map(|part| rule(part.trim())).collect()
}

fn rule(part: &str) -> Result<Rule, String> {
    let (key, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not key=value"))?;
    let (key, value) = (key.trim(), value.trim());
    let number = || value.parse().map_err(|_| format!("{key} must be a number, not {value:?}"));
    let text = || value.to_owned();
    Ok(match key {
        "box" => Rule::Box(number()?),
        "slot" => Rule::Slot(number()?),
        "cpu" => Rule::Cpu(number()?),
        "state" => {
            let state = State::ALL.into_iter().find(|state| state.name() == value);
            Rule::State(state.ok_or_else(|| format!("state must be up, late or lost, not {value:?}"))?)
        }
        "type" => Rule::Type(text()),
        "resource" => Rule::Resource(text()),
        "arch" => Rule::Arch(text()),
        "host" => Rule::Host(text()),
        _ => {
            return Err(format!(
                "there is no key {key:?}; the keys are box, slot, cpu, state, type, resource, arch and host"
            ));
        }
    })
}

impl Rule {
    fn fits(&self, view: &View) -> bool {
        let heartbeat = &view.board.heartbeat;
        let is = |text: Option<&Text>, wanted: &str| text.is_some_and(|text| text.as_str() == wanted);
        match self {
            Self::Box(number) => heartbeat.position.box_id == *number,
            Self::Slot(number) => heartbeat.position.slot_id == *number,
            Self::Cpu(number) => heartbeat.position.cpu_id == *number,
            Self::State(state) => view.board.state == *state,
            Self::Type(text) => is(heartbeat.board_type.as_ref(), text),
            Self::Resource(text) => is(heartbeat.resource_type.as_ref(), text),
            Self::Arch(text) => is(heartbeat.cpu_arch.as_ref(), text),
            Self::Host(text) => heartbeat.hostname.as_str() == text,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    #[test]
    fn a_board_must_have_everything() {
        let fleet = testing::fleet();
        testing::heartbeat(&fleet, 1, "one", &json!([]));
        testing::heartbeat(&fleet, 2, "two", &json!([]));
        let found = |selector: &str| {
            let Selection { boards, left_out, .. } = select(&fleet, &HashSet::new(), selector)?;
            Ok::<_, String>(boards.len() + left_out.len())
        };
        assert_eq!(found("box=1"), Ok(2));
        assert_eq!(found("box=1, host=two,state=up"), Ok(1));
        assert_eq!(found("box=1,host=three"), Ok(0));
        for (wrong, expected) in [
            ("", "not key=value"),
            ("box=x", "must be a number"),
            ("state=gone", "up, late or lost"),
            ("colour=red", "the keys are box"),
        ] {
            let error = found(wrong).unwrap_err();
            assert!(error.contains(expected), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_board_in_doubt_is_left_out_and_told() {
        let fleet = testing::fleet();
        let trusted = HashSet::from([BoardId::from("00000000-0000-0000-0000-000000000001")]);
        let select = |trusted: &HashSet<BoardId>| select(&fleet, trusted, "box=1").unwrap();
        assert!(select(&trusted).nothing().contains("fits no board"));
        testing::heartbeat(&fleet, 1, "one", &json!([]));
        let new = select(&HashSet::new());
        assert!(new.boards.is_empty() && new.left_out[0].why.contains("no longer than 2h"), "{new:?}");
        assert!(new.nothing().contains("fits 1 boards") && new.nothing().contains("no longer"), "{new:?}");
        let known = select(&trusted);
        assert_eq!((known.boards.len(), known.left_out.len()), (1, 0), "{known:?}");
        testing::heartbeat(&fleet, 2, "two", &json!([]));
        let contested = select(&trusted);
        assert_eq!((contested.boards.len(), contested.left_out.len()), (0, 2));
        assert!(contested.left_out[0].why.contains("its slot is also that of"), "{contested:?}");
        for id in 3..200 {
            testing::heartbeat(&fleet, id, "more", &json!([]));
        }
        let many = select(&trusted);
        assert_eq!((many.boards.len(), many.left_out.len(), many.more_left_out), (0, TOLD, 99));
    }
}
