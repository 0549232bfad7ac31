//! An agent without plugins: discovery, report and service around a board that the test fills.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cardcage_agent::config::{Config, Service};
use cardcage_agent::deploy::{Deployments, Views};
use cardcage_agent::discovery::Discovery;
use cardcage_agent::model::{
    Contribution, Digest, Identity, Memory, PluginState, PluginStatus, Readings, Support,
};
use cardcage_agent::plugin::Tasks;
use cardcage_agent::protocol::report;
use cardcage_agent::report::Reporter;
use cardcage_agent::sample::{Board, PluginReport, Roster, Seat};
use cardcage_agent::serve::{Deploys, Server};
use cardcage_agent::store::AgentId;
use cardcage_agent::telemetry::Telemetry;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::PATIENCE;
use crate::manager::Group;

/// A running agent; it stops when it is dropped.
pub(crate) struct Agent {
    pub(crate) service: SocketAddr,
    board: Board,
    roster: Roster,
    probe: watch::Sender<PluginReport>,
    telemetry: Telemetry,
    _stop: DropGuard,
}

impl Agent {
    /// An agent with this address, whose board has been sampled.
    pub(crate) fn start(group: Group, ip: Ipv4Addr) -> Self {
        let agent = Self::start_unsampled(group, ip);
        agent.sample(1000);
        agent
    }

    pub(crate) fn start_unsampled(group: Group, ip: Ipv4Addr) -> Self {
        let config = Config::parse(&format!(
            "[discovery]\ngroup = \"{}\"\nport = {}\ninterfaces = [\"{ip}\"]\n[managers]\nallow = [\"127.0.0.0/16\"]",
            group.address, group.port
        ));
        let config = config.unwrap();
        let (roster, board) = Board::new();
        let (probe, _) = watch::channel(PluginReport { status: status(), latest: None });
        let telemetry = Telemetry::new().unwrap();
        let stop = CancellationToken::new();
        let server =
            Server::bind(&Service { listen: SocketAddr::from((ip, 0)), ..Service::default() }).unwrap();
        let service = server.address();
        let about = report::Agent {
            id: AgentId::new(Uuid::from_u128(ip.to_bits().into())),
            board: config.board.clone(),
            service_port: service.port(),
        };
        // Nobody keeps deployments here, so none can be made.
        let (deployments, _) = Deployments::new();
        let (queries, accepted) = mpsc::channel(64);
        let discovery = Discovery::bind(&config, telemetry.clone()).unwrap();
        let reporter = Reporter::new(about, board.clone(), deployments.clone(), telemetry.clone());
        tokio::spawn(discovery.run(queries, stop.clone()));
        tokio::spawn(reporter.run(accepted, stop.clone()));
        let deploys = Deploys {
            deployments,
            logs: None,
            managers: config.managers.clone(),
            token: None,
            refused: Arc::default(),
        };
        tokio::spawn(server.run(
            board.clone(),
            deploys,
            Tasks::default(),
            None,
            telemetry.clone(),
            stop.clone(),
        ));
        Self { service, board, roster, probe, telemetry, _stop: stop.drop_guard() }
    }

    /// The probe's next sample: a board with this much memory.
    pub(crate) fn sample(&self, memory: u64) {
        self.roster.announce(vec![Seat { plugin: self.probe.subscribe(), replacement: None }]);
        let readings = Readings {
            memory: Some(Memory { total: Some(memory), ..Memory::default() }),
            identity: Some(Identity { hostname: Some("板卡".into()), ..Identity::default() }),
            ..Readings::default()
        };
        self.probe.send_modify(|report| {
            report.status.state = PluginState::Ready;
            report.status.samples += 1;
            report.latest = Some(Contribution {
                plugin: "probe-fake".into(),
                support: Support::Generic,
                taken: Instant::now(),
                fresh_for: Duration::from_secs(3600),
                readings: Arc::new(readings),
            });
        });
    }

    /// The value of a metric's series, written as in the text format.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let text = self.telemetry.render(&self.board, &Views::default()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap().trim().parse().unwrap()
    }

    pub(crate) fn queries(&self, outcome: &str) -> u64 {
        self.metric(&format!("cardcage_agent_queries_total{{outcome=\"{outcome}\"}}"))
    }

    pub(crate) fn reports(&self, url: &str, outcome: &str) -> u64 {
        self.metric(&format!("cardcage_agent_reports_total{{outcome=\"{outcome}\",url=\"{url}\"}}"))
    }

    /// Waits until the count of queries with this outcome is reached.
    pub(crate) async fn until_queries(&self, outcome: &str, count: u64) {
        self.until(|agent| agent.queries(outcome) >= count).await;
        assert_eq!(self.queries(outcome), count, "{outcome}");
    }

    pub(crate) async fn until(&self, state: impl Fn(&Self) -> bool) {
        let reached = async {
            while !state(self) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap();
    }
}

fn status() -> PluginStatus {
    let (version, digest) = ("1.2.3".into(), Digest([0xcd; 32]));
    PluginStatus {
        support: Some(Support::Generic),
        imports: vec!["cardcage:host/files".into()],
        failures: 2,
        restarts: 1,
        last_sample: Some(Duration::from_micros(1500)),
        memory: Some(65536),
        faults: vec!["a \"fault\"".into()],
        ..PluginStatus::new("probe-fake".into(), version, digest, false, PluginState::Starting)
    }
}
