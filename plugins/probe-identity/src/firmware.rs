//! What the firmware says about the board: DMI (SMBIOS) where there is one, else the device tree.
//!
//! DMI speaks of the system (`sys_vendor`, `product_*`), which is the computer as its maker sells it, and of its main
//! board (`board_*`). The system goes first, the main board stands in where the maker left the system's strings at
//! their defaults.

use cardcage_sdk::kernel::SystemInfo;

/// Strings that firmware ships where nobody wrote anything, in lower case.
const PLACEHOLDERS: [&str; 24] = [
    "to be filled by o.e.m.",
    "to be filled by oem",
    "default string",
    "none",
    "not specified",
    "not applicable",
    "not available",
    "not present",
    "n/a",
    "na",
    "unknown",
    "undefined",
    "empty",
    "oem",
    "o.e.m.",
    "x.x",
    "system manufacturer",
    "system product name",
    "system serial number",
    "base board serial number",
    "type2 - board serial number",
    "board serial number",
    "chassis serial number",
    "123456789",
];

/// The firmware's strings, without those that say nothing.
pub(crate) struct Firmware<'a>(&'a SystemInfo);

impl<'a> Firmware<'a> {
    pub(crate) fn of(system: &'a SystemInfo) -> Self {
        Self(system)
    }

    /// Who made it. A device tree has no field for the maker, but its most specific `compatible` begins with the
    /// maker's registered prefix: `raspberrypi,4-model-b`.
    pub(crate) fn manufacturer(&self) -> Option<&'a str> {
        self.dmi("sys_vendor").or_else(|| self.dmi("board_vendor")).or_else(|| {
            let (maker, _) = self.0.device_tree_compatible.first()?.split_once(',')?;
            meaningful(maker)
        })
    }

    pub(crate) fn model(&self) -> Option<&'a str> {
        let device_tree = || meaningful(self.0.device_tree_model.as_deref()?);
        self.dmi("product_name").or_else(|| self.dmi("board_name")).or_else(device_tree)
    }

    pub(crate) fn serial(&self) -> Option<&'a str> {
        let device_tree = || meaningful(self.0.device_tree_serial.as_deref()?);
        self.dmi("product_serial").or_else(|| self.dmi("board_serial")).or_else(device_tree)
    }

    fn dmi(&self, key: &str) -> Option<&'a str> {
        let (_, value) = self.0.dmi.iter().find(|(name, _)| name == key)?;
        meaningful(value)
    }
}

/// The text, if a person or a factory wrote it. Zeros and dots alone are what an empty serial number looks like.
fn meaningful(text: &str) -> Option<&str> {
    // A device tree's strings end in a NUL.
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let said = text.chars().any(|c| !matches!(c, '0' | '.' | '-' | '_' | ' ' | '*' | 'x' | 'X'));
    let placeholder = PLACEHOLDERS.iter().any(|placeholder| text.eq_ignore_ascii_case(placeholder));
    (said && !placeholder).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dmi(pairs: &[(&str, &str)]) -> SystemInfo {
        let dmi = pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        SystemInfo { dmi, ..SystemInfo::default() }
    }

    fn named(system: &SystemInfo) -> [Option<&str>; 3] {
        let firmware = Firmware::of(system);
        [firmware.manufacturer(), firmware.model(), firmware.serial()]
    }

    #[test]
    fn the_system_speaks_first() {
        let system = dmi(&[
            ("board_name", "0H28RR"),
            ("board_serial", ".CN747"),
            ("board_vendor", "Dell Inc."),
            ("product_name", "PowerEdge R740"),
            ("product_serial", "7XK2P13"),
            ("sys_vendor", "Dell Inc."),
        ]);
        assert_eq!(named(&system), [Some("Dell Inc."), Some("PowerEdge R740"), Some("7XK2P13")]);
    }

    #[test]
    fn the_main_board_stands_in_for_a_system_that_nobody_named() {
        let system = dmi(&[
            ("board_name", "X11DPi-N"),
            ("board_serial", "ZM18AS012345"),
            ("board_vendor", "Supermicro"),
            ("product_name", "To Be Filled By O.E.M."),
            ("product_serial", "0000000000"),
            ("sys_vendor", "Default string"),
        ]);
        assert_eq!(named(&system), [Some("Supermicro"), Some("X11DPi-N"), Some("ZM18AS012345")]);
    }

    #[test]
    fn a_board_without_dmi_is_in_the_device_tree() {
        let system = SystemInfo {
            device_tree_model: Some("Raspberry Pi 4 Model B Rev 1.4\0".into()),
            device_tree_compatible: vec!["raspberrypi,4-model-b".into(), "brcm,bcm2711".into()],
            device_tree_serial: Some("10000000abcdef01".into()),
            ..SystemInfo::default()
        };
        let expected = ["raspberrypi", "Raspberry Pi 4 Model B Rev 1.4", "10000000abcdef01"];
        assert_eq!(named(&system), expected.map(Some));
    }

    #[test]
    fn placeholders_say_nothing() {
        for text in ["None", " not specified ", "0000", "", "...", "N/A", "xxxx-xxxx", "System Serial Number"]
        {
            assert_eq!(meaningful(text), None, "{text}");
        }
        assert_eq!(meaningful(" QEMU "), Some("QEMU"));
    }
}
