//! The metrics of the fleet, from the inventory as it stands.

use std::collections::BTreeSet;
use std::time::SystemTime;

use prometheus::TextEncoder;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::families;
use crate::clock::{Clock, Moment};
use crate::fleet::{Board, Filter, Fleet, View};
use crate::model::State;
use crate::model::readings::Readings;

/// One family of series. Base units; the name ends in the unit, as Prometheus asks.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: MetricType,
    /// Labels besides those that every series of a board has.
    pub(super) labels: &'static [&'static str],
    /// Gives the series of one board.
    pub(super) collect: fn(&Subject<'_>, &mut Series<'_>),
}

/// The board that series are made of.
pub(super) struct Subject<'a> {
    pub(super) board: &'a Board,
    pub(super) view: &'a View,
    pub(super) clock: Clock,
    pub(super) now: Moment,
}

impl Subject<'_> {
    /// The readings, unless the board is lost: what it measured then says nothing about now.
    pub(super) fn readings(&self) -> Option<&Readings> {
        let resource = self.board.resource.as_ref().filter(|_| self.board.state != State::Lost);
        resource.map(|resource| &resource.report.readings)
    }

    /// A moment as Prometheus writes it.
    pub(super) fn timestamp(&self, moment: Moment) -> f64 {
        let since = self.clock.time_of_day(moment).duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0.0, |since| since.as_secs_f64())
    }
}

/// Where the series of one family go.
pub(super) struct Series<'a> {
    family: &'a Family,
    metrics: Vec<Metric>,
    /// The labels of the board at hand.
    base: Vec<LabelPair>,
    /// The label values that the board at hand has used: a report may name two things alike, and a series may not stand
    /// there twice.
    used: BTreeSet<String>,
}

impl Series<'_> {
    /// One series. An unknown value is none.
    pub(super) fn push(&mut self, labels: &[&str], value: impl Into<Option<f64>>) {
        let Some(value) = value.into() else { return };
        debug_assert_eq!(labels.len(), self.family.labels.len());
        if !self.used.insert(labels.join("\0")) {
            return;
        }
        let own = self.family.labels.iter().zip(labels).map(|(name, value)| pair(name, value));
        let mut metric = Metric::from_label(self.base.iter().cloned().chain(own).collect());
        if self.family.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    /// The same for a count.
    pub(super) fn count(&mut self, labels: &[&str], value: impl Into<Option<u64>>) {
        #[expect(clippy::cast_precision_loss, reason = "Prometheus has doubles only")]
        self.push(labels, value.into().map(|value| value as f64));
    }
}

/// Appends the text of every family that has a series.
pub(super) fn render(fleet: &Fleet, encoder: &TextEncoder, text: &mut String) -> prometheus::Result<()> {
    let views = fleet.boards(&Filter::default(), None, usize::MAX).boards;
    let (clock, now) = (fleet.clock(), fleet.clock().now());
    for family in families::all() {
        let mut series = Series { family, metrics: Vec::new(), base: Vec::new(), used: BTreeSet::new() };
        for view in &views {
            series.base = labels(&view.board);
            series.used.clear();
            (family.collect)(&Subject { board: &view.board, view, clock, now }, &mut series);
        }
        if !series.metrics.is_empty() {
            encoder.encode_utf8(&[assemble(family, series.metrics)], text)?;
        }
    }
    Ok(())
}

fn assemble(family: &Family, metrics: Vec<Metric>) -> MetricFamily {
    let mut assembled = MetricFamily::default();
    assembled.set_name(format!("cardcage_board_{}", family.name));
    assembled.set_help(family.help.to_owned());
    assembled.set_field_type(family.kind);
    assembled.set_metric(metrics);
    assembled
}

/// What every series of a board says of it.
fn labels(board: &Board) -> Vec<LabelPair> {
    let position = board.heartbeat.position;
    vec![
        pair("board", board.id.as_str()),
        pair("box", &position.box_id.to_string()),
        pair("slot", &position.slot_id.to_string()),
        pair("cpu", &position.cpu_id.to_string()),
        pair("host", board.heartbeat.hostname.as_str()),
    ]
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
