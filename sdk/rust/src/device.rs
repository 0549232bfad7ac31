//! Names of devices that are the same after a restart.
//!
//! `/sys/devices/pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0` becomes `0000:03:00.0/nvme`: the address on the last
//! PCI bus says where the device sits, and the numbers that the kernel deals out in the order of its probing go.
//!
//! A path comes from [`files::resolve`](crate::files::resolve), for example of `/sys/class/hwmon/hwmon0/device`.

use alloc::string::String;
use alloc::vec::Vec;

/// The stable name of the device at this path below `/sys/devices`.
///
/// ```
/// # use cardcage_sdk::device;
/// assert_eq!(device::stable_name("/sys/devices/platform/soc/fe804000.i2c/i2c-1/1-0040"), "platform/soc/fe804000.i2c/i2c/0040");
/// ```
///
/// Two devices may come out alike, such as those on two buses of one controller; number them in the order of the
/// kernel then.
pub fn stable_name(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in path.strip_prefix("/sys/devices/").unwrap_or(path).split('/').filter(|part| !part.is_empty())
    {
        if is_pci_address(part) {
            kept.clear();
        }
        let part = without_number(&kept, part);
        // `nvme/nvme0` is a class and its instance: once is enough.
        if kept.last() != Some(&part) {
            kept.push(part);
        }
    }
    kept.join("/")
}

/// The last PCI address in a path or a stable name: [`Gpu::device`](crate::Gpu::device) of a card and what sits on it.
///
/// ```
/// # use cardcage_sdk::device;
/// let card = "/sys/devices/pci0000:00/0000:00:01.1/0000:03:00.0/drm/card0";
/// assert_eq!(device::pci_address(card), Some("0000:03:00.0"));
/// ```
pub fn pci_address(path: &str) -> Option<&str> {
    path.rsplit('/').find(|part| is_pci_address(part))
}

/// `0000:03:00.0`
fn is_pci_address(part: &str) -> bool {
    let separators = part.bytes().map(|b| if b.is_ascii_hexdigit() { b'x' } else { b });
    separators.eq(*b"xxxx:xx:xx.x")
}

/// One step of the path without the number of its bus, host or instance.
fn without_number<'a>(before: &[&str], part: &'a str) -> &'a str {
    for prefix in ["hwmon", "i2c-", "host", "nvme", "phy", "thermal_zone", "usb"] {
        let number = part.strip_prefix(prefix);
        if number.is_some_and(is_number) {
            return part.get(..prefix.len()).unwrap_or(part).trim_end_matches('-');
        }
    }
    // `3-004c` on i2c, `1-2.4` on usb: the number of the bus goes, the address on it stays.
    if before.contains(&"i2c") || before.contains(&"usb") {
        return part.split_once('-').filter(|(bus, _)| is_number(bus)).map_or(part, |(_, address)| address);
    }
    // `target6:0:0/6:0:0:0` behind a SCSI host: likewise.
    if before.contains(&"host") {
        return part.split_once(':').map_or(part, |(_, address)| address);
    }
    part
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_device_is_named_by_where_it_sits() {
        for (path, name) in [
            ("/sys/devices/platform/coretemp.0", "platform/coretemp.0"),
            ("/sys/devices/pci0000:00/0000:00:18.3", "0000:00:18.3"),
            ("/sys/devices/pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0", "0000:03:00.0/nvme"),
            ("/sys/devices/pci0000:00/0000:00:1f.4/i2c-3/3-004c", "0000:00:1f.4/i2c/004c"),
            ("/sys/devices/platform/soc/fe804000.i2c/i2c-1/1-0040", "platform/soc/fe804000.i2c/i2c/0040"),
            ("/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2.4/1-2.4:1.0", "0000:00:14.0/usb/2.4/2.4:1.0"),
            (
                "/sys/devices/pci0000:00/0000:00:17.0/ata2/host1/target1:0:0/1:0:0:0",
                "0000:00:17.0/ata2/host/0:0/0:0:0",
            ),
            ("/sys/devices/pci0000:00/0000:00:14.3/ieee80211/phy7", "0000:00:14.3/ieee80211/phy"),
            ("/sys/devices/virtual/thermal/thermal_zone4", "virtual/thermal/thermal_zone"),
            (
                "/sys/devices/LNXSYSTM:00/LNXSYBUS:00/PNP0C0A:00/power_supply/BAT0",
                "LNXSYSTM:00/LNXSYBUS:00/PNP0C0A:00/power_supply/BAT0",
            ),
        ] {
            assert_eq!(stable_name(path), name);
        }
    }

    #[test]
    fn a_gpu_is_named_by_its_pci_address() {
        assert_eq!(pci_address("0000:03:00.0"), Some("0000:03:00.0"));
        assert_eq!(pci_address("0000:03:00.0/nvme"), Some("0000:03:00.0"));
        assert_eq!(pci_address("platform/coretemp.0"), None);
    }

    proptest! {
        #[test]
        fn the_numbers_of_probing_do_not_change_the_name(a in 0..99u32, b in 0..99u32) {
            let nvme = |n: u32| stable_name(&format!("/sys/devices/pci0000:00/0000:03:00.0/nvme/nvme{n}"));
            let i2c = |n: u32| stable_name(&format!("/sys/devices/platform/i2c-{n}/{n}-004c"));
            prop_assert_eq!((nvme(a), i2c(a)), (nvme(b), i2c(b)));
        }

        #[test]
        fn any_path_has_a_name_no_longer_than_itself(path in "\\PC{0,80}") {
            prop_assert!(stable_name(&path).len() <= path.len());
        }
    }
}
