//! A v1.1 manager that the test plays: it multicasts queries from its own address, and takes reports over plain TCP.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use crate::patience::PATIENCE;
use crate::world::Group;

/// How a manager answers a report.
#[derive(Debug, Clone, Default)]
pub enum Manner {
    /// 200 with an empty body.
    #[default]
    Right,
    /// These bytes.
    Bytes(String),
    /// Takes the report and says nothing.
    Silent,
}

/// A report as it came in.
#[derive(Debug)]
pub struct Report {
    pub from: SocketAddr,
    pub at: Instant,
    pub path: String,
    pub head: String,
    pub body: Value,
}

impl Report {
    /// `data` of the body.
    pub fn data(&self) -> &Value {
        &self.body["data"]
    }

    /// `data.cardcage.readings`.
    #[track_caller]
    pub fn readings(&self) -> &Value {
        let readings = &self.data()["cardcage"]["readings"];
        assert!(readings.is_object(), "no readings in {}", self.body);
        readings
    }
}

/// See the module.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddrV4,
    group: Group,
    asked: Cell<u32>,
    queries: UdpSocket,
    taking: Socket,
    reports: Receiver<Report>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Opens the sockets in the network that the calling thread is in.
    pub fn open(group: Group, address: Ipv4Addr, manner: Manner) -> Self {
        let taking = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        taking.bind(&SocketAddrV4::new(address, 0).into()).unwrap();
        taking.listen(1024).unwrap();
        let address = taking.local_addr().unwrap().as_socket_ipv4().unwrap();
        let listener = TcpListener::from(taking.try_clone().unwrap());
        let (sender, reports) = channel();
        let take = move || take_reports(&listener, &manner, &sender);
        let thread = Builder::new().name(format!("manager {address}")).spawn(take).unwrap();
        Self {
            address,
            group,
            asked: Cell::new(0),
            queries: sender_at(*address.ip()),
            taking,
            reports,
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// A query of this manager, with further fields of `data`.
    pub fn query(&self, url: &str, more: &Value) -> Value {
        let mut data =
            json!({"manager_ip": self.address.ip(), "manager_port": self.address.port(), "url": url});
        for (key, value) in more.as_object().into_iter().flatten() {
            data[key] = value.clone();
        }
        json!({"api_version": 1, "data": data})
    }

    /// Asks as the document has it.
    pub fn ask(&self, url: &str) {
        self.send(self.query(url, &json!({})).to_string().as_bytes());
    }

    /// Asks with `data.extensions`, and an id of its own: without one, the same query again within half a second is a
    /// duplicate.
    pub fn ask_extended(&self, url: &str) {
        let id = format!("{}-{}", self.address, self.asked.get());
        self.asked.set(self.asked.get() + 1);
        let more = json!({"extensions": ["cardcage/1"], "query_id": id});
        self.send(self.query(url, &more).to_string().as_bytes());
    }

    /// Multicasts bytes.
    pub fn send(&self, datagram: &[u8]) {
        self.queries.send_to(datagram, (self.group.address, self.group.port)).unwrap();
    }

    /// The next report.
    #[track_caller]
    pub fn report(&self) -> Report {
        self.report_within(PATIENCE).unwrap_or_else(|| panic!("no report came within {PATIENCE:?}"))
    }

    /// The next report, if it comes in time.
    pub fn report_within(&self, time: Duration) -> Option<Report> {
        self.reports.recv_timeout(time).ok()
    }

    /// Asks and waits for the answer, with the extension.
    #[track_caller]
    pub fn answer(&self, url: &str) -> Report {
        self.ask_extended(url);
        let report = self.report();
        assert_eq!(report.path, url);
        report
    }

    /// Asserts that no report came that was not taken.
    #[track_caller]
    pub fn had_no_more(&self) {
        let more: Vec<_> = self.reports.try_iter().map(|report| report.body).collect();
        assert!(more.is_empty(), "reports that nobody asked for: {more:?}");
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Wakes the thread that accepts.
        let _closed = self.taking.shutdown(Shutdown::Both);
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

/// A socket that multicasts from an address of this machine.
pub fn sender_at(address: Ipv4Addr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_multicast_if_v4(&address).unwrap();
    socket.bind(&SocketAddrV4::new(address, 0).into()).unwrap();
    socket.into()
}

fn take_reports(listener: &TcpListener, manner: &Manner, reports: &Sender<Report>) {
    while let Ok((stream, from)) = listener.accept() {
        let (manner, reports) = (manner.clone(), reports.clone());
        let take = move || {
            // A connection that breaks brings no report; the test sees that none came.
            let _over = take_report(stream, from, &manner, &reports);
        };
        Builder::new().name(format!("report from {from}")).spawn(take).unwrap();
    }
}

fn take_report(
    mut stream: TcpStream,
    from: SocketAddr,
    manner: &Manner,
    reports: &Sender<Report>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    let (head, body) = loop {
        if let Some(parts) = whole(&bytes) {
            break parts;
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    };
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = serde_json::from_slice(&body).unwrap_or_else(|error| json!({"not JSON": error.to_string()}));
    let _test_over = reports.send(Report { from, at: Instant::now(), path, head, body });
    match manner {
        Manner::Right => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        Manner::Bytes(answer) => stream.write_all(answer.as_bytes()),
        // Until the agent gives up.
        Manner::Silent => stream.read(&mut buffer).map(drop),
    }
}

/// Head and body, once all of the body is there.
fn whole(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = bytes.get(end..end + length.unwrap_or(0))?.to_vec();
    Some((head, body))
}
