//! The manager: validated reports a second against a bare server, and three thousand agents that answer one query.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cardcage_wire::board::{Query, ReportUrl};
use hdrhistogram::Histogram;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use crate::figures::{Figures, Goal, say};
use crate::load::{Bodies, Connections, connect, post, reports_a_second};
use crate::process::{Process, Programs, free_port, listening};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 77, 3);
const CLIENTS: u16 = 64;
const DURING: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
const AGENTS: u16 = 3000;

pub fn measure(programs: &Programs, figures: &mut Figures) -> Result<()> {
    say("reports: the manager against a bare server");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for (name, connections) in [
        ("reports a second, kept connections", Connections::Kept),
        ("reports a second, a new connection each", Connections::New),
    ] {
        let (mut ours, mut theirs) = (0.0_f64, 0.0_f64);
        // In turns, so that a busy moment of the machine meets both; the best round counts.
        for _ in 0..ROUNDS {
            let manager = Manager::start(programs, "1h")?;
            ours = ours.max(runtime.block_on(reports_a_second(
                manager.address,
                CLIENTS,
                connections,
                DURING,
            ))?);
            drop(manager);
            let bare = Bare::start(programs)?;
            theirs =
                theirs.max(runtime.block_on(reports_a_second(bare.address, CLIENTS, connections, DURING))?);
        }
        figures.against(name, ours, "/s", ("bare hyper and serde", theirs), Goal::AtLeast(0.7));
    }
    let manager = Manager::start(programs, "4s")?;
    let fleet = runtime.block_on(fleet(&manager))?;
    figures.against(
        "reports of 3,000 agents that were lost",
        f64::from(fleet.lost),
        "",
        ("sent", f64::from(AGENTS)),
        Goal::AtMost(0.0),
    );
    figures.alone("3,000 agents, spread 1 s: connect to answer, p99", fleet.p99.as_secs_f64() * 1000.0, "ms");
    figures.alone("3,000 agents, spread 1 s: query to last answer", fleet.all.as_secs_f64() * 1000.0, "ms");
    Ok(())
}

struct Manager {
    _state: TempDir,
    _process: Process,
    address: SocketAddr,
    group_port: u16,
}

impl Manager {
    fn start(programs: &Programs, every: &str) -> Result<Self> {
        let state = tempfile::tempdir()?;
        let (address, group_port) = (SocketAddr::from(([127, 0, 0, 1], free_port()?)), free_port()?);
        let config = state.path().join("manager.toml");
        std::fs::write(
            &config,
            format!(
                "state_dir = {:?}\nlisten = \"{address}\"\n[discovery]\ngroup = \"{GROUP}\"\nport = {group_port}\n\
                 interfaces = [\"127.0.0.1\"]\nheartbeat_every = \"{every}\"\nresource_every = \"1h\"\nspread_ms = 1000\n",
                state.path().join("state"),
            ),
        )?;
        let process =
            Process::start(&programs.manager, ["serve".as_ref(), "--config".as_ref(), config.as_os_str()])?;
        listening(address)?;
        Ok(Self { _state: state, _process: process, address, group_port })
    }

    /// How many boards it knows, by its own API.
    fn boards(&self) -> Result<usize> {
        let metrics = crate::sample::scrape(self.address)?;
        let known = |line: &&str| line.starts_with("cardcage_board_up{");
        Ok(metrics.lines().filter(known).count())
    }
}

struct Bare {
    process: Child,
    address: SocketAddr,
}

impl Bare {
    fn start(programs: &Programs) -> Result<Self> {
        let mut process = Command::new(&programs.bench).arg("bare").stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.take().context("its output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self { process, address: line.trim().parse()? })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What became of one query.
struct Fleet {
    lost: u16,
    p99: Duration,
    all: Duration,
}

/// Three thousand agents in one process: one hears the query for all, each answers at its share of the spread.
async fn fleet(manager: &Manager) -> Result<Fleet> {
    let bodies: Vec<Bodies> = (0..AGENTS).map(Bodies::of).collect();
    let socket = join(manager.group_port)?;
    let query = hear(&socket).await?;
    let heard = Instant::now();
    let spread = Duration::from_millis(query.spread_ms.unwrap_or(0).into());
    ensure!(spread == Duration::from_secs(1), "the manager asks for a spread of {spread:?}");
    let mut agents = tokio::task::JoinSet::new();
    for (number, bodies) in (0..AGENTS).zip(bodies) {
        let server = manager.address;
        // Scattered as hashes scatter: a fixed stride through the spread.
        let share = spread * (u32::from(number) * 1_327 % u32::from(AGENTS)) / u32::from(AGENTS);
        agents.spawn(async move {
            sleep(share).await;
            let began = Instant::now();
            let mut connection = connect(server).await?;
            post(&mut connection, "/heartbeat", bodies.heartbeat).await?;
            anyhow::Ok(began.elapsed())
        });
    }
    let mut took = Histogram::<u64>::new(3)?;
    let mut lost = 0;
    while let Some(answered) = agents.join_next().await {
        match answered? {
            Ok(elapsed) => took.record(u64::try_from(elapsed.as_micros())?)?,
            Err(_) => lost += 1,
        }
    }
    let all = heard.elapsed();
    let known = manager.boards()?;
    ensure!(
        known + usize::from(lost) == usize::from(AGENTS),
        "the manager knows {known} boards, {lost} were lost"
    );
    Ok(Fleet { lost, p99: Duration::from_micros(took.value_at_quantile(0.99)), all })
}

fn join(port: u16) -> Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((GROUP, port)).into())?;
    socket.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST)?;
    socket.set_nonblocking(true)?;
    Ok(UdpSocket::from_std(socket.into())?)
}

/// The next query for a heartbeat.
async fn hear(socket: &UdpSocket) -> Result<Query> {
    let mut datagram = [0; 2048];
    loop {
        let received =
            timeout(Duration::from_secs(20), socket.recv(&mut datagram)).await.context("no query came")??;
        let query = Query::parse(datagram.get(..received).unwrap_or_default())?;
        if query.url == ReportUrl::Heartbeat {
            return Ok(query);
        }
    }
}
