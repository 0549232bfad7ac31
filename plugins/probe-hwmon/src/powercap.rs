//! Counters of energy: `/sys/class/powercap` (RAPL of Intel and AMD).
//!
//! Zones form a tree by their identifiers: `intel-rapl:0` is a package, `intel-rapl:0:1` a part of it.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use cardcage_sdk::files::{Contents, Files, Paths, Slot};
use cardcage_sdk::{Error, Place, Quantity, code};

use crate::channel::Channel;

pub(crate) const CLASS: &str = "/sys/class/powercap";

struct Zone<'a> {
    id: &'a str,
    folder: String,
    name: Slot,
    range: Slot,
    energy: Slot,
    power: Slot,
}

/// The sensors of these entries of the class. They are in their natural order, so a package comes before its
/// parts, and `intel-rapl` before `intel-rapl-mmio`, which counts the same package once more.
pub(crate) fn discover(files: &impl Files, entries: &[String]) -> Result<Vec<Channel>, Error> {
    let mut paths = Paths::default();
    let zones: Vec<Zone<'_>> =
        entries.iter().filter(|id| id.contains(':')).map(|id| look(id, &mut paths)).collect();
    let contents = paths.read(files)?;
    let mut channels: Vec<Channel> = Vec::new();
    let mut names: Vec<(&str, String)> = Vec::new();
    for zone in &zones {
        let Some(name) = contents.text(zone.name) else { continue };
        let named = |id: &str| names.iter().find(|(other, _)| *other == id).map(|(_, name)| name.as_str());
        let parent = zone.id.rsplit_once(':').and_then(|(parent, _)| named(parent));
        let name = parent.map_or_else(|| name.to_owned(), |parent| [parent, name].join("/"));
        if !names.iter().any(|(_, other)| *other == name) {
            channels.extend(zone.channel(&name, &contents));
        }
        names.push((zone.id, name));
    }
    Ok(channels)
}

fn look<'a>(id: &'a str, paths: &mut Paths) -> Zone<'a> {
    let folder = [CLASS, id].join("/");
    let mut ask = |name: &str| paths.add([&folder, name].join("/"));
    let [name, range, energy, power] = ["name", "max_energy_range_uj", "energy_uj", "power_uw"].map(&mut ask);
    Zone { id, folder, name, range, energy, power }
}

impl Zone<'_> {
    /// A counter that tells the power too, or a meter of power alone, or nothing.
    fn channel(&self, name: &str, contents: &Contents) -> Option<Channel> {
        let there =
            |slot| contents.get(slot).is_some_and(|content| !content.is_err_and(|e| e.is(code::ABSENT)));
        let place = place(name);
        let whole =
            name.strip_prefix("package-").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
        let channel = |quantity, file: &str| {
            let path = [self.folder.as_str(), file].join("/");
            Channel::new(quantity, place.clone(), ["powercap", name].join("/"), path)
        };
        let channel = if there(self.energy) {
            channel(Quantity::Energy, "energy_uj").metered(contents.number(self.range))
        } else if there(self.power) {
            channel(Quantity::Power, "power_uw")
        } else {
            return None;
        };
        Some(channel.primary(whole))
    }
}

/// `package-1/core` is of processor 1, its memory controller's `dram` of the memory beside it; `psys` is the board.
fn place(name: &str) -> Place {
    let Some(package) = name.strip_prefix("package-") else { return Place::board() };
    let number = package.split(['-', '/']).next().unwrap_or_default();
    if name.ends_with("/dram") { Place::new("memory", number) } else { Place::new("cpu", number) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::natural;
    use cardcage_sdk::fake::Tree;

    fn zone(tree: Tree, id: &str, name: &str) -> Tree {
        tree.file(&format!("{CLASS}/{id}/name"), name)
            .file(&format!("{CLASS}/{id}/energy_uj"), "1000000")
            .file(&format!("{CLASS}/{id}/max_energy_range_uj"), "262143328850")
    }

    fn discovered(tree: &Tree) -> Vec<Channel> {
        discover(tree, &natural(&tree.entries(CLASS).unwrap())).unwrap()
    }

    #[test]
    fn parts_are_named_after_their_package() {
        let tree = zone(zone(Tree::new(), "intel-rapl:1", "package-1"), "intel-rapl:1:0", "dram");
        let tree = tree.file("/sys/class/powercap/intel-rapl/enabled", "1");
        let channels = discovered(&zone(tree, "intel-rapl:2", "psys"));
        let found: Vec<_> =
            channels.iter().map(|c| (c.sensor.name.as_str(), c.sensor.place.clone())).collect();
        let expected = [
            ("powercap/package-1", Place::cpu(1)),
            ("powercap/psys", Place::board()),
            ("powercap/package-1/dram", Place::new("memory", "1")),
        ];
        assert_eq!(found, expected);
        assert_eq!(channels[0].sensor.role.as_deref(), Some("primary"));
        let (_, power) = channels[0].power.clone().unwrap();
        assert_eq!((power.name.as_str(), power.role.as_deref()), ("powercap/package-1", Some("primary")));
    }

    #[test]
    fn a_package_that_is_counted_twice_is_one_sensor() {
        let tree = zone(zone(Tree::new(), "intel-rapl-mmio:0", "package-0"), "intel-rapl:0", "package-0");
        let channels = discovered(&tree);
        assert_eq!(channels.len(), 1);
        assert_eq!(channels[0].value, "/sys/class/powercap/intel-rapl:0/energy_uj");
    }

    #[test]
    fn a_zone_without_energy_is_a_meter_of_power_or_nothing() {
        let tree = Tree::new()
            .file("/sys/class/powercap/dtpm:0/name", "soc")
            .file("/sys/class/powercap/dtpm:0/power_uw", "1500000")
            .file("/sys/class/powercap/dtpm:1/name", "other");
        let channels = discovered(&tree);
        assert_eq!(channels.len(), 1);
        assert_eq!((channels[0].quantity, channels[0].power.is_none()), (Quantity::Power, true));
    }
}
