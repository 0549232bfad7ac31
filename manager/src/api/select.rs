//! Which boards a selector means: `key=value,key=value`, and a board must have all of them.

use crate::fleet::{Fleet, View};
use crate::model::{State, Text};

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

/// The ids of the boards, in their order.
pub(super) fn select(fleet: &Fleet, selector: &str) -> Result<Vec<String>, String> {
    let rules = parse(selector)?;
    let fits = |view: &View| rules.iter().all(|rule| rule.fits(view));
    Ok(fleet.walk().filter(fits).map(|view| view.board.id.to_string()).collect())
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
        let found = |selector: &str| select(&fleet, selector).map(|boards| boards.len());
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
}
