//! Hints from the kernel that interfaces or addresses changed (rtnetlink). What changed is looked up afterwards; only
//! which interfaces were deleted is read from the messages, because one with the same index may be there again.

use std::io;
use std::os::fd::AsRawFd;

use nix::libc::ENOBUFS;
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use tokio::net::UnixDatagram;

/// `RTMGRP_LINK` and `RTMGRP_IPV4_IFADDR` of linux/rtnetlink.h.
const GROUPS: u32 = 0x1 | 0x10;
/// `RTM_DELLINK` of linux/rtnetlink.h.
const DELETED_LINK: u16 = 17;

/// A subscription.
#[derive(Debug)]
pub(super) struct Changes {
    /// A netlink socket: datagrams, like a Unix socket's, which tokio has a type for.
    socket: UnixDatagram,
    batch: Vec<u8>,
}

impl Changes {
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        let socket = UnixDatagram::from_std(socket.into())?;
        // What is longer is cut; see `header`.
        let batch = vec![0; 8192];
        Ok(Self { socket, batch })
    }

    /// Waits for a hint; returns the indices of the interfaces that it says were deleted.
    pub(super) async fn next(&mut self) -> io::Result<Vec<u32>> {
        match self.socket.recv(&mut self.batch).await {
            Ok(length) => Ok(deleted(self.batch.get(..length).unwrap_or_default())),
            // More hints than the socket holds: which ones does not matter, only that there were some.
            Err(error) if error.raw_os_error() == Some(ENOBUFS) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// The interfaces that a batch of messages says were deleted.
fn deleted(mut batch: &[u8]) -> Vec<u32> {
    let mut indices = Vec::new();
    while let Some((length, kind)) = header(batch) {
        // struct nlmsghdr has 16 bytes; struct ifinfomsg follows, with the index at its byte 4.
        if kind == DELETED_LINK && length >= 32 {
            indices.extend(bytes(batch, 20).map(u32::from_ne_bytes));
        }
        // Messages start at multiples of four.
        batch = batch.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    indices
}

/// Length and type of the first message, if it is whole.
fn header(batch: &[u8]) -> Option<(usize, u16)> {
    let length = usize::try_from(u32::from_ne_bytes(bytes(batch, 0)?)).ok()?;
    let kind = u16::from_ne_bytes(bytes(batch, 4)?);
    (16..=batch.len()).contains(&length).then_some((length, kind))
}

fn bytes<const N: usize>(batch: &[u8], at: usize) -> Option<[u8; N]> {
    batch.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u16, index: u32, attributes: usize) -> Vec<u8> {
        let mut message = Vec::new();
        let length = u32::try_from(32 + attributes).unwrap();
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend([0; 14]);
        message.extend(index.to_ne_bytes());
        message.resize((32 + attributes).next_multiple_of(4), 0);
        message
    }

    #[test]
    fn deleted_interfaces_are_read_from_a_batch() {
        const NEW_LINK: u16 = 16;
        let batch =
            [message(DELETED_LINK, 7, 0), message(NEW_LINK, 8, 5), message(DELETED_LINK, 9, 3)].concat();
        assert_eq!(deleted(&batch), [7, 9]);
    }

    #[test]
    fn a_message_that_is_cut_short_is_not_read() {
        let message = message(DELETED_LINK, 7, 0);
        for length in 0..message.len() {
            assert!(deleted(&message[..length]).is_empty());
        }
    }

    #[tokio::test]
    async fn the_kernel_lets_anybody_subscribe() {
        Changes::open().unwrap();
    }

    proptest! {
        #[test]
        fn no_batch_panics_or_loops(batch in prop::collection::vec(any::<u8>(), 0..600)) {
            let _any = deleted(&batch);
        }
    }
}
