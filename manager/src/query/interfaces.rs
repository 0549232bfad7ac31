//! Which interfaces the queries go out on.

use std::net::{IpAddr, Ipv4Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

/// Beginnings of the names of what container engines and hypervisors make. Boards are on none of them.
const CONTAINERS: [&str; 13] = [
    "docker", "veth", "cni", "flannel", "cali", "podman", "virbr", "vnet", "lxcbr", "lxdbr", "kube-",
    "weave", "tunl",
];

/// One IPv4 address of one interface, as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) interface: String,
    /// Another one after the interface was deleted and made again.
    pub(super) index: u32,
    pub(super) address: Ipv4Addr,
    pub(super) up: bool,
    pub(super) loopback: bool,
    pub(super) multicast: bool,
}

/// Where queries are sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Link {
    pub(super) interface: String,
    pub(super) index: u32,
    pub(super) address: Ipv4Addr,
}

/// What there is now.
pub(super) fn scan() -> std::io::Result<Vec<Found>> {
    let addresses = getifaddrs()?.filter_map(|entry| {
        let address = entry.address.as_ref()?.as_sockaddr_in()?.ip();
        Some(Found {
            // It may have gone since it was listed.
            index: if_nametoindex(entry.interface_name.as_str()).ok()?,
            interface: entry.interface_name,
            address,
            up: entry.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING),
            loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            multicast: entry.flags.contains(InterfaceFlags::IFF_MULTICAST),
        })
    });
    Ok(addresses.collect())
}

/// The links to use, and the wanted interfaces that are not there.
///
/// An interface that is chosen by itself or by its name is used with its first address: every further one would make each
/// board report once more. Who wants another names the address.
pub(super) fn choose(found: &[Found], wanted: &[String]) -> (Vec<Link>, Vec<String>) {
    let mut links: Vec<Link> = Vec::new();
    let mut missing = Vec::new();
    let mut add = |link: Link| {
        if !links.contains(&link) {
            links.push(link);
        }
    };
    if wanted.is_empty() {
        let suitable =
            |found: &&Found| found.up && found.multicast && !found.loopback && !is_container(found);
        let chosen = found.iter().filter(suitable).filter(|found_one| is_first(found_one, found));
        chosen.for_each(|found| add(link(found, found.address)));
    }
    for name in wanted {
        let link = match name.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => with_address(found, address),
            Ok(IpAddr::V6(_)) => None,
            Err(_) => {
                found.iter().find(|one| one.up && one.interface == *name).map(|one| link(one, one.address))
            }
        };
        match link {
            Some(link) => add(link),
            None => missing.push(name.clone()),
        }
    }
    (links, missing)
}

/// The interface with this address. The whole of 127.0.0.0/8 belongs to the loopback, though the kernel lists one of it.
fn with_address(found: &[Found], address: Ipv4Addr) -> Option<Link> {
    let mut up = found.iter().filter(|one| one.up);
    let exact = up.clone().find(|one| one.address == address);
    let interface = exact.or_else(|| up.find(|one| one.loopback && address.is_loopback()));
    interface.map(|one| link(one, address))
}

fn link(found: &Found, address: Ipv4Addr) -> Link {
    Link { interface: found.interface.clone(), index: found.index, address }
}

fn is_container(found: &Found) -> bool {
    let name = found.interface.as_str();
    // Docker calls the bridge of a network `br-` and the first half of its id; `br-lan` is somebody's own.
    let of_docker = |id: &str| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    CONTAINERS.iter().any(|prefix| name.starts_with(prefix))
        || name.strip_prefix("br-").is_some_and(of_docker)
}

fn is_first(one: &Found, found: &[Found]) -> bool {
    found.iter().find(|other| other.index == one.index) == Some(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(interface: &str, index: u32, address: [u8; 4]) -> Found {
        let loopback = interface == "lo";
        Found {
            interface: interface.into(),
            index,
            address: address.into(),
            up: true,
            loopback,
            multicast: !loopback,
        }
    }

    fn machine() -> Vec<Found> {
        vec![
            found("lo", 1, [127, 0, 0, 1]),
            found("eth0", 2, [192, 168, 10, 254]),
            found("eth0", 2, [192, 168, 10, 253]),
            found("docker0", 3, [172, 17, 0, 1]),
            found("br-0123456789ab", 6, [172, 18, 0, 1]),
            found("br-lan", 7, [192, 168, 20, 254]),
            Found { up: false, ..found("eth1", 4, [10, 0, 0, 1]) },
            Found { multicast: false, ..found("tun0", 5, [10, 1, 0, 1]) },
        ]
    }

    fn chosen(wanted: &[&str]) -> (Vec<String>, Vec<String>) {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let (links, missing) = choose(&machine(), &wanted);
        (links.iter().map(|link| format!("{} {}", link.interface, link.address)).collect(), missing)
    }

    #[test]
    fn by_itself_it_takes_what_boards_can_be_on() {
        assert_eq!(chosen(&[]), (vec!["eth0 192.168.10.254".into(), "br-lan 192.168.20.254".into()], vec![]));
    }

    #[test]
    fn a_named_interface_is_used_whatever_it_is() {
        assert_eq!(chosen(&["lo", "docker0"]).0, ["lo 127.0.0.1", "docker0 172.17.0.1"]);
    }

    #[test]
    fn a_named_address_chooses_its_interface() {
        assert_eq!(chosen(&["192.168.10.253", "127.0.0.2"]).0, ["eth0 192.168.10.253", "lo 127.0.0.2"]);
    }

    #[test]
    fn what_is_not_there_or_not_up_is_missing() {
        assert_eq!(chosen(&["eth1", "eth9", "10.9.9.9", "::1"]).1, ["eth1", "eth9", "10.9.9.9", "::1"]);
    }

    #[test]
    fn an_interface_that_is_named_twice_is_used_once() {
        assert_eq!(chosen(&["eth0", "192.168.10.254"]).0.len(), 1);
    }

    #[test]
    fn this_machine_can_be_scanned() {
        assert!(scan().unwrap().iter().any(|found| found.loopback && found.address.is_loopback()));
    }
}
