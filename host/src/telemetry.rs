//! The numbers that the agent gives about itself. Every family is declared here and nowhere else.
//!
//! What happens is counted as it happens; how the plugins are is asked from the [`Board`] at each scrape.

mod deployments;
mod plugins;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cardcage_daemon::log;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::deploy::Views;
use crate::discovery::{DropReason, Subject};
use crate::report::Outcome;
use crate::sample::Board;

/// Counts. Cheap to clone; every clone counts the same.
#[derive(Debug, Clone)]
pub struct Telemetry {
    registry: Registry,
    queries: IntCounterVec,
    reports: IntCounterVec,
    report_duration: HistogramVec,
    lines_lost: IntCounter,
}

/// From under a millisecond on an idle board to a spread of a minute.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0];

impl Telemetry {
    pub fn new() -> Result<Self, prometheus::Error> {
        let telemetry = Self {
            registry: Registry::new(),
            queries: IntCounterVec::new(
                Opts::new("cardcage_agent_queries_total", "Queries that came in, by what became of them."),
                &["outcome"],
            )?,
            reports: IntCounterVec::new(
                Opts::new(
                    "cardcage_agent_reports_total",
                    "Reports that were due, by subject and by what became of them.",
                ),
                &["url", "outcome"],
            )?,
            report_duration: HistogramVec::new(
                HistogramOpts::new(
                    "cardcage_agent_report_duration_seconds",
                    "From a query to the manager's answer to its report, for delivered reports.",
                )
                .buckets(SECONDS.to_vec()),
                &["url"],
            )?,
            lines_lost: IntCounter::new(
                "cardcage_agent_log_lines_lost_total",
                "Lines of the log that nobody took in time.",
            )?,
        };
        telemetry.register()?;
        telemetry.start_at_zero();
        Ok(telemetry)
    }

    pub fn query_accepted(&self) {
        self.queries.with_label_values(&["accepted"]).inc();
    }

    pub fn query_dropped(&self, reason: DropReason) {
        self.queries.with_label_values(&[reason.as_str()]).inc();
    }

    /// What became of a report, and how long after its query.
    pub fn report(&self, subject: Subject, outcome: Outcome, took: Duration) {
        let url = subject.path();
        self.reports.with_label_values(&[url, outcome.as_str()]).inc();
        if outcome == Outcome::Delivered {
            self.report_duration.with_label_values(&[url]).observe(took.as_secs_f64());
        }
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self, board: &Board, deploys: &Views) -> Result<String, prometheus::Error> {
        self.lines_lost.inc_by(log::lost().saturating_sub(self.lines_lost.get()));
        let mut families = self.registry.gather();
        families.extend(plugins::families(&board.plugins())?);
        families.extend(deployments::families(deploys)?);
        TextEncoder::new().encode_to_string(&families)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        let start = Gauge::new("process_start_time_seconds", "Start of the process, in seconds since 1970.")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        start.set(now.unwrap_or_default().as_secs_f64());
        let build = IntGaugeVec::new(
            Opts::new("cardcage_agent_build_info", "Always 1; which build this is."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        self.registry.register(Box::new(start))?;
        self.registry.register(Box::new(build))?;
        self.registry.register(Box::new(self.queries.clone()))?;
        self.registry.register(Box::new(self.reports.clone()))?;
        self.registry.register(Box::new(self.lines_lost.clone()))?;
        self.registry.register(Box::new(self.report_duration.clone()))
    }

    /// A series that appears with its first event hides that event from `rate()`.
    fn start_at_zero(&self) {
        self.queries.with_label_values(&["accepted"]);
        for reason in DropReason::ALL {
            self.queries.with_label_values(&[reason.as_str()]);
        }
        for url in [Subject::Heartbeat, Subject::Resource].map(Subject::path) {
            self.report_duration.with_label_values(&[url]);
            for outcome in Outcome::ALL {
                self.reports.with_label_values(&[url, outcome.as_str()]);
            }
        }
    }
}
