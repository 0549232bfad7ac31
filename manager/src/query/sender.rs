//! One link that queries go out on, and its socket.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tracing::{info, warn};

use super::interfaces::Link;

/// Longest time that sending one datagram may take.
const DEADLINE: Duration = Duration::from_secs(1);

/// Sends queries over one link.
pub(super) struct Sender {
    pub(super) link: Link,
    /// What the queries name, and what they are sent from.
    pub(super) manager_ip: Ipv4Addr,
    ttl: u8,
    /// None until the first query, and after a failure: the interface may have become another one.
    socket: Option<UdpSocket>,
    failing: bool,
}

impl Sender {
    pub(super) fn new(link: Link, manager_ip: Ipv4Addr, ttl: u8) -> Self {
        Self { link, manager_ip, ttl, socket: None, failing: false }
    }

    /// Sends one query. Whether it went out; the first failure and the end of the failures are logged.
    pub(super) async fn send(&mut self, query: &[u8], target: SocketAddrV4) -> bool {
        let sent = self.try_send(query, target).await;
        let (interface, manager_ip) = (self.link.interface.as_str(), self.manager_ip);
        match &sent {
            Err(error) if !self.failing => {
                warn!(interface, %manager_ip, %error, "queries cannot be sent, trying again each round");
            }
            Ok(()) if self.failing => info!(interface, %manager_ip, "queries are sent again"),
            _ => {}
        }
        self.failing = sent.is_err();
        if self.failing {
            self.socket = None;
        }
        !self.failing
    }

    async fn try_send(&mut self, query: &[u8], target: SocketAddrV4) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(&self.link, self.manager_ip, self.ttl)?,
        };
        let socket = self.socket.insert(socket);
        timeout(DEADLINE, socket.send_to(query, target)).await.map_err(io::Error::from)??;
        Ok(())
    }
}

/// A socket that sends from `manager_ip` over the link's interface, which need not be the one that has that address.
fn open(link: &Link, manager_ip: Ipv4Addr, ttl: u8) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((manager_ip, 0)).into())?;
    socket.set_multicast_if_v4(&link.address)?;
    // Agents may run on this machine too.
    socket.set_multicast_loop_v4(true)?;
    socket.set_multicast_ttl_v4(ttl.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as Receiver;

    use super::*;

    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 168, 81);

    fn loopback(address: [u8; 4]) -> Link {
        Link { interface: "lo".into(), index: 1, address: address.into() }
    }

    #[tokio::test]
    async fn a_query_comes_from_the_address_that_it_names() {
        let receiver = Receiver::bind((GROUP, 0)).unwrap();
        receiver.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let manager_ip = Ipv4Addr::new(127, 0, 0, 2);
        let mut sender = Sender::new(loopback([127, 0, 0, 1]), manager_ip, 1);
        let target = SocketAddrV4::new(GROUP, receiver.local_addr().unwrap().port());
        assert!(sender.send(b"query", target).await);
        let mut buffer = [0; 16];
        let (length, source) = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], source.ip()), (&b"query"[..], manager_ip.into()));
    }

    #[tokio::test]
    async fn an_address_of_another_machine_cannot_be_sent_from() {
        let mut sender = Sender::new(loopback([127, 0, 0, 1]), Ipv4Addr::new(192, 0, 2, 1), 1);
        assert!(!sender.send(b"query", SocketAddrV4::new(GROUP, 3980)).await);
        assert!(sender.socket.is_none());
    }
}
