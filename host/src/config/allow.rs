//! `managers.allow`: IPv4 networks in CIDR notation, or single addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// An IPv4 network, such as `192.168.10.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: Ipv4Addr,
    prefix: u8,
}

impl Network {
    /// `127.0.0.0/8`.
    pub const LOOPBACK: Self = Self { address: Ipv4Addr::new(127, 0, 0, 0), prefix: 8 };

    /// Whether the address lies in this network. The protocol is IPv4, so an IPv6 address never does.
    pub fn contains(self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.mask() & address.to_bits() == self.mask() & self.address.to_bits(),
            IpAddr::V6(_) => false,
        }
    }

    /// Whether it lies within `127.0.0.0/8`.
    pub const fn is_loopback(self) -> bool {
        self.address.is_loopback() && self.prefix >= 8
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an IPv4 network such as \"192.168.10.0/24\"");
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let address = address.parse().map_err(|_| wrong())?;
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(wrong)?;
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_contains_its_addresses_and_no_other() {
        assert!(allows("192.168.10.0/24", "192.168.10.254"));
        assert!(!allows("192.168.10.0/24", "192.168.11.1"));
        assert!(allows("10.1.2.3", "10.1.2.3"));
        assert!(!allows("10.1.2.3", "10.1.2.4"));
        assert!(allows("0.0.0.0/0", "8.8.8.8"));
        assert!(allows("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(!allows("0.0.0.0/0", "::1"));
    }

    #[test]
    fn what_is_not_a_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "host/24", "10.0.0.0/-1", "::1/64"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
