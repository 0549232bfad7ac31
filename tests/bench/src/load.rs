//! Load on a server of reports: the bodies of many boards, over kept connections or new ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use cardcage_wire::board::{self, Envelope, Heartbeat, Resource, ResourceReport};
use cardcage_wire::extension::{self, HeartbeatExtension, ResourceExtension};
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Reports of one simulated board.
#[derive(Clone)]
pub struct Bodies {
    pub heartbeat: Bytes,
    pub resource: Bytes,
}

impl Bodies {
    /// About 4 kB, as a board with eight sensors sends them.
    pub fn of(board: u16) -> Self {
        let [high, low] = board.to_be_bytes();
        let host_ip = [10, 77, high, low].into();
        let agent_id = format!("00000000-0000-4000-8000-{board:012}");
        let heartbeat = Heartbeat {
            box_id: i32::from(board / 32) + 1,
            slot_id: i32::from(board % 32) + 1,
            cpu_id: 0,
            srio_id: 0,
            host_ip,
            hostname: format!("board-{board}"),
            service_port: 23980,
            box_type: "计算I型".into(),
            board_type: "GPU".into(),
            cpu_type: "Phytium,D2000/8".into(),
            os_type: "Kylin Linux Advanced Server V10".into(),
            resource_type: "GPU I".into(),
            cpu_arch: "aarch64".into(),
            gpu: vec![board::Gpu { index: 0, name: "Acme".into() }],
            cardcage: Some(HeartbeatExtension {
                agent_id: agent_id.clone(),
                ..HeartbeatExtension::default()
            }),
        };
        let network = |n: u64| board::Network {
            interface: format!("eth{n}"),
            rx_bytes: n,
            tx_bytes: n,
            ..board::Network::default()
        };
        let disk = |n: u64| board::Disk {
            device: format!("/dev/sda{n}"),
            mount_point: format!("/data{n}"),
            total: n,
            ..board::Disk::default()
        };
        let sensor = |n: u64| extension::Sensor {
            kind: "temperature".into(),
            name: format!("platform/acme.{n} zone"),
            value: Some(42.5),
            unit: "Cel".into(),
            status: "ok".into(),
            plugin: "hwmon".into(),
            ..extension::Sensor::default()
        };
        let resource = ResourceReport {
            host_ip,
            resource: Resource {
                network: (0..4).map(network).collect(),
                disk: (0..4).map(disk).collect(),
                ..Resource::default()
            },
            component: Vec::new(),
            cardcage: Some(ResourceExtension {
                agent_id,
                query_id: None,
                readings: extension::Readings {
                    sensors: (0..8).map(sensor).collect(),
                    ..extension::Readings::default()
                },
                deployments: Vec::new(),
            }),
        };
        Self {
            heartbeat: Envelope::new(heartbeat).to_bytes().into(),
            resource: Envelope::new(resource).to_bytes().into(),
        }
    }
}

/// How connections are used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    Kept,
    New,
}

/// Reports a second that the server takes from this many clients at once.
pub async fn reports_a_second(
    server: SocketAddr,
    clients: u16,
    connections: Connections,
    during: Duration,
) -> Result<f64> {
    let taken = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + during;
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        tasks.spawn(client_of(server, Bodies::of(client), connections, until, Arc::clone(&taken)));
    }
    let began = Instant::now();
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let taken = taken.load(Ordering::Relaxed) as f64;
    Ok(taken / began.elapsed().as_secs_f64())
}

async fn client_of(
    server: SocketAddr,
    bodies: Bodies,
    connections: Connections,
    until: Instant,
    taken: Arc<AtomicU64>,
) -> Result<()> {
    let mut kept = None;
    while Instant::now() < until {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => connect(server).await?,
        };
        post(&mut connection, "/resource", bodies.resource.clone()).await?;
        taken.fetch_add(1, Ordering::Relaxed);
        if connections == Connections::Kept {
            kept = Some(connection);
        }
    }
    Ok(())
}

pub async fn connect(server: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(server).await.context("connect")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

pub async fn post(connection: &mut SendRequest<Full<Bytes>>, path: &str, body: Bytes) -> Result<()> {
    connection.ready().await?;
    let request = Request::post(path).header("Host", "manager").body(Full::new(body))?;
    let response = connection.send_request(request).await?;
    ensure!(response.status() == StatusCode::OK, "the server answers {}", response.status());
    // The body is empty; reading it to its end frees the connection for the next request.
    drop(response);
    Ok(())
}
