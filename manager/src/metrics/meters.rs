//! What the manager counts of itself.

use std::net::Ipv4Addr;
use std::time::Duration;

use cardcage_daemon::listen::Connections;
use cardcage_daemon::log;
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::model::{State, Subject};

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is its board's latest.
    Kept,
    /// Its board is not known yet.
    Waiting,
    /// Several boards have its address.
    Ambiguous,
    /// It is not the protocol.
    Malformed,
    /// Too long.
    Oversized,
    /// It did not come to its end in time.
    Unread,
    /// The manager has no room for it.
    Refused,
}

impl Outcome {
    const ALL: [Self; 7] = [
        Self::Kept,
        Self::Waiting,
        Self::Ambiguous,
        Self::Malformed,
        Self::Oversized,
        Self::Unread,
        Self::Refused,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Waiting => "waiting",
            Self::Ambiguous => "ambiguous",
            Self::Malformed => "malformed",
            Self::Oversized => "oversized",
            Self::Unread => "unread",
            Self::Refused => "refused",
        }
    }
}

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    /// `POST /heartbeat` or `POST /resource`.
    Report(Subject),
    /// Everything else.
    Other,
}

/// The counters. Those of reports are looked up once, here, and not for each report.
pub struct Meters {
    registry: Registry,
    heartbeats: Vec<IntCounter>,
    resources: Vec<IntCounter>,
    durations: [Histogram; 3],
    queries: IntCounterVec,
    connections: IntGauge,
    open: Connections,
    lines_lost: IntCounter,
    /// Bytes that are held of reports that are not whole yet.
    pub held_reports: IntGauge,
    /// Bytes that are held of answers that their peers have not read yet.
    pub held_answers: IntGauge,
    batches: IntCounterVec,
    saved: IntCounter,
    batch_duration: Histogram,
    boards: IntGaugeVec,
    deployments: IntGaugeVec,
}

impl Meters {
    /// All at zero, for the listener with these connections.
    pub fn new(open: Connections) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let reports =
            counters(&registry, "reports_total", "Reports by what became of them.", &["url", "outcome"])?;
        let by_outcome = |subject: Subject| {
            let counter =
                |outcome: Outcome| reports.get_metric_with_label_values(&[subject.path(), outcome.name()]);
            Outcome::ALL.into_iter().map(counter).collect::<prometheus::Result<Vec<_>>>()
        };
        let durations = histograms(&registry)?;
        let duration = |handler: &str| durations.get_metric_with_label_values(&[handler]);
        build_info(&registry)?;
        let held = IntGaugeVec::new(opts("held_bytes", "Bytes that are held for peers."), &["of"])?;
        let held = register(&registry, held)?;
        Ok(Self {
            heartbeats: by_outcome(Subject::Heartbeat)?,
            resources: by_outcome(Subject::Resource)?,
            durations: [duration("heartbeat")?, duration("resource")?, duration("other")?],
            queries: counters(
                &registry,
                "queries_total",
                "Queries by the interface and the address that they were sent from, and whether they could be.",
                &["interface", "address", "url", "outcome"],
            )?,
            connections: register(
                &registry,
                IntGauge::with_opts(opts("connections", "Connections that are open."))?,
            )?,
            open,
            lines_lost: register(
                &registry,
                IntCounter::with_opts(opts(
                    "log_lines_lost_total",
                    "Lines of the log that nobody took in time.",
                ))?,
            )?,
            held_reports: held.get_metric_with_label_values(&["reports"])?,
            held_answers: held.get_metric_with_label_values(&["answers"])?,
            batches: counters(&registry, "store_batches_total", "Batches for the store.", &["outcome"])?,
            saved: register(
                &registry,
                IntCounter::with_opts(opts("store_boards_total", "Boards written to the store."))?,
            )?,
            batch_duration: register(
                &registry,
                Histogram::with_opts(HistogramOpts::from(opts(
                    "store_batch_duration_seconds",
                    "How long the store takes for a batch.",
                )))?,
            )?,
            boards: register(
                &registry,
                IntGaugeVec::new(opts("boards", "Boards by how they stand."), &["state"])?,
            )?,
            deployments: register(
                &registry,
                IntGaugeVec::new(
                    opts(
                        "deployments",
                        "Deployments that are recorded; open where the outcome is not known yet.",
                    ),
                    &["outcome"],
                )?,
            )?,
            registry,
        })
    }

    /// A report was dealt with.
    pub fn report(&self, subject: Subject, outcome: Outcome) {
        let counters = match subject {
            Subject::Heartbeat => &self.heartbeats,
            Subject::Resource => &self.resources,
        };
        let place = Outcome::ALL.iter().position(|other| *other == outcome);
        if let Some(counter) = place.and_then(|place| counters.get(place)) {
            counter.inc();
        }
    }

    /// A request was answered.
    pub fn answered(&self, handler: Handler, took: Duration) {
        let [heartbeat, resource, other] = &self.durations;
        let histogram = match handler {
            Handler::Report(Subject::Heartbeat) => heartbeat,
            Handler::Report(Subject::Resource) => resource,
            Handler::Other => other,
        };
        histogram.observe(took.as_secs_f64());
    }

    /// A query was sent, or could not be.
    pub fn query(&self, interface: &str, address: Ipv4Addr, subject: Subject, sent: bool) {
        let outcome = if sent { "sent" } else { "failed" };
        let labels = [interface, &address.to_string(), subject.path(), outcome];
        if let Ok(counter) = self.queries.get_metric_with_label_values(&labels) {
            counter.inc();
        }
    }

    /// The store wrote a batch, or could not.
    pub fn batch(&self, boards: usize, took: Duration, written: bool) {
        let outcome = if written { "written" } else { "failed" };
        if let Ok(counter) = self.batches.get_metric_with_label_values(&[outcome]) {
            counter.inc();
        }
        if written {
            self.saved.inc_by(u64::try_from(boards).unwrap_or(u64::MAX));
            self.batch_duration.observe(took.as_secs_f64());
        }
    }

    /// Deployments that are recorded, and how many of them are open.
    pub fn set_deployments(&self, all: usize, open: usize) {
        for (outcome, count) in [("known", all.saturating_sub(open)), ("open", open)] {
            if let Ok(gauge) = self.deployments.get_metric_with_label_values(&[outcome]) {
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }

    /// How many boards there are in each state, in the order of [`State::ALL`].
    pub(super) fn set_boards(&self, counts: [usize; State::ALL.len()]) {
        for (state, count) in State::ALL.into_iter().zip(counts) {
            if let Ok(gauge) = self.boards.get_metric_with_label_values(&[state.name()]) {
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }

    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.connections.set(i64::try_from(self.open.open()).unwrap_or(i64::MAX));
        self.lines_lost.inc_by(log::lost().saturating_sub(self.lines_lost.get()));
        self.registry.gather()
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("cardcage").subsystem("manager")
}

fn register<M: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: M,
) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(opts(name, help), labels)?)
}

fn histograms(registry: &Registry) -> prometheus::Result<HistogramVec> {
    // From the parsing of one report, 50 µs, to what an operator notices.
    let buckets = vec![0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5];
    let options =
        HistogramOpts::from(opts("request_duration_seconds", "Time from a request's head to its answer."));
    register(registry, HistogramVec::new(options.buckets(buckets), &["handler"])?)
}

fn build_info(registry: &Registry) -> prometheus::Result<()> {
    let info =
        IntGaugeVec::new(opts("build_info", "Always 1; the labels say which build this is."), &["version"])?;
    register(registry, info)?.get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?.set(1);
    Ok(())
}
