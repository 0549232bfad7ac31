//! A manager: multicasts queries, takes reports over plain TCP, and answers them as the test wants.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::PATIENCE;

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A multicast group that no other test uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
}

impl Group {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        // The kernel deals out a port that is free in this moment.
        let free = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self {
            address: Ipv4Addr::new(239, 192, 168, NEXT.fetch_add(1, Ordering::Relaxed)),
            port: free.local_addr().unwrap().port(),
        }
    }
}

/// A report as it came in.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) from: SocketAddr,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Report {
    /// `data` of the body.
    pub(crate) fn data(&self) -> Value {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        body["data"].take()
    }

    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

pub(crate) struct Manager {
    pub(crate) address: SocketAddrV4,
    group: Group,
    socket: UdpSocket,
    reports: mpsc::UnboundedReceiver<Report>,
}

impl Manager {
    /// A manager that answers every report as the protocol wants.
    pub(crate) async fn start(group: Group, ip: Ipv4Addr) -> Self {
        Self::answering(group, ip, OK).await
    }

    /// A manager that answers every report with these bytes.
    pub(crate) async fn answering(group: Group, ip: Ipv4Addr, answer: impl Into<String>) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!() };
        let (sender, reports) = mpsc::unbounded_channel();
        tokio::spawn(take_reports(listener, answer.into(), sender));
        Self { address, group, socket: sender_socket(ip), reports }
    }

    /// A query of this manager, with further fields of `data`.
    pub(crate) fn query(&self, url: &str, more: Value) -> Value {
        let mut data = json!({
            "manager_ip": self.address.ip().to_string(),
            "manager_port": self.address.port(),
            "url": url,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            data[key] = value.clone();
        }
        json!({"api_version": 1, "data": data})
    }

    pub(crate) async fn ask(&self, url: &str, more: Value) {
        self.send(self.query(url, more).to_string().as_bytes()).await;
    }

    pub(crate) async fn send(&self, datagram: &[u8]) {
        send(&self.socket, self.group, datagram).await;
    }

    /// The next report.
    pub(crate) async fn report(&mut self) -> Report {
        timeout(PATIENCE, self.reports.recv()).await.unwrap().unwrap()
    }

    /// Whether a report has come in that was not asked for with [`Self::report`].
    pub(crate) fn has_more(&self) -> bool {
        !self.reports.is_empty()
    }
}

/// A socket that multicasts from one address of the loopback.
pub(crate) fn sender_socket(ip: Ipv4Addr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.set_multicast_if_v4(&ip).unwrap();
    socket.bind(&SocketAddrV4::new(ip, 0).into()).unwrap();
    UdpSocket::from_std(socket.into()).unwrap()
}

pub(crate) async fn send(socket: &UdpSocket, group: Group, datagram: &[u8]) {
    socket.send_to(datagram, (group.address, group.port)).await.unwrap();
}

/// A manager's address where connections are taken by the kernel and never by a program.
pub(crate) fn deaf(ip: Ipv4Addr) -> (Socket, SocketAddrV4) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.bind(&SocketAddrV4::new(ip, 0).into()).unwrap();
    socket.listen(64).unwrap();
    let address = socket.local_addr().unwrap().as_socket_ipv4().unwrap();
    (socket, address)
}

async fn take_reports(listener: TcpListener, answer: String, reports: mpsc::UnboundedSender<Report>) {
    while let Ok((stream, from)) = listener.accept().await {
        tokio::spawn(take_report(stream, from, answer.clone(), reports.clone()));
    }
}

/// Every connection that brings anything counts as a report, so that a second attempt would be seen.
async fn take_report(
    mut stream: TcpStream,
    from: SocketAddr,
    answer: String,
    reports: mpsc::UnboundedSender<Report>,
) {
    let mut bytes = Vec::new();
    while !is_whole(&bytes) && stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {}
    let (head, body) = split(&bytes).unwrap();
    let report = Report { from, head: head.to_owned(), body: body.to_vec() };
    let _test_over = reports.send(report).is_err();
    let _gone = stream.write_all(answer.as_bytes()).await.is_err();
    let mut rest = [0; 64];
    while stream.read(&mut rest).await.unwrap_or(0) > 0 {}
}

fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = bytes.split_at(end + 4);
    Some((str::from_utf8(head).ok()?, body))
}

fn is_whole(bytes: &[u8]) -> bool {
    let Some((head, body)) = split(bytes) else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    body.len() >= length.unwrap_or(0)
}
