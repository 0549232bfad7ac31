//! Which interfaces are listened on, and which address of theirs a report names. Pure: the interfaces are passed in.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use tracing::{info, warn};

use super::interfaces::{Interface, Network};

/// `discovery.interfaces`.
#[derive(Debug)]
pub(super) struct Choice {
    wanted: Vec<Wanted>,
    /// Those of `wanted` that were not there at the last look, so that each change is logged once.
    missing: Vec<Wanted>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Name(String),
    /// Fixes the address as well.
    Address(Ipv4Addr),
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => name.fmt(formatter),
            Self::Address(address) => address.fmt(formatter),
        }
    }
}

/// An interface that is listened on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    /// The addresses that a report may name. Never empty.
    networks: Vec<Network>,
}

/// The interfaces that are listened on, by index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Links(BTreeMap<u32, Link>);

impl Links {
    /// The address that a manager reaches this agent by, on the interface that its query came in on: the one in the
    /// manager's own network, else the primary one.
    pub(super) fn host_ip(&self, interface: u32, manager: Ipv4Addr) -> Option<Ipv4Addr> {
        let networks = &self.0.get(&interface)?.networks;
        let near = networks.iter().find(|network| network.contains(manager));
        near.or(networks.first()).map(|network| network.address)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn indices(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }

    pub(super) fn get(&self, index: u32) -> Option<&Link> {
        self.0.get(&index)
    }

    fn add(&mut self, interface: &Interface, networks: &[Network]) {
        if networks.is_empty() {
            return;
        }
        let link = self
            .0
            .entry(interface.index)
            .or_insert_with(|| Link { name: interface.name.clone(), networks: Vec::new() });
        link.networks.extend(networks);
    }
}

impl Choice {
    pub(super) fn new(wanted: &[String]) -> Self {
        let wanted = wanted.iter().map(|text| match text.parse() {
            Ok(address) => Wanted::Address(address),
            Err(_) => Wanted::Name(text.clone()),
        });
        Self { wanted: wanted.collect(), missing: Vec::new() }
    }

    /// The interfaces to listen on, out of those that there are.
    pub(super) fn choose(&mut self, interfaces: &[Interface]) -> Links {
        if self.wanted.is_empty() {
            return every(interfaces);
        }
        let (links, missing) = named(&self.wanted, interfaces);
        for wanted in missing.iter().filter(|wanted| !self.missing.contains(wanted)) {
            warn!(%wanted, "an interface of discovery.interfaces is not there, down, or without an IPv4 address");
        }
        for wanted in self.missing.iter().filter(|wanted| !missing.contains(wanted)) {
            info!(%wanted, "an interface of discovery.interfaces is there again");
        }
        self.missing = missing;
        links
    }
}

/// What is listened on where nothing is named.
fn every(interfaces: &[Interface]) -> Links {
    let mut links = Links::default();
    for interface in interfaces {
        let usable = interface.up && interface.running && interface.multicast && !interface.loopback;
        if usable && !is_of_containers(&interface.name) {
            links.add(interface, &interface.networks);
        }
    }
    links
}

/// What is named, and what of it is not there.
fn named(wanted: &[Wanted], interfaces: &[Interface]) -> (Links, Vec<Wanted>) {
    let (mut links, mut missing) = (Links::default(), Vec::new());
    for want in wanted {
        let found = interfaces
            .iter()
            .filter(|interface| interface.up)
            .find_map(|interface| Some((interface, want.networks(interface)?)));
        match found {
            Some((interface, networks)) => links.add(interface, &networks),
            None => missing.push(want.clone()),
        }
    }
    (links, missing)
}

impl Wanted {
    /// The networks of the interface that this asks for, if it is this interface.
    fn networks(&self, interface: &Interface) -> Option<Vec<Network>> {
        let networks: Vec<Network> = match self {
            Self::Name(name) if *name == interface.name => interface.networks.clone(),
            Self::Name(_) => return None,
            Self::Address(address) => interface
                .networks
                .iter()
                .filter(|network| {
                    // Every address of the loopback's network is its own, though only 127.0.0.1 is listed.
                    network.address == *address || interface.loopback && network.contains(*address)
                })
                .map(|network| Network { address: *address, ..*network })
                .take(1)
                .collect(),
        };
        (!networks.is_empty()).then_some(networks)
    }
}

/// The bridges and host ends that container engines and hypervisors make: no manager is behind them, and a container
/// must not pass for one. A `veth` is one of theirs only with a name that was dealt out by a program; tunnels such as
/// `tailscale0` stay in, since no multicast comes through them that could be answered wrongly.
fn is_of_containers(name: &str) -> bool {
    const PREFIXES: [&str; 12] = [
        "docker",
        "podman",
        "cni",
        "nerdctl",
        "virbr",
        "lxcbr",
        "lxdbr",
        "flannel",
        "cali",
        "vxlan.calico",
        "cilium",
        "kube-",
    ];
    let hex_after = |prefix: &str, digits: std::ops::RangeInclusive<usize>| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            digits.contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || hex_after("br-", 12..=12)
        || hex_after("veth", 7..=8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        let (address, prefix) = text.split_once('/').unwrap();
        let prefix: u32 = prefix.parse().unwrap();
        Network { address: address.parse().unwrap(), mask: Ipv4Addr::from_bits(u32::MAX << (32 - prefix)) }
    }

    fn interface(index: u32, name: &str, networks: &[&str]) -> Interface {
        Interface {
            name: name.into(),
            index,
            up: true,
            running: true,
            multicast: name != "lo",
            loopback: name == "lo",
            networks: networks.iter().map(|text| network(text)).collect(),
        }
    }

    fn machine() -> Vec<Interface> {
        let mut down = interface(5, "eth2", &["10.3.0.5/24"]);
        down.up = false;
        let mut unplugged = interface(6, "eth3", &["10.4.0.5/24"]);
        unplugged.running = false;
        vec![
            interface(1, "lo", &["127.0.0.1/8"]),
            interface(2, "eth0", &["10.1.0.5/24", "10.9.0.5/24"]),
            interface(3, "eth1", &["10.2.0.5/24"]),
            interface(4, "docker0", &["172.17.0.1/16"]),
            down,
            unplugged,
            interface(7, "eth4", &[]),
        ]
    }

    /// Indices that are listened on, with the address that a manager in 10.9.0.0/24 is told.
    fn check(wanted: &[&str], expected: &[(u32, &str)]) {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let links = Choice::new(&wanted).choose(&machine());
        let manager = Ipv4Addr::new(10, 9, 0, 254);
        let found: Vec<_> = links
            .indices()
            .map(|index| (index, links.host_ip(index, manager).unwrap().to_string()))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(index, ip)| (*index, ip.to_string())).collect();
        assert_eq!(found, expected, "{wanted:?}");
    }

    #[test]
    fn by_default_every_interface_that_is_up_and_does_multicast() {
        check(&[], &[(2, "10.9.0.5"), (3, "10.2.0.5")]);
    }

    #[test]
    fn names_and_addresses_choose() {
        check(&["eth1"], &[(3, "10.2.0.5")]);
        check(&["10.1.0.5"], &[(2, "10.1.0.5")]);
        check(&["eth1", "10.1.0.5"], &[(2, "10.1.0.5"), (3, "10.2.0.5")]);
        check(&["docker0"], &[(4, "172.17.0.1")]);
        check(&["eth3"], &[(6, "10.4.0.5")]);
    }

    #[test]
    fn every_address_of_the_loopback_is_its_own() {
        check(&["127.0.0.2"], &[(1, "127.0.0.2")]);
        check(&["lo"], &[(1, "127.0.0.1")]);
        check(&["10.1.0.6"], &[]);
    }

    #[test]
    fn what_is_down_absent_or_without_an_address_is_missing() {
        let wanted = ["eth2".to_owned(), "eth4".into(), "eth9".into(), "10.8.0.1".into(), "eth0".into()];
        let mut choice = Choice::new(&wanted);
        choice.choose(&machine());
        assert_eq!(choice.missing.len(), 4);
        choice.choose(&[interface(9, "eth9", &["10.8.0.1/24"])]);
        assert_eq!(choice.missing.len(), 3);
    }

    #[test]
    fn an_interface_that_is_not_listened_on_has_no_address() {
        let links = Choice::new(&[]).choose(&machine());
        assert_eq!(links.host_ip(1, Ipv4Addr::LOCALHOST), None);
        assert_eq!(links.host_ip(99, Ipv4Addr::LOCALHOST), None);
    }

    #[test]
    fn container_bridges_are_told_by_their_names() {
        for name in [
            "docker0",
            "docker_gwbridge",
            "br-0123456789ab",
            "veth1a2b3c4",
            "veth1a2b3c4d",
            "cni0",
            "virbr0",
            "cali12",
        ] {
            assert!(is_of_containers(name), "{name}");
        }
        for name in [
            "eth0",
            "br0",
            "br-lan",
            "br-0123456789az",
            "veth0",
            "veth-board1",
            "bond0",
            "enp1s0",
            "eth0.100",
        ] {
            assert!(!is_of_containers(name), "{name}");
        }
    }
}
