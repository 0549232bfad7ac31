//! The metrics of the fleet, from the inventory as it stands.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::time::SystemTime;

use super::{NoText, families};
use crate::clock::{Clock, Moment};
use crate::fleet::{Fleet, View};
use crate::model::readings::Readings;
use crate::model::report::Resource;
use crate::protocol;

/// What the names of all families begin with.
const PREFIX: &str = "cardcage_board_";

/// Text of the series of one board: some fifteen hundred of them. An ordinary board has two hundred, in 33 KiB; one that
/// invents interfaces must not lengthen the text for everybody.
const TEXT_LIMIT: usize = 256 << 10;

/// Characters of a host name that stand in each of them.
const HOST_LIMIT: usize = 64;

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
    /// None if it says nothing about now, too: of a board that is lost, or whose readings no longer come.
    pub(super) resource: Option<Resource>,
    pub(super) clock: Clock,
    pub(super) now: Moment,
}

impl Family {
    fn head(&self) -> String {
        let Self { name, help, kind, .. } = self;
        format!("# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n")
    }
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
    tally: &'a mut Tally,
}

/// What the series of one board come to, over all families.
#[derive(Default)]
struct Tally {
    bytes: usize,
    left_out: u64,
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

    /// How many series of the board were left out. This one is not.
    pub(super) fn push_left_out(&mut self) {
        self.append("", self.tally.left_out);
    }

    fn write(&mut self, labels: &[&str], value: impl Display) {
        if self.tally.bytes >= TEXT_LIMIT {
            self.tally.left_out += 1;
            return;
        }
        let mut own = String::new();
        for (name, value) in self.family.labels.iter().zip(labels) {
            push_label(&mut own, name, value);
        }
        if !self.used.contains(&own) {
            self.append(&own, value);
            self.used.insert(own);
        }
    }

    fn append(&mut self, own: &str, value: impl Display) {
        let before = self.text.len();
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{PREFIX}{}{{{}{own}}} {value}", self.family.name, self.base);
        self.tally.bytes += self.text.len() - before;
    }
}

/// The text of every family that has a series, unless that comes to more than so many bytes.
pub(super) fn render(fleet: &Fleet, limit: usize) -> Result<Vec<String>, NoText> {
    let (clock, now) = (fleet.clock(), fleet.clock().now());
    // A family's series must stand together, so each has a text of its own.
    let mut families: Vec<_> = families::all().map(|family| (family, family.head())).collect();
    let mut bytes = 0;
    for view in fleet.walk() {
        let subject = Subject { view: &view, resource: resource(fleet, &view), clock, now };
        let (base, mut tally) = (base(&view), Tally::default());
        for (family, text) in &mut families {
            let (used, tally) = (BTreeSet::new(), &mut tally);
            (family.collect)(&subject, &mut Series { family, text, base: &base, used, tally });
        }
        bytes += tally.bytes;
        if bytes > limit {
            return Err(NoText::TooLong);
        }
    }
    families.retain(|(family, text)| text.len() > family.head().len());
    let pieces = families.into_iter().map(|(_, mut text)| {
        // It is held for as long as it is not read, and by its length.
        text.shrink_to_fit();
        text
    });
    Ok(pieces.collect())
}

fn resource(fleet: &Fleet, view: &View) -> Option<Resource> {
    protocol::resource::parse(&fleet.current(&view.board)?.body).ok()
}

fn base(view: &View) -> String {
    let (board, position) = (&view.board, view.board.heartbeat.position);
    let mut base = String::new();
    push_label(&mut base, "board", board.id.as_str());
    push_label(&mut base, "box", &position.box_id.to_string());
    push_label(&mut base, "slot", &position.slot_id.to_string());
    push_label(&mut base, "cpu", &position.cpu_id.to_string());
    let host: String = board.heartbeat.hostname.as_str().chars().take(HOST_LIMIT).collect();
    push_label(&mut base, "host", &host);
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

#[cfg(test)]
mod tests;
