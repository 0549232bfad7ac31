//! The one UDP socket that queries come in on.
//!
//! It is bound to the group, so that unicast datagrams are not heard, and takes only what its own memberships bring
//! (`IP_MULTICAST_ALL=0`); `IP_PKTINFO` says which interface a datagram came in on. `SO_REUSEADDR` lets several agents
//! on one machine all hear each query.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::libc::in_pktinfo;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, RecvMsg, SockaddrIn, recvmsg, setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::memberships::Group;
use crate::protocol;

/// Where a datagram came from. Its bytes are in the [`Buffer`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Datagram {
    pub(super) source: SocketAddrV4,
    /// Index of the interface that it came in on.
    pub(super) interface: u32,
    length: usize,
}

/// Room for one datagram; one byte more than a query may have tells a longer one.
pub(super) struct Buffer {
    bytes: [u8; protocol::query::LIMIT + 1],
    control: Vec<u8>,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { bytes: [0; _], control: cmsg_space!(in_pktinfo) }
    }
}

impl Buffer {
    pub(super) fn bytes(&self, datagram: &Datagram) -> &[u8] {
        self.bytes.get(..datagram.length).unwrap_or_default()
    }
}

pub(super) struct QuerySocket {
    group: Ipv4Addr,
    socket: UdpSocket,
}

impl QuerySocket {
    pub(super) fn bind(group: Ipv4Addr, port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.set_multicast_all_v4(false)?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        socket.bind(&SocketAddrV4::new(group, port).into())?;
        Ok(Self { group, socket: UdpSocket::from_std(socket.into())? })
    }

    /// Waits for a datagram. Nothing is lost when the wait is given up.
    pub(super) async fn receive(&self, buffer: &mut Buffer) -> io::Result<Datagram> {
        self.socket.async_io(Interest::READABLE, || receive(&self.socket, buffer)).await
    }
}

fn receive(socket: &UdpSocket, buffer: &mut Buffer) -> io::Result<Datagram> {
    let mut bytes = [IoSliceMut::new(&mut buffer.bytes)];
    let message: RecvMsg<'_, '_, SockaddrIn> =
        recvmsg(socket.as_raw_fd(), &mut bytes, Some(&mut buffer.control), MsgFlags::empty())?;
    let source = message.address.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Datagram { source: source.into(), interface: interface(&message)?, length: message.bytes })
}

fn interface(message: &RecvMsg<'_, '_, SockaddrIn>) -> io::Result<u32> {
    let mut control = message.cmsgs()?;
    let index = control.find_map(|message| match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => info.ipi_ifindex.try_into().ok(),
        _ => None,
    });
    index.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

impl Group for QuerySocket {
    fn join(&self, interface: u32) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        socket.join_multicast_v4_n(&self.group, &InterfaceIndexOrAddress::Index(interface))
    }

    fn leave(&self, interface: u32) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        socket.leave_multicast_v4_n(&self.group, &InterfaceIndexOrAddress::Index(interface))
    }
}
