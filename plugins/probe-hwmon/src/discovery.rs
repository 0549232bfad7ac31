//! Everything that the board has to measure, from the three classes of the kernel.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use cardcage_sdk::files::{Files, MOST_PATHS};
use cardcage_sdk::{Error, Sensor, code};

use crate::channel::Channel;
use crate::{chips, powercap, zones};

/// The entries of the three classes. As long as they are the same, so is what was found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Classes {
    chips: Vec<String>,
    powercap: Vec<String>,
    zones: Vec<String>,
    faults: Vec<Error>,
}

impl Classes {
    /// Lists them: three calls. A class that this kernel does not have is an empty one.
    pub(crate) fn list(files: &impl Files) -> Self {
        let mut faults = Vec::new();
        let mut list = |class| match files.entries(class) {
            Ok(entries) => natural(&entries),
            Err(error) => {
                faults.extend((!error.is(code::ABSENT)).then_some(error));
                Vec::new()
            }
        };
        let [chips, powercap, thermal] = [chips::CLASS, powercap::CLASS, zones::CLASS].map(&mut list);
        Self { chips, powercap, zones: zones::zones(&thermal), faults }
    }

    /// Searches them. A class that fails does not hide the others.
    pub(crate) fn search(&self, files: &impl Files) -> (Vec<Channel>, Vec<Error>) {
        let mut faults = self.faults.clone();
        let mut channels = Vec::new();
        // In this order: a chip knows its sensors best, so its primary sensors go before those of the other classes.
        for found in [
            chips::discover(files, &self.chips, &self.zones),
            powercap::discover(files, &self.powercap),
            zones::discover(files, &self.zones),
        ] {
            match found {
                Ok(mut found) => channels.append(&mut found),
                Err(error) => faults.push(error),
            }
        }
        settle(&mut channels);
        (channels, faults)
    }
}

/// Sorted names in the order of their numbers, `hwmon2` before `hwmon10`: that is by length first.
pub(crate) fn natural(entries: &[String]) -> Vec<String> {
    let longest = entries.iter().map(String::len).max().unwrap_or(0);
    (0..=longest)
        .flat_map(|length| entries.iter().filter(move |entry| entry.len() == length))
        .cloned()
        .collect()
}

/// Makes names unique for each place and kind, and leaves one primary sensor to each: the first.
///
/// Every sensor is compared with those before it. That is cheap for the dozens that boards have, bearable for the
/// thousands that a batch is limited to, and done only when the board is searched.
fn settle(channels: &mut Vec<Channel>) {
    channels.truncate(MOST_PATHS);
    let mut before: Vec<Sensor> = Vec::with_capacity(channels.len());
    for sensor in channels.iter_mut().flat_map(Channel::sensors_mut) {
        let found = sensor.clone();
        let rivals = || before.iter().filter(|other| other.kind == found.kind && other.place == found.place);
        if rivals().any(|other| other.role.is_some()) {
            sensor.role = None;
        }
        let namesakes = rivals().filter(|other| other.name == found.name).count();
        if namesakes > 0 {
            sensor.name = [&found.name, "#", &(namesakes + 1).to_string()].concat();
        }
        before.push(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardcage_sdk::fake::Tree;
    use cardcage_sdk::{Place, Quantity};

    fn board() -> Tree {
        Tree::new()
            .file("/sys/class/hwmon/hwmon0/name", "coretemp")
            .file("/sys/class/hwmon/hwmon0/temp1_input", "50000")
            .file("/sys/class/thermal/cooling_device0/type", "Processor")
            .file("/sys/class/thermal/thermal_zone0/type", "x86_pkg_temp")
            .file("/sys/class/thermal/thermal_zone0/temp", "50000")
            .file("/sys/class/powercap/intel-rapl:0/name", "package-0")
            .file("/sys/class/powercap/intel-rapl:0/energy_uj", "1")
    }

    fn found(tree: &Tree) -> Vec<(String, Option<String>)> {
        let (channels, _) = Classes::list(tree).search(tree);
        channels.into_iter().map(|channel| (channel.sensor.name, channel.sensor.role)).collect()
    }

    #[test]
    fn each_class_adds_its_sensors_and_one_of_them_is_primary() {
        let primary = || Some("primary".to_owned());
        let expected = [
            ("coretemp/temp1".to_owned(), primary()),
            ("powercap/package-0".to_owned(), primary()),
            ("thermal/x86_pkg_temp".to_owned(), None),
        ];
        assert_eq!(found(&board()), expected);
    }

    #[test]
    fn a_board_without_any_class_has_nothing_and_no_fault() {
        let (channels, faults) = Classes::list(&Tree::new()).search(&Tree::new());
        assert!(channels.is_empty() && faults.is_empty());
    }

    #[test]
    fn entries_change_when_a_chip_comes() {
        let more = board().file("/sys/class/hwmon/hwmon1/name", "nvme");
        assert_eq!(Classes::list(&board()), Classes::list(&board()));
        assert_ne!(Classes::list(&board()), Classes::list(&more));
    }

    #[test]
    fn names_that_would_be_equal_are_counted() {
        let chip = |number: usize| format!("/sys/class/hwmon/hwmon{number}");
        let tree = [10, 9].into_iter().fold(Tree::new(), |tree, number| {
            tree.file(&(chip(number) + "/name"), "jc42").file(&(chip(number) + "/temp1_input"), "1")
        });
        let (channels, _) = Classes::list(&tree).search(&tree);
        let found: Vec<_> = channels.iter().map(|c| (c.sensor.name.as_str(), c.value.as_str())).collect();
        let expected = [
            ("jc42/temp1", "/sys/class/hwmon/hwmon9/temp1_input"),
            ("jc42/temp1#2", "/sys/class/hwmon/hwmon10/temp1_input"),
        ];
        assert_eq!(found, expected);
        assert_eq!(channels[0].sensor.place, Place::new("memory", "jc42"));
        assert_eq!(channels[0].quantity, Quantity::Temperature);
    }
}
