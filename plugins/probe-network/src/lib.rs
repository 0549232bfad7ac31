//! Probe of the network interfaces: every interface of the kernel with all its counters. It needs the kernel's facts
//! alone.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use cardcage_sdk::kernel::{self, NetworkInterface};
use cardcage_sdk::{Error, Network, Probe, Sample, Settings};

/// A sample carries at most this many interfaces; a machine with more has them for its containers, and they come last.
const MOST_NETWORKS: usize = 1024;

/// The network interfaces of the board.
pub struct NetworkProbe;

impl Probe for NetworkProbe {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        let networks = kernel::networks()?.into_iter().take(MOST_NETWORKS).map(network).collect();
        Ok(Sample { networks, ..Sample::default() })
    }
}

fn network(interface: NetworkInterface) -> Network {
    Network {
        name: interface.name,
        rx_bytes: Some(interface.rx_bytes),
        tx_bytes: Some(interface.tx_bytes),
        rx_packets: Some(interface.rx_packets),
        tx_packets: Some(interface.tx_packets),
        rx_errors: Some(interface.rx_errors),
        tx_errors: Some(interface.tx_errors),
        rx_dropped: Some(interface.rx_dropped),
        tx_dropped: Some(interface.tx_dropped),
        address: interface.address.and_then(hardware_address),
        state: interface.state,
        speed: interface.speed,
        mtu: interface.mtu,
        extra: Vec::new(),
    }
}

/// Six octets in lower case. InfiniBand has twenty and a tunnel four, which are no such address; all zero is what the
/// loopback has instead of one.
fn hardware_address(mut address: String) -> Option<String> {
    address.make_ascii_lowercase();
    let octets =
        address.split(':').filter(|octet| octet.len() == 2 && octet.bytes().all(|b| b.is_ascii_hexdigit()));
    let whole = address.len() == 17 && octets.count() == 6;
    (whole && address != "00:00:00:00:00:00").then_some(address)
}

cardcage_sdk::export_probe!(NetworkProbe, no_std);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_reaches_its_field() {
        let network = network(NetworkInterface {
            name: "eth0".into(),
            rx_bytes: 1,
            rx_packets: 2,
            rx_errors: 3,
            rx_dropped: 4,
            tx_bytes: 5,
            tx_packets: 6,
            tx_errors: 7,
            tx_dropped: 8,
            address: None,
            state: Some("up".into()),
            speed: Some(1_000_000_000),
            mtu: Some(1500),
        });
        let received = [network.rx_bytes, network.rx_packets, network.rx_errors, network.rx_dropped];
        let sent = [network.tx_bytes, network.tx_packets, network.tx_errors, network.tx_dropped];
        assert_eq!((received, sent), ([1, 2, 3, 4].map(Some), [5, 6, 7, 8].map(Some)));
        assert_eq!((network.name.as_str(), network.state.as_deref()), ("eth0", Some("up")));
        assert_eq!((network.speed, network.mtu), (Some(1_000_000_000), Some(1500)));
    }

    #[test]
    fn a_hardware_address_has_six_octets() {
        assert_eq!(hardware_address("52:54:00:AB:cd:01".into()).as_deref(), Some("52:54:00:ab:cd:01"));
        for other in [
            "",
            "00:00:00:00:00:00",
            "52:54:00:ab:cd",
            "80:00:02:08:fe:80:00:00:00:00",
            "10.0.0.1",
            "5:254:00:ab:cd:01",
        ] {
            assert_eq!(hardware_address(other.into()), None, "{other}");
        }
    }
}
