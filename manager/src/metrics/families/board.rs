//! Who the boards are and how they stand.

use super::{Family, counter, gauge};
use crate::model::report::Component;
use crate::model::{State, Text};

pub(super) static FAMILIES: &[Family] = &[
    gauge("up", &[], "1 if the board answers, 0 if it is late or lost.", |subject, series| {
        series.push(&[], if subject.view.board.state == State::Up { 1.0 } else { 0.0 });
    }),
    gauge(
        "info",
        &["address", "type", "resource_type", "os", "arch", "agent"],
        "Always 1; the labels say what the board is.",
        |subject, series| {
            let heartbeat = &subject.view.board.heartbeat;
            let version = heartbeat.agent.as_ref().and_then(|agent| agent.version.as_ref());
            let labels = [
                &heartbeat.host_ip.to_string(),
                text(heartbeat.board_type.as_ref()),
                text(heartbeat.resource_type.as_ref()),
                text(heartbeat.os_type.as_ref()),
                text(heartbeat.cpu_arch.as_ref()),
                text(version),
            ];
            series.push(&labels, 1.0);
        },
    ),
    gauge("last_seen_timestamp_seconds", &[], "When the board last reported.", |subject, series| {
        series.push(&[], subject.view.board.last_seen.map(|seen| subject.timestamp(seen)));
    }),
    counter("missed_answers_total", &["url"], "Queries that the board did not answer.", |subject, series| {
        let answers = subject.view.board.answers;
        series.count(&["/heartbeat"], answers.heartbeat.missed_total);
        series.count(&["/resource"], answers.resource.missed_total);
    }),
    gauge(
        "conflict",
        &["kind"],
        "1 if another live board claims the same slot or address, or another agent has the same identity.",
        |subject, series| {
            let conflicts = &subject.view.conflicts;
            series.count(&["slot"], u64::from(!conflicts.slot.is_empty()));
            series.count(&["address"], u64::from(!conflicts.address.is_empty()));
            series.count(&["identity"], u64::from(!conflicts.identity.is_empty()));
        },
    ),
    gauge(
        "plugin_info",
        &["plugin", "version", "state"],
        "Always 1; the labels say which plugins the board has and how they are.",
        |subject, series| {
            let plugins = subject.view.board.heartbeat.agent.iter().flat_map(|agent| &agent.plugins);
            for plugin in plugins {
                series.push(&[plugin.name.as_str(), plugin.version.as_str(), plugin.state.as_str()], 1.0);
            }
        },
    ),
    gauge(
        "deployments",
        &["state"],
        "Deployed instances by their state; unknown where who runs them does not answer.",
        |subject, series| {
            let components = subject.resource.as_ref().map(|resource| resource.components.as_slice());
            let Some(components) = components.filter(|components| !components.is_empty()) else { return };
            let is_unknown =
                |component: &&Component| component.more.as_ref().is_some_and(|more| more.unknown);
            for state in Component::STATES {
                let in_state = components.iter().filter(|it| it.state == state && !is_unknown(it));
                series.count(&[&state.to_lowercase()], u64::try_from(in_state.count()).ok());
            }
            series.count(&["unknown"], u64::try_from(components.iter().filter(is_unknown).count()).ok());
        },
    ),
];

/// What can be said only after all others.
pub(super) static LAST: &[Family] = &[gauge(
    "series_left_out",
    &[],
    "Series of the board that are not here, since one board gets no more.",
    |_, series| series.push_left_out(),
)];

/// An empty label is the same as none.
fn text(text: Option<&Text>) -> &str {
    text.map_or("", Text::as_str)
}
