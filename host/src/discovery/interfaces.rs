//! The network interfaces of this machine and their IPv4 addresses, as the kernel lists them now.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    /// The kernel's number for it; another one when it was deleted and made again.
    pub(super) index: u32,
    pub(super) up: bool,
    /// Up, and the cable is in.
    pub(super) running: bool,
    pub(super) multicast: bool,
    pub(super) loopback: bool,
    /// In the kernel's order: the primary address first.
    pub(super) networks: Vec<Network>,
}

/// An address and the network that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) address: Ipv4Addr,
    pub(super) mask: Ipv4Addr,
}

impl Network {
    pub(super) fn contains(self, other: Ipv4Addr) -> bool {
        self.address & self.mask == other & self.mask
    }
}

/// Looks at all interfaces.
pub(super) fn scan() -> io::Result<Vec<Interface>> {
    let mut found = BTreeMap::new();
    for entry in getifaddrs()? {
        // An address may have a label, `eth0:1`; the interface is what stands before the colon.
        let name = entry.interface_name.split(':').next().unwrap_or_default();
        if !found.contains_key(name) {
            // It may be gone since it was listed.
            let Ok(index) = if_nametoindex(name) else { continue };
            found.insert(name.to_owned(), interface(name, index, entry.flags));
        }
        if let (Some(interface), Some(network)) = (found.get_mut(name), network(&entry)) {
            interface.networks.push(network);
        }
    }
    Ok(found.into_values().collect())
}

fn interface(name: &str, index: u32, flags: InterfaceFlags) -> Interface {
    Interface {
        name: name.to_owned(),
        index,
        up: flags.contains(InterfaceFlags::IFF_UP),
        running: flags.contains(InterfaceFlags::IFF_RUNNING),
        multicast: flags.contains(InterfaceFlags::IFF_MULTICAST),
        loopback: flags.contains(InterfaceFlags::IFF_LOOPBACK),
        networks: Vec::new(),
    }
}

fn network(entry: &InterfaceAddress) -> Option<Network> {
    let ip = |address: &SockaddrStorage| address.as_sockaddr_in().map(nix::sys::socket::SockaddrIn::ip);
    Some(Network {
        address: entry.address.as_ref().and_then(ip)?,
        mask: entry.netmask.as_ref().and_then(ip).unwrap_or(Ipv4Addr::BROADCAST),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_there_with_its_address() {
        let all = scan().unwrap();
        let loopback = all.iter().find(|interface| interface.loopback).unwrap();
        assert!(loopback.up && loopback.index > 0);
        let network = loopback.networks.first().unwrap();
        assert_eq!(network.address, Ipv4Addr::LOCALHOST);
        assert!(network.contains(Ipv4Addr::new(127, 0, 0, 2)));
        assert!(!network.contains(Ipv4Addr::new(10, 0, 0, 2)));
    }
}
