//! The metrics of the fleet, from the inventory as it stands.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::time::SystemTime;

use super::families;
use crate::clock::{Clock, Moment};
use crate::fleet::{Filter, Fleet, View};
use crate::model::report::Resource;
use crate::model::{State, readings::Readings};
use crate::protocol;

/// What the names of all families begin with.
const PREFIX: &str = "cardcage_board_";

/// One family of series. Base units; the name ends in the unit, as Prometheus asks.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// `gauge` or `counter`.
    pub(super) kind: &'static str,
    /// Labels besides those that every series of a board has.
    pub(super) labels: &'static [&'static str],
    /// Gives the series of one board.
    pub(super) collect: fn(&Subject<'_>, &mut Series<'_>),
}

/// The board that series are made of.
pub(super) struct Subject<'a> {
    pub(super) view: &'a View,
    /// None for a board that is lost, too: what it measured then says nothing about now.
    pub(super) resource: Option<Resource>,
    pub(super) clock: Clock,
    pub(super) now: Moment,
}

impl Subject<'_> {
    /// The readings.
    pub(super) fn readings(&self) -> Option<&Readings> {
        self.resource.as_ref().map(|resource| &resource.readings)
    }

    /// A moment as Prometheus writes it.
    pub(super) fn timestamp(&self, moment: Moment) -> f64 {
        let since = self.clock.time_of_day(moment).duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0.0, |since| since.as_secs_f64())
    }
}

/// Where the series of one board in one family go.
pub(super) struct Series<'a> {
    family: &'a Family,
    text: &'a mut String,
    /// What every series of the board says of it.
    base: &'a str,
    /// The labels that were used. A report may name two things alike, and no series may stand there twice.
    used: BTreeSet<String>,
}

impl Series<'_> {
    /// One series. An unknown value is none.
    pub(super) fn push(&mut self, labels: &[&str], value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            self.write(labels, value);
        }
    }

    /// The same for a count.
    pub(super) fn count(&mut self, labels: &[&str], value: impl Into<Option<u64>>) {
        if let Some(value) = value.into() {
            self.write(labels, value);
        }
    }

    fn write(&mut self, labels: &[&str], value: impl Display) {
        let mut own = String::new();
        for (name, value) in self.family.labels.iter().zip(labels) {
            push_label(&mut own, name, value);
        }
        if !self.used.contains(&own) {
            // Writing to a String cannot fail.
            let _ = writeln!(self.text, "{PREFIX}{}{{{}{own}}} {value}", self.family.name, self.base);
            self.used.insert(own);
        }
    }
}

/// Appends the text of every family that has a series.
pub(super) fn render(fleet: &Fleet, text: &mut String) {
    let views = fleet.boards(&Filter::default(), None, usize::MAX).boards;
    let (clock, now) = (fleet.clock(), fleet.clock().now());
    // A family's series must stand together, so each has a text of its own until all boards are through.
    let mut families: Vec<_> = families::all().map(|family| (family, String::new())).collect();
    for view in &views {
        let subject = Subject { view, resource: resource(view), clock, now };
        let base = base(view);
        for (family, text) in &mut families {
            (family.collect)(&subject, &mut Series { family, text, base: &base, used: BTreeSet::new() });
        }
    }
    for (family, series) in families.iter().filter(|(_, series)| !series.is_empty()) {
        let Family { name, help, kind, .. } = family;
        let _ = write!(text, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n{series}");
    }
}

fn resource(view: &View) -> Option<Resource> {
    let received = view.board.resource.as_ref().filter(|_| view.board.state != State::Lost)?;
    protocol::resource::parse(&received.body).ok()
}

fn base(view: &View) -> String {
    let (board, position) = (&view.board, view.board.heartbeat.position);
    let mut base = String::new();
    push_label(&mut base, "board", board.id.as_str());
    push_label(&mut base, "box", &position.box_id.to_string());
    push_label(&mut base, "slot", &position.slot_id.to_string());
    push_label(&mut base, "cpu", &position.cpu_id.to_string());
    push_label(&mut base, "host", board.heartbeat.hostname.as_str());
    // The first label has nothing before it.
    base.split_off(1)
}

/// Appends one label, after a comma.
fn push_label(labels: &mut String, name: &str, value: &str) {
    labels.push(',');
    labels.push_str(name);
    labels.push_str("=\"");
    for character in value.chars() {
        match character {
            '\\' => labels.push_str("\\\\"),
            '"' => labels.push_str("\\\""),
            '\n' => labels.push_str("\\n"),
            other => labels.push(other),
        }
    }
    labels.push('"');
}
