//! Thermal zones: `/sys/class/thermal/thermal_zone*`.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use cardcage_sdk::files::{Contents, Files, Paths, Slot};
use cardcage_sdk::{Error, Limits, Place, Quantity};

use crate::attribute;
use crate::channel::Channel;

pub(crate) const CLASS: &str = "/sys/class/thermal";

/// A zone whose files are listed, before they are read.
struct Zone {
    folder: String,
    kind: Slot,
    /// Temperature and type of each trip point.
    trips: Vec<(Slot, Slot)>,
}

/// The zones among the entries of the class; the others are cooling devices.
pub(crate) fn zones(entries: &[String]) -> Vec<String> {
    entries.iter().filter(|entry| entry.starts_with("thermal_zone")).cloned().collect()
}

/// The sensors of these zones.
pub(crate) fn discover(files: &impl Files, zones: &[String]) -> Result<Vec<Channel>, Error> {
    let mut paths = Paths::default();
    let zones: Vec<Zone> = zones.iter().filter_map(|zone| look(files, zone, &mut paths)).collect();
    let contents = paths.read(files)?;
    let kinds: Vec<&str> = zones.iter().map(|zone| contents.text(zone.kind).unwrap_or("zone")).collect();
    let channel = |(index, zone): (usize, &Zone)| {
        let kind = *kinds.get(index)?;
        let earlier = kinds.iter().take(index).filter(|other| **other == kind).count();
        Some(zone.channel(kind, u32::try_from(earlier).ok()?, &contents))
    };
    Ok(zones.iter().enumerate().filter_map(channel).collect())
}

fn look(files: &impl Files, zone: &str, paths: &mut Paths) -> Option<Zone> {
    let folder = [CLASS, zone].join("/");
    let names = files.entries(&folder).ok()?;
    let kind = paths.add([&folder, "type"].join("/"));
    let trips = names
        .iter()
        .filter_map(|name| name.strip_prefix("trip_point_")?.strip_suffix("_temp"))
        .map(|trip| ["_temp", "_type"].map(|what| paths.add([&folder, "/trip_point_", trip, what].concat())))
        .map(|[temperature, kind]| (temperature, kind))
        .collect();
    Some(Zone { folder, kind, trips })
}

impl Zone {
    /// Zones have no device, but a type that says what they watch. Where several share it, they are registered in the
    /// order of what they watch, so the count is as stable as the type.
    fn channel(&self, kind: &str, earlier: u32, contents: &Contents) -> Channel {
        let name = match earlier {
            0 => ["thermal", kind].join("/"),
            _ => ["thermal/", kind, "#", &(earlier + 1).to_string()].concat(),
        };
        // The kernel makes one `x86_pkg_temp` for each package, and the cores and clusters of ARM begin with `cpu`.
        let package = kind == "x86_pkg_temp";
        let place = match kind {
            _ if package => Place::cpu(earlier),
            _ if kind.starts_with("cpu") => Place::cpu(0),
            _ => Place::board(),
        };
        let whole = package || matches!(kind, "cpu-thermal" | "cpu_thermal");
        Channel::new(Quantity::Temperature, place, name, [&self.folder, "temp"].join("/"))
            .with_limits(self.limits(contents))
            .primary(whole)
    }

    /// The kernel shuts down at `critical` and warns at `hot`; without `hot`, it begins to slow the board at `passive`.
    /// `active` trip points only set fans.
    fn limits(&self, contents: &Contents) -> Limits {
        let lowest = |of: &str| {
            let trips = self.trips.iter().filter(|(_, kind)| contents.text(*kind) == Some(of));
            let set =
                trips.filter_map(|(temperature, _)| contents.number(*temperature)).filter(|raw| *raw > 0);
            set.min().map(|raw| attribute::scaled(Quantity::Temperature, raw))
        };
        Limits {
            upper_caution: lowest("hot").or_else(|| lowest("passive")),
            upper_critical: lowest("critical"),
            ..Limits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardcage_sdk::fake::Tree;

    fn zone(tree: Tree, number: usize, kind: &str, trips: &[(&str, &str)]) -> Tree {
        let folder = format!("{CLASS}/thermal_zone{number}");
        let tree = tree.file(&format!("{folder}/type"), kind).file(&format!("{folder}/temp"), "40000");
        trips.iter().enumerate().fold(tree, |tree, (trip, (kind, temperature))| {
            tree.file(&format!("{folder}/trip_point_{trip}_type"), kind)
                .file(&format!("{folder}/trip_point_{trip}_temp"), temperature)
        })
    }

    fn discovered(tree: &Tree) -> Vec<Channel> {
        discover(tree, &zones(&tree.entries(CLASS).unwrap())).unwrap()
    }

    #[test]
    fn a_zone_is_named_by_its_type_and_counted_among_its_like() {
        let tree = zone(Tree::new(), 0, "acpitz", &[]);
        let tree = zone(zone(tree, 1, "x86_pkg_temp", &[]), 2, "x86_pkg_temp", &[]);
        let channels = discovered(&tree.file("/sys/class/thermal/cooling_device0/type", "Fan"));
        let found: Vec<_> =
            channels.iter().map(|c| (c.sensor.name.as_str(), c.sensor.place.clone())).collect();
        let expected = [
            ("thermal/acpitz", Place::board()),
            ("thermal/x86_pkg_temp", Place::cpu(0)),
            ("thermal/x86_pkg_temp#2", Place::cpu(1)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn trip_points_are_thresholds() {
        let trips = [("passive", "95000"), ("passive", "85000"), ("active", "50000"), ("critical", "110000")];
        let channels = discovered(&zone(Tree::new(), 0, "cpu-thermal", &trips));
        let expected = Limits { upper_caution: Some(85.0), upper_critical: Some(110.0), ..Limits::default() };
        assert_eq!(channels[0].sensor.limits, expected);
        assert_eq!(channels[0].sensor.role.as_deref(), Some("primary"));
    }

    #[test]
    fn trip_points_that_nobody_set_are_not() {
        let trips = [("hot", "-274000"), ("critical", "0")];
        assert_eq!(discovered(&zone(Tree::new(), 0, "soc", &trips))[0].sensor.limits, Limits::default());
    }
}
