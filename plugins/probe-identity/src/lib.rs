//! Probe of what the board is: host name, operating system, architecture, maker, model and serial number. It needs the
//! kernel's facts alone.
//!
//! What only one type of board knows (its place in the chassis, say) comes from that board's own probe.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use cardcage_sdk::kernel::{self, SystemInfo};
use cardcage_sdk::{Error, Identity, Probe, Sample, Settings};

use crate::firmware::Firmware;

mod firmware;

/// The board and its system.
pub struct IdentityProbe;

impl Probe for IdentityProbe {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        Ok(Sample { identity: Some(identity(kernel::system()?)), ..Sample::default() })
    }
}

fn identity(system: SystemInfo) -> Identity {
    let firmware = Firmware::of(&system);
    Identity {
        manufacturer: firmware.manufacturer().map(str::to_owned),
        model: firmware.model().map(str::to_owned),
        serial: firmware.serial().map(str::to_owned),
        os: operating_system(&system.os_release),
        hostname: system.hostname,
        kernel: system.kernel,
        architecture: system.architecture,
        ..Identity::default()
    }
}

/// The name as people write it: `PRETTY_NAME`, or else name and version.
fn operating_system(os_release: &[(String, String)]) -> Option<String> {
    let value = |key: &str| {
        let (_, value) = os_release.iter().find(|(name, _)| name == key)?;
        // The host has taken the quotes off; a file that was quoted twice has some left.
        let value = value.trim_matches(|c: char| c == '"' || c == '\'' || c.is_whitespace());
        (!value.is_empty()).then_some(value)
    };
    let named = || match (value("NAME")?, value("VERSION")) {
        (name, Some(version)) => Some([name, version].join(" ")),
        (name, None) => Some(name.to_owned()),
    };
    value("PRETTY_NAME").map(str::to_owned).or_else(named)
}

cardcage_sdk::export_probe!(IdentityProbe, no_std);

#[cfg(test)]
mod tests {
    use super::*;

    fn named(lines: &[(&str, &str)]) -> Option<String> {
        let lines: Vec<_> = lines.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        operating_system(&lines)
    }

    #[test]
    fn the_pretty_name_is_the_system() {
        let lines = [("NAME", "Kylin"), ("PRETTY_NAME", "Kylin Linux Advanced Server V10 (Tercel)")];
        assert_eq!(named(&lines).as_deref(), Some("Kylin Linux Advanced Server V10 (Tercel)"));
    }

    #[test]
    fn without_a_pretty_name_it_is_name_and_version() {
        assert_eq!(
            named(&[("NAME", "Buildroot"), ("VERSION", "2024.02")]).as_deref(),
            Some("Buildroot 2024.02")
        );
        assert_eq!(named(&[("NAME", "Alpine"), ("PRETTY_NAME", "")]).as_deref(), Some("Alpine"));
        assert_eq!(named(&[("VERSION", "1")]), None);
    }

    #[test]
    fn quotes_do_not_belong_to_the_name() {
        assert_eq!(named(&[("PRETTY_NAME", "\"Debian 12\"")]).as_deref(), Some("Debian 12"));
    }

    #[test]
    fn what_the_system_does_not_say_is_absent() {
        assert_eq!(identity(SystemInfo::default()), Identity::default());
    }
}
