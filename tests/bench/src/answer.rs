//! From a query's datagram to the complete body of its report, and from an agent's start to its first report.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use cardcage_wire::board::{Envelope, Query, ReportUrl};
use hdrhistogram::Histogram;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::figures::{Figures, say};
use crate::process::{Process, Programs, free_port};

pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 77, 2);
const QUERIES: usize = 500;
/// An agent takes fifty queries a second from one source.
const PACE: Duration = Duration::from_millis(25);
const STARTS: usize = 5;

pub fn measure(programs: &Programs, figures: &mut Figures) -> Result<()> {
    say("answer: queries, and starts");
    let manager = Manager::start()?;
    let board = Board::new(programs, &manager)?;
    let agent = board.start()?;
    manager.first_report()?;
    for url in [ReportUrl::Heartbeat, ReportUrl::Resource] {
        let took = manager.latencies(url)?;
        let (p50, p99) = match url {
            ReportUrl::Heartbeat => ("query to heartbeat, p50", "query to heartbeat, p99"),
            ReportUrl::Resource => ("query to resource report, p50", "query to resource report, p99"),
        };
        figures.alone(p50, milliseconds(took.value_at_quantile(0.5)), "ms");
        figures.alone(p99, milliseconds(took.value_at_quantile(0.99)), "ms");
    }
    drop(agent);
    let (mut cold, mut warm) = (Duration::MAX, Duration::MAX);
    for _ in 0..STARTS {
        board.forget_compiled()?;
        cold = cold.min(manager.start_to_report(&board)?);
        warm = warm.min(manager.start_to_report(&board)?);
    }
    figures.alone("start to first report, cold", cold.as_secs_f64() * 1000.0, "ms");
    figures.alone("start to first report, warm cache", warm.as_secs_f64() * 1000.0, "ms");
    Ok(())
}

fn milliseconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

/// An agent's files.
struct Board {
    state: TempDir,
    agent: PathBuf,
}

impl Board {
    fn new(programs: &Programs, manager: &Manager) -> Result<Self> {
        let state = tempfile::tempdir()?;
        std::fs::write(
            state.path().join("agent.toml"),
            format!(
                "state_dir = {:?}\n[discovery]\ninterfaces = [\"127.0.0.2\"]\ngroup = \"{GROUP}\"\nport = {}\n[service]\nlisten = \"127.0.0.2:0\"\n",
                state.path().join("state"),
                manager.group_port,
            ),
        )?;
        Ok(Self { state, agent: programs.agent.clone() })
    }

    fn start(&self) -> Result<Process> {
        let config = self.state.path().join("agent.toml");
        Process::start(&self.agent, ["run".as_ref(), "--config".as_ref(), config.as_os_str()])
    }

    fn forget_compiled(&self) -> Result<()> {
        let compiled: &Path = &self.state.path().join("state/compiled");
        Ok(std::fs::remove_dir_all(compiled)?)
    }
}

/// Asks, and notes when the last byte of each report is there.
pub struct Manager {
    socket: UdpSocket,
    port: NonZeroU16,
    pub group_port: u16,
    reports: mpsc::Receiver<Instant>,
}

impl Manager {
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = NonZeroU16::new(listener.local_addr()?.port()).context("a port")?;
        let (sender, reports) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Ok(complete) = take(stream) {
                    let _ = sender.send(complete);
                }
            }
        });
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
        Ok(Self { socket: socket.into(), port, group_port: free_port()?, reports })
    }

    fn ask(&self, url: ReportUrl) -> Result<()> {
        let query = Query {
            manager_ip: Ipv4Addr::LOCALHOST,
            manager_port: self.port,
            url,
            extensions: vec![cardcage_wire::extension::NAME.to_owned()],
            query_id: Some(format!("{:?}", Instant::now())),
            spread_ms: Some(0),
        };
        self.socket.send_to(&Envelope::new(query).to_bytes(), SocketAddrV4::new(GROUP, self.group_port))?;
        Ok(())
    }

    /// Asks until somebody answers.
    pub fn first_report(&self) -> Result<Instant> {
        for _ in 0..1500 {
            self.ask(ReportUrl::Resource)?;
            if let Ok(complete) = self.reports.recv_timeout(PACE) {
                return Ok(complete);
            }
        }
        bail!("the agent does not answer")
    }

    /// Asks once.
    pub fn report(&self, url: ReportUrl) -> Result<Instant> {
        self.ask(url)?;
        self.answer()
    }

    /// Of what was asked.
    fn answer(&self) -> Result<Instant> {
        self.reports.recv_timeout(Duration::from_secs(5)).context("a query was not answered")
    }

    /// Drops what earlier queries still bring.
    pub fn forget(&self) {
        while self.reports.recv_timeout(Duration::from_millis(300)).is_ok() {}
    }

    fn latencies(&self, url: ReportUrl) -> Result<Histogram<u64>> {
        self.forget();
        let mut took = Histogram::new(3)?;
        for _ in 0..QUERIES {
            let asked = Instant::now();
            let complete = self.report(url)?;
            took.record(u64::try_from((complete - asked).as_micros())?)?;
            thread::sleep(PACE.saturating_sub(asked.elapsed()));
        }
        Ok(took)
    }

    fn start_to_report(&self, board: &Board) -> Result<Duration> {
        self.forget();
        let began = Instant::now();
        let _agent = board.start()?;
        Ok(self.first_report()? - began)
    }
}

/// Reads one POST to its last byte, and answers it.
fn take(mut stream: TcpStream) -> Result<Instant> {
    let mut request = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let length = stream.read(&mut buffer)?;
        request.extend_from_slice(buffer.get(..length).unwrap_or_default());
        if let Some(head) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(request.get(..head).unwrap_or_default()).to_lowercase();
            let (_, rest) = text.split_once("content-length:").context("a report has a length")?;
            let body: usize = rest.lines().next().unwrap_or_default().trim().parse()?;
            if request.len() >= head + 4 + body {
                break;
            }
        }
        if length == 0 {
            bail!("cut short");
        }
    }
    let complete = Instant::now();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(complete)
}
