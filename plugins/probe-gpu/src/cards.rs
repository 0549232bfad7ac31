//! Finds the cards in `/sys/class/drm`.
//!
//! A card counts if it sits on a PCI bus, has a driver, and is AMD's or Intel's: their drivers say in sysfs what the
//! card does. NVIDIA's say it through a library of their own, which is another probe's business, and the display
//! controllers of management chips are no accelerators.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use cardcage_sdk::files::{Contents, Files, Paths, Slot};
use cardcage_sdk::{Error, Gpu, Place, Reading, Sensor, Value, code, device};

pub(crate) const CLASS: &str = "/sys/class/drm";

/// One card: what does not change of it, and where the rest is read.
#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) gpu: Gpu,
    pub(crate) busy: Option<Slot>,
    pub(crate) memory_used: Option<Slot>,
    pub(crate) memory_total: Option<Slot>,
    /// Clocks of its parts, in megahertz.
    pub(crate) frequencies: Vec<(Sensor, Slot)>,
}

/// A card whose identity is still to be read.
struct Candidate {
    folder: String,
    address: String,
    driver: String,
    vendor: Slot,
    model: Slot,
    product: Slot,
    serial: Slot,
}

/// The entries of the class, none where this kernel has no such class.
pub(crate) fn list(files: &impl Files) -> Result<Vec<String>, Error> {
    match files.entries(CLASS) {
        Err(error) if error.is(code::ABSENT) => Ok(Vec::new()),
        entries => Ok(entries?.into_iter().filter(|entry| is_card(entry)).collect()),
    }
}

/// `card0`, but not its connectors (`card0-HDMI-A-1`) nor the nodes for rendering alone (`renderD128`).
fn is_card(entry: &str) -> bool {
    entry
        .strip_prefix("card")
        .is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty())
}

/// The cards among these entries. What is to be read at every sample is added to `paths`.
pub(crate) fn discover(
    files: &impl Files,
    entries: &[String],
    paths: &mut Paths,
) -> Result<Vec<Card>, Error> {
    let mut identities = Paths::default();
    let mut candidates: Vec<Candidate> = Vec::new();
    for entry in entries {
        let candidate = candidate(files, entry, &mut identities);
        // Partitions of one card are several entries.
        candidates
            .extend(candidate.filter(|new| !candidates.iter().any(|known| known.address == new.address)));
    }
    let contents = identities.read(files)?;
    Ok(candidates.iter().filter_map(|candidate| candidate.card(files, &contents, paths)).collect())
}

fn candidate(files: &impl Files, entry: &str, identities: &mut Paths) -> Option<Candidate> {
    let folder = [CLASS, "/", entry].concat();
    let path = files.resolve(&[&folder, "/device"].concat()).ok()?;
    let address = device::pci_address(&path).filter(|address| path.ends_with(address))?.to_owned();
    let driver = files.resolve(&[&folder, "/device/driver"].concat()).ok()?;
    let driver = driver.rsplit('/').next()?.to_owned();
    let mut ask = |name: &str| identities.add([&folder, "/device/", name].concat());
    let [vendor, model, product, serial] = ["vendor", "device", "product_name", "unique_id"].map(&mut ask);
    Some(Candidate { folder, address, driver, vendor, model, product, serial })
}

impl Candidate {
    fn card(&self, files: &impl Files, contents: &Contents, paths: &mut Paths) -> Option<Card> {
        let vendor = contents.text(self.vendor)?;
        let gpu = |maker: &str| self.gpu(maker, vendor, contents);
        match vendor {
            "0x1002" => Some(self.amd(gpu("AMD"), files, paths)),
            "0x8086" => Some(self.intel(gpu("Intel"), files, paths)),
            _ => None,
        }
    }

    fn gpu(&self, maker: &str, vendor: &str, contents: &Contents) -> Gpu {
        let identifier = |id: &str| id.trim_start_matches("0x").to_owned();
        let pci = contents.text(self.model).map(|model| [identifier(vendor), identifier(model)].join(":"));
        let serial = contents.text(self.serial).map(str::to_owned);
        let known = |name: &str, text: Option<String>| text.map(|text| (name.to_owned(), Value::Text(text)));
        Gpu {
            device: self.address.clone(),
            name: contents.text(self.product).map(str::to_owned),
            vendor: Some(maker.to_owned()),
            driver: Some(self.driver.clone()),
            extra: known("pci-id", pci).into_iter().chain(known("unique-id", serial)).collect(),
            ..Gpu::default()
        }
    }

    /// Temperatures, voltages and powers of the card are a chip of hwmon, which `probe-hwmon` reads.
    fn amd(&self, gpu: Gpu, files: &impl Files, paths: &mut Paths) -> Card {
        let folder = [&self.folder, "/device"].concat();
        let names = files.entries(&folder).unwrap_or_default();
        let there = |name: &str| names.iter().any(|other| other == name);
        let mut ask = |name: &str| there(name).then(|| paths.add([&folder, "/", name].concat()));
        let [busy, memory_used, memory_total] =
            ["gpu_busy_percent", "mem_info_vram_used", "mem_info_vram_total"].map(&mut ask);
        Card { gpu, busy, memory_used, memory_total, frequencies: Vec::new() }
    }

    /// Intel's drivers say nothing in sysfs of how busy a card is or of its memory, only how fast its parts run.
    fn intel(&self, gpu: Gpu, files: &impl Files, paths: &mut Paths) -> Card {
        let place = Place::gpu(&self.address);
        let frequencies = self.clocks(files).into_iter().map(|(name, file)| {
            let sensor = Sensor::frequency(place.clone(), name, Reading::Unavailable);
            (sensor, paths.add(file))
        });
        Card { gpu, busy: None, memory_used: None, memory_total: None, frequencies: frequencies.collect() }
    }

    /// Names and files of the actual clocks: of `xe` (`tile0/gt0`), of `i915` (`gt0`), or of an older `i915`.
    fn clocks(&self, files: &impl Files) -> Vec<(String, String)> {
        let below = |folder: &str, prefix: &str| -> Vec<String> {
            let names = files.entries(&[&self.folder, folder].concat()).unwrap_or_default();
            names.into_iter().filter(|name| name.starts_with(prefix)).collect()
        };
        let mut clocks = Vec::new();
        for tile in below("/device", "tile") {
            for gt in below(&["/device/", &tile].concat(), "gt") {
                let file = [&self.folder, "/device/", &tile, "/", &gt, "/freq0/act_freq"].concat();
                clocks.push(([tile.as_str(), &gt].join("/"), file));
            }
        }
        for gt in below("/gt", "gt") {
            let file = [&self.folder, "/gt/", &gt, "/rps_act_freq_mhz"].concat();
            clocks.push((gt, file));
        }
        if clocks.is_empty() && !below("", "gt_act_freq_mhz").is_empty() {
            clocks.push(("gt0".to_owned(), [&self.folder, "/gt_act_freq_mhz"].concat()));
        }
        clocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardcage_sdk::fake::Tree;

    fn card(tree: Tree, number: u32, address: &str, driver: &str, vendor: &str, files: &[&str]) -> Tree {
        let device = format!("/sys/devices/pci0000:00/{address}");
        let tree = tree
            .link(&format!("{CLASS}/card{number}"), &format!("{device}/drm/card{number}"))
            .link(&format!("{device}/drm/card{number}/device"), &device)
            .link(&format!("{device}/driver"), &format!("/sys/bus/pci/drivers/{driver}"))
            .file(&format!("/sys/bus/pci/drivers/{driver}/module"), "")
            .file(&format!("{device}/vendor"), vendor)
            .file(&format!("{device}/device"), "0x740f");
        files.iter().fold(tree, |tree, file| tree.file(&format!("{device}/{file}"), "1"))
    }

    fn found(tree: &Tree) -> (Vec<Card>, Paths) {
        let mut paths = Paths::default();
        let cards = discover(tree, &list(tree).unwrap(), &mut paths).unwrap();
        (cards, paths)
    }

    #[test]
    fn a_card_is_named_by_its_address() {
        let files = ["product_name", "gpu_busy_percent", "mem_info_vram_total", "mem_info_vram_used"];
        let (cards, paths) = found(&card(Tree::new(), 1, "0000:03:00.0", "amdgpu", "0x1002", &files));
        let gpu = &cards[0].gpu;
        assert_eq!((gpu.device.as_str(), gpu.vendor.as_deref()), ("0000:03:00.0", Some("AMD")));
        assert_eq!((gpu.driver.as_deref(), gpu.name.as_deref()), (Some("amdgpu"), Some("1")));
        assert_eq!(gpu.extra, [("pci-id".to_owned(), Value::Text("1002:740f".to_owned()))]);
        assert_eq!(paths.len(), 3);
    }

    #[test]
    fn a_card_without_counters_is_still_a_card() {
        let (cards, paths) = found(&card(Tree::new(), 0, "0000:03:00.0", "amdgpu", "0x1002", &[]));
        assert!(cards[0].busy.is_none() && cards[0].memory_total.is_none() && paths.is_empty());
    }

    #[test]
    fn clocks_of_intel_are_found_with_every_driver() {
        for (driver, file, name) in [
            ("xe", "tile0/gt1/freq0/act_freq", "tile0/gt1"),
            ("i915", "drm/card0/gt/gt0/rps_act_freq_mhz", "gt0"),
            ("i915", "drm/card0/gt_act_freq_mhz", "gt0"),
        ] {
            let (cards, _) = found(&card(Tree::new(), 0, "0000:00:02.0", driver, "0x8086", &[file]));
            let names: Vec<_> = cards[0].frequencies.iter().map(|(sensor, _)| sensor.name.as_str()).collect();
            assert_eq!(names, [name], "{file}");
            assert_eq!(cards[0].frequencies[0].0.place, Place::gpu("0000:00:02.0"));
        }
    }

    #[test]
    fn other_makers_connectors_and_devices_off_the_bus_are_not_ours() {
        let tree = card(Tree::new(), 0, "0000:05:00.0", "ast", "0x1a03", &["drm/card0/card0-VGA-1/status"])
            .link("/sys/class/drm/card0-VGA-1", "/sys/devices/pci0000:00/0000:05:00.0/drm/card0/card0-VGA-1")
            .link("/sys/class/drm/card1/device", "/sys/devices/platform/vgem")
            .file("/sys/devices/platform/vgem/vendor", "0x1002")
            .file("/sys/class/drm/renderD128/dev", "226:128")
            .file("/sys/class/drm/version", "drm 1.1.0");
        assert_eq!(list(&tree).unwrap(), ["card0", "card1"]);
        assert!(found(&tree).0.is_empty());
    }

    #[test]
    fn a_board_without_cards_has_none() {
        assert!(list(&Tree::new()).unwrap().is_empty());
    }
}
