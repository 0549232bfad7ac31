//! Which part of the board a chip speaks for, by the name of its driver.

use cardcage_sdk::{Place, Quantity, device};

/// Drivers of the sensors inside processors. `cpu…` covers `cpu_thermal` and its kin on ARM.
const CPU: [&str; 7] = ["coretemp", "cpu", "fam15h_power", "k10temp", "k8temp", "via_cputemp", "zenpower"];
/// Drivers of graphics cards and accelerators.
const GPU: [&str; 5] = ["amdgpu", "i915", "nouveau", "radeon", "xe"];
/// Sensors inside drives.
const DISK: [&str; 2] = ["drivetemp", "nvme"];
/// Sensors on memory modules.
const MEMORY: [&str; 2] = ["jc42", "spd5118"];
/// Network cards; some add a number to the name.
const NETWORK: [&str; 10] =
    ["ath10k", "ath11k", "ath12k", "bnxt_en", "cxgb4", "ixgbe", "iwlwifi", "mlx5", "r8169", "tg3"];

/// Labels of the rail that feeds the processor cores, without separators and in lower case, as power monitors on the
/// board call it. One without a number: with two processors such a label would not say which.
const CPU_RAILS: [&str; 7] = ["cpucore", "cpuvcore", "cpuvdd", "vcore", "vddcore", "vddcpu", "vddcrcpu"];

/// Where the sensors of a chip sit. `device` is the stable name of what the chip is part of.
pub(crate) fn of_chip(driver: &str, device: &str) -> Place {
    let one_of = |drivers: &[&str]| drivers.iter().any(|known| driver.starts_with(known));
    let gpu = device::pci_address(device).filter(|_| GPU.contains(&driver));
    match gpu {
        Some(address) => Place::gpu(address),
        None if one_of(&CPU) => Place::cpu(package(device)),
        None if one_of(&DISK) => Place::new("disk", device),
        None if one_of(&MEMORY) => Place::new("memory", device),
        None if one_of(&NETWORK) => Place::new("network", device),
        None => Place::board(),
    }
}

/// Whether a label of a chip of the board names the rail of the processor.
pub(crate) fn is_cpu_rail(quantity: Quantity, label: &str) -> bool {
    let electrical = matches!(quantity, Quantity::Voltage | Quantity::Current | Quantity::Power);
    let letters = || label.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    electrical && CPU_RAILS.iter().any(|rail| letters().eq(rail.bytes()))
}

/// The number of the processor package: of the platform device (`platform/coretemp.1`), or of the node that AMD's
/// processors put on the PCI bus as device 0x18 + n. On processors of several dies AMD counts dies.
fn package(device: &str) -> u32 {
    const FIRST_NODE: u32 = 0x18;
    let number = match device::pci_address(device) {
        Some(address) => {
            address.get(8..10).and_then(|slot| u32::from_str_radix(slot, 16).ok()?.checked_sub(FIRST_NODE))
        }
        None => device.rsplit_once('.').and_then(|(_, number)| number.parse().ok()),
    };
    number.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_says_which_part_it_speaks_for() {
        for (driver, device, place) in [
            ("coretemp", "platform/coretemp.1", Place::cpu(1)),
            ("k10temp", "0000:00:19.3", Place::cpu(1)),
            ("cpu_thermal", "virtual/thermal/thermal_zone", Place::cpu(0)),
            ("amdgpu", "0000:03:00.0", Place::gpu("0000:03:00.0")),
            ("nvme", "0000:01:00.0/nvme", Place::new("disk", "0000:01:00.0/nvme")),
            ("spd5118", "0000:00:1f.4/i2c/0051", Place::new("memory", "0000:00:1f.4/i2c/0051")),
            ("iwlwifi_1", "0000:00:14.3/ieee80211/phy", Place::new("network", "0000:00:14.3/ieee80211/phy")),
            ("nct6775", "platform/nct6775.656", Place::board()),
            ("xenon", "platform/xenon", Place::board()),
        ] {
            assert_eq!(of_chip(driver, device), place, "{driver}");
        }
    }

    #[test]
    fn a_rail_of_the_processor_is_known_however_it_is_spelt() {
        assert!(is_cpu_rail(Quantity::Voltage, "VDD_CORE"));
        assert!(is_cpu_rail(Quantity::Power, "CPU Vcore"));
        assert!(!is_cpu_rail(Quantity::Voltage, "P1_VDD_CORE"));
        assert!(!is_cpu_rail(Quantity::Temperature, "Vcore"));
        assert!(!is_cpu_rail(Quantity::Voltage, ""));
    }
}
