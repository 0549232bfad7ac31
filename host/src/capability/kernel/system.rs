//! What the machine and its system say about themselves.

use std::path::Path;

use super::parse;
use super::processor;
use super::real::text;
use crate::capability::Roots;

/// See `system-info` in `wit/host/kernel.wit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct System {
    pub hostname: Option<String>,
    pub kernel: Option<String>,
    pub architecture: Option<String>,
    pub os_release: Vec<(String, String)>,
    pub dmi: Vec<(String, String)>,
    pub device_tree_model: Option<String>,
    pub device_tree_compatible: Vec<String>,
    pub device_tree_serial: Option<String>,
    pub cpu_model: Option<String>,
}

/// The strings of the firmware that say what the board is. Not all of them: the rest is tables and flags.
const DMI: [&str; 14] = [
    "sys_vendor",
    "product_name",
    "product_version",
    "product_serial",
    "product_sku",
    "board_vendor",
    "board_name",
    "board_version",
    "board_serial",
    "chassis_vendor",
    "chassis_serial",
    "chassis_asset_tag",
    "bios_vendor",
    "bios_version",
];

/// Reads them all; what is not there is absent.
pub fn system(roots: &Roots) -> System {
    let kernel = |name: &str| one_line(&roots.proc.join("sys/kernel").join(name));
    let dmi = roots.sys.join("class/dmi/id");
    let tree = device_tree(roots);
    System {
        hostname: kernel("hostname"),
        kernel: kernel("osrelease"),
        architecture: roots.architecture.clone().or_else(|| kernel("arch")),
        os_release: roots
            .os_release
            .as_deref()
            .and_then(text)
            .map(|text| parse::os_release(&text))
            .unwrap_or_default(),
        dmi: DMI.iter().filter_map(|name| Some(((*name).to_owned(), one_line(&dmi.join(name))?))).collect(),
        device_tree_model: tree("model").into_iter().next(),
        device_tree_compatible: tree("compatible"),
        device_tree_serial: tree("serial-number").into_iter().next(),
        cpu_model: text(&roots.proc.join("cpuinfo")).and_then(|text| processor::model(&text)),
    }
}

fn one_line(path: &Path) -> Option<String> {
    let text = text(path)?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// A property of the device tree's root: strings, each ended by a zero byte.
fn device_tree(roots: &Roots) -> impl Fn(&str) -> Vec<String> {
    let bases = [roots.proc.join("device-tree"), roots.sys.join("firmware/devicetree/base")];
    move |property| {
        let text = bases.iter().find_map(|base| text(&base.join(property))).unwrap_or_default();
        text.split('\0').map(str::trim).filter(|text| !text.is_empty()).take(16).map(str::to_owned).collect()
    }
}
