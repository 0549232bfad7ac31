//! Sensor chips: `/sys/class/hwmon`.
//!
//! ```text
//! list each chip's files -> one read of all names and labels -> channels
//! ```
//! Names and labels are the driver's, and at hand. Thresholds stand in the chip, and are left to [`crate::plan`].

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use cardcage_sdk::files::{Contents, Files, Paths, Slot};
use cardcage_sdk::{Error, Place, Quantity, device};

use crate::attribute::{self, Attribute, THRESHOLDS, Threshold};
use crate::channel::{Channel, Unread};
use crate::{place, role};

pub(crate) const CLASS: &str = "/sys/class/hwmon";

/// A chip whose files are listed, before they are read.
struct Chip {
    /// Where its files are.
    folder: String,
    /// Stable name of what it is part of, empty for a chip that is part of nothing.
    device: String,
    driver: Slot,
    groups: Vec<Group>,
}

/// The files of one sensor.
struct Group {
    quantity: Quantity,
    /// `temp1`
    channel: String,
    /// The attribute that holds the value.
    value: &'static str,
    fault: bool,
    enable: bool,
    label: Option<Slot>,
    thresholds: Vec<(&'static str, Threshold)>,
}

/// The sensors of these entries of the class. Chips that a thermal zone shows for itself are left to [`crate::zones`].
pub(crate) fn discover(
    files: &impl Files,
    entries: &[String],
    zones: &[String],
) -> Result<Vec<Channel>, Error> {
    let mut paths = Paths::default();
    let mut chips: Vec<Chip> = Vec::new();
    for entry in entries {
        chips.extend(look(files, entry, zones, &mut paths));
    }
    let contents = paths.read(files)?;
    let mut channels = Vec::new();
    for chip in &chips {
        chip.channels(&contents, &mut channels);
    }
    Ok(channels)
}

/// Lists one chip. `None` if it is gone again, or is not ours.
fn look(files: &impl Files, entry: &str, zones: &[String], paths: &mut Paths) -> Option<Chip> {
    let mut folder = [CLASS, entry].join("/");
    let mut names = files.entries(&folder).ok()?;
    let linked = names.iter().any(|name| name == "device");
    let parent = if linked { files.resolve(&[&folder, "device"].join("/")).ok() } else { None };
    // `thermal_hwmon` shows thermal zones as a chip below the zone itself; the zone knows its trip points.
    if parent
        .as_ref()
        .and_then(|parent| parent.rsplit('/').next())
        .is_some_and(|last| zones.iter().any(|z| z == last))
    {
        return None;
    }
    // Drivers of the oldest kind (`acpi_power_meter` until Linux 6.14) have their files on the device.
    if linked && !names.iter().any(|name| name == "name") {
        folder.push_str("/device");
        names = files.entries(&folder).ok()?;
    }
    let driver = paths.add([&folder, "name"].join("/"));
    let groups = groups(&folder, &names, paths);
    let device = parent.map(|parent| device::stable_name(&parent)).unwrap_or_default();
    Some(Chip { folder, device, driver, groups })
}

/// The files by sensor, in the order of quantities and numbers; sensors without a value are none.
fn groups(folder: &str, names: &[String], paths: &mut Paths) -> Vec<Group> {
    let order = |attribute: &Attribute<'_>| (attribute.quantity, attribute.number);
    let mut attributes: Vec<Attribute<'_>> = Vec::with_capacity(names.len());
    for attribute in names.iter().filter_map(|name| attribute::parse(name)) {
        // Into its place at once: a chip has dozens of files, and sorting them would be 5 kB of code.
        let place = attributes.partition_point(|other| order(other) <= order(&attribute));
        attributes.insert(place, attribute);
    }
    attributes
        .chunk_by(|a, b| a.channel == b.channel)
        .filter_map(|files| group(folder, files, paths))
        .collect()
}

fn group(folder: &str, attributes: &[Attribute<'_>], paths: &mut Paths) -> Option<Group> {
    let first = attributes.first()?;
    let has = |name: &str| attributes.iter().any(|attribute| attribute.name == name);
    // A power meter may know the average alone.
    let value = ["input", "average"].into_iter().find(|name| has(name))?;
    let mut ask = |name: &str| has(name).then(|| paths.add(file(folder, first.channel, name)));
    Some(Group {
        quantity: first.quantity,
        channel: first.channel.to_owned(),
        value,
        fault: has("fault"),
        enable: has("enable"),
        label: ask("label"),
        thresholds: THRESHOLDS.iter().copied().filter(|(name, _)| has(name)).collect(),
    })
}

/// `/sys/class/hwmon/hwmon0/temp1_input`
fn file(folder: &str, channel: &str, attribute: &str) -> String {
    [folder, "/", channel, "_", attribute].concat()
}

impl Chip {
    fn channels(&self, contents: &Contents, channels: &mut Vec<Channel>) {
        let driver = contents.text(self.driver).unwrap_or_default();
        let device = if self.device.is_empty() { driver } else { &self.device };
        let chip = place::of_chip(driver, device);
        for groups in self.groups.chunk_by(|a, b| a.quantity == b.quantity) {
            self.same_quantity(groups, &chip, device, contents, channels);
        }
    }

    fn same_quantity(
        &self,
        groups: &[Group],
        chip: &Place,
        device: &str,
        contents: &Contents,
        channels: &mut Vec<Channel>,
    ) {
        let speaks = chip.part == "cpu" || chip.part == "gpu";
        let labels: Vec<Option<&str>> = groups.iter().map(|group| contents.text(group.label?)).collect();
        let primary =
            groups.first().and_then(|group| role::primary(group.quantity, &labels)).filter(|_| speaks);
        for (index, (group, label)) in groups.iter().zip(&labels).enumerate() {
            // A label that two sensors share names neither.
            let alone = label.filter(|_| labels.iter().filter(|other| *other == label).count() == 1);
            let name = [device, alone.unwrap_or(&group.channel)].join("/");
            let rail = !speaks && label.is_some_and(|label| place::is_cpu_rail(group.quantity, label));
            let place = if rail { Place::cpu(0) } else { chip.clone() };
            channels.push(self.channel(group, place, name).primary(rail || primary == Some(index)));
        }
    }

    fn channel(&self, group: &Group, place: Place, name: String) -> Channel {
        let path = |attribute: &str| file(&self.folder, &group.channel, attribute);
        let channel = Channel {
            fault: group.fault.then(|| path("fault")),
            enable: group.enable.then(|| path("enable")),
            thresholds: group
                .thresholds
                .iter()
                .map(|&(name, limit)| Unread { name, limit, path: path(name) })
                .collect(),
            ..Channel::new(group.quantity, place, name, path(group.value))
        };
        // Energy tells the power of a chip that does not measure it.
        let measures_power = self.groups.iter().any(|other| other.quantity == Quantity::Power);
        let meters = group.quantity == Quantity::Energy && !measures_power;
        if meters { channel.metered(None) } else { channel }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardcage_sdk::fake::Tree;

    fn coretemp() -> Tree {
        let folder = "/sys/devices/platform/coretemp.1/hwmon/hwmon4";
        Tree::new()
            .link("/sys/class/hwmon/hwmon4", folder)
            .link(&[folder, "/device"].concat(), "/sys/devices/platform/coretemp.1")
            .file(&[folder, "/name"].concat(), "coretemp\n")
            .file(&[folder, "/temp1_input"].concat(), "52000\n")
            .file(&[folder, "/temp1_label"].concat(), "Package id 1\n")
            .file(&[folder, "/temp1_crit"].concat(), "100000\n")
            .file(&[folder, "/temp1_crit_alarm"].concat(), "0\n")
            .file(&[folder, "/temp1_max"].concat(), "84000\n")
            .file(&[folder, "/temp10_input"].concat(), "50000\n")
            .file(&[folder, "/temp10_label"].concat(), "Core 8\n")
            .file(&[folder, "/temp2_input"].concat(), "51000\n")
            .file(&[folder, "/temp2_label"].concat(), "Core 0\n")
    }

    /// A chip without a link to its device, as small recordings have it.
    fn chip(files: &[(&str, &str)]) -> Tree {
        files.iter().fold(Tree::new(), |tree, (name, content)| {
            tree.file(&["/sys/class/hwmon/hwmon0", name].join("/"), content)
        })
    }

    fn discovered(tree: &Tree) -> Vec<Channel> {
        let entries = tree.entries(CLASS).unwrap();
        discover(tree, &entries, &[]).unwrap()
    }

    fn names(channels: &[Channel]) -> Vec<&str> {
        channels.iter().map(|channel| channel.sensor.name.as_str()).collect()
    }

    #[test]
    fn sensors_are_named_by_device_and_label_and_placed_by_driver() {
        let channels = discovered(&coretemp());
        let expected =
            ["platform/coretemp.1/Package id 1", "platform/coretemp.1/Core 0", "platform/coretemp.1/Core 8"];
        assert_eq!(names(&channels), expected);
        assert!(channels.iter().all(|channel| channel.sensor.place == Place::cpu(1)));
        let roles: Vec<_> = channels.iter().map(|channel| channel.sensor.role.as_deref()).collect();
        assert_eq!(roles, [Some("primary"), None, None]);
        assert_eq!(channels[0].value, "/sys/class/hwmon/hwmon4/temp1_input");
    }

    #[test]
    fn thresholds_are_found_and_left_to_be_read() {
        let channels = discovered(&coretemp());
        let found: Vec<_> =
            channels[0].thresholds.iter().map(|unread| (unread.name, &*unread.path)).collect();
        let folder = "/sys/class/hwmon/hwmon4";
        let path = |file: &str| [folder, file].join("/");
        assert_eq!(found, [("max", &*path("temp1_max")), ("crit", &*path("temp1_crit"))]);
        assert!(channels[1].thresholds.is_empty());
    }

    #[test]
    fn a_chip_keeps_its_names_when_the_kernel_numbers_it_anew() {
        let folder = "/sys/devices/platform/coretemp.1/hwmon/hwmon4";
        let renumbered =
            coretemp().without("/sys/class/hwmon/hwmon4").link("/sys/class/hwmon/hwmon9", folder);
        assert_eq!(names(&discovered(&renumbered)), names(&discovered(&coretemp())));
    }

    #[test]
    fn a_label_that_two_sensors_share_names_neither() {
        let files =
            [("name", "x"), ("in0_input", "1"), ("in0_label", "A"), ("in1_input", "1"), ("in1_label", "A")];
        assert_eq!(names(&discovered(&chip(&files))), ["x/in0", "x/in1"]);
    }

    #[test]
    fn a_power_meter_that_only_averages_is_a_power_meter() {
        let channels =
            discovered(&chip(&[("name", "x"), ("power1_average", "1"), ("power1_average_interval", "1000")]));
        assert_eq!(channels[0].value, "/sys/class/hwmon/hwmon0/power1_average");
        let both = discovered(&chip(&[("name", "x"), ("power1_average", "1"), ("power1_input", "2")]));
        assert_eq!(both[0].value, "/sys/class/hwmon/hwmon0/power1_input");
    }

    #[test]
    fn energy_tells_the_power_that_a_chip_does_not_measure() {
        let metered =
            |channels: Vec<Channel>| channels.iter().filter(|channel| channel.power.is_some()).count();
        assert_eq!(metered(discovered(&chip(&[("name", "xe"), ("energy1_input", "5")]))), 1);
        assert_eq!(
            metered(discovered(&chip(&[("name", "x"), ("energy1_input", "5"), ("power1_input", "1")]))),
            0
        );
    }

    #[test]
    fn faults_and_switches_are_watched_where_there_are_any() {
        let files = [
            ("name", "x"),
            ("fan1_input", "0"),
            ("fan1_fault", "1"),
            ("fan2_input", "0"),
            ("fan2_enable", "0"),
        ];
        let channels = discovered(&chip(&files));
        assert_eq!(channels[0].fault.as_deref(), Some("/sys/class/hwmon/hwmon0/fan1_fault"));
        assert_eq!(channels[1].enable.as_deref(), Some("/sys/class/hwmon/hwmon0/fan2_enable"));
        assert_eq!((&channels[0].enable, &channels[1].fault), (&None, &None));
    }

    #[test]
    fn files_on_the_device_are_found_too() {
        let device = "/sys/devices/LNXSYSTM:00/ACPI000D:00";
        let tree = Tree::new()
            .link("/sys/class/hwmon/hwmon0", &[device, "/hwmon/hwmon0"].concat())
            .link(&[device, "/hwmon/hwmon0/device"].concat(), device)
            .file(&[device, "/name"].concat(), "power_meter")
            .file(&[device, "/power1_average"].concat(), "120000000");
        assert_eq!(names(&discovered(&tree)), ["LNXSYSTM:00/ACPI000D:00/power1"]);
    }

    #[test]
    fn a_rail_of_the_processor_speaks_for_it() {
        let channels =
            discovered(&chip(&[("name", "ina226"), ("in1_input", "900"), ("in1_label", "VDD_CORE")]));
        assert_eq!(channels[0].sensor.place, Place::cpu(0));
        assert_eq!(channels[0].sensor.role.as_deref(), Some("primary"));
    }

    #[test]
    fn a_chip_that_shows_a_thermal_zone_is_left_to_the_zone() {
        let zone = "/sys/devices/virtual/thermal/thermal_zone0";
        let tree = Tree::new()
            .link("/sys/class/hwmon/hwmon0", &[zone, "/hwmon0"].concat())
            .link(&[zone, "/hwmon0/device"].concat(), zone)
            .file(&[zone, "/hwmon0/name"].concat(), "acpitz")
            .file(&[zone, "/hwmon0/temp1_input"].concat(), "27800");
        let entries = tree.entries(CLASS).unwrap();
        assert!(discover(&tree, &entries, &["thermal_zone0".into()]).unwrap().is_empty());
        assert_eq!(discover(&tree, &entries, &[]).unwrap().len(), 1);
    }
}
