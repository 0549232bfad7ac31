//! Accelerators in the engine's words.
//!
//! A deployment is given accelerators by their PCI addresses. NVIDIA's are asked for by the name that NVIDIA's own tools
//! have for them, since their runtime adds the libraries too; of all others the render node is handed over as a device, and
//! of AMD's also the node through which they compute. One that cannot be handed over is a failure: a container that starts
//! without it would only fail later and elsewhere.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bollard::models::{DeviceMapping, DeviceRequest};

use crate::Gpu;

const NVIDIA: &str = "0x10de";
const AMD: &str = "0x1002";
/// Display controllers: VGA, 3D and others.
const DISPLAY: &str = "0x03";
const FILE: u64 = 4096;

/// Where the board's facts are.
pub(crate) struct Roots {
    pub(crate) sys: PathBuf,
    pub(crate) proc: PathBuf,
    pub(crate) dev: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into(), dev: "/dev".into() }
    }
}

/// What the engine is asked for.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub(crate) devices: Vec<DeviceMapping>,
    pub(crate) requests: Vec<DeviceRequest>,
}

/// What has to be asked for, or which accelerator cannot be had and why.
pub(crate) fn hand_over(roots: &Roots, gpus: &[Gpu], is_podman: bool) -> Result<Handed, String> {
    let mut handed = Handed::default();
    let mut nvidia = Vec::new();
    for gpu in gpus {
        let refused = |reason: &str| {
            format!("accelerator {} ({}) cannot be handed over: {reason}", gpu.index, shown(gpu))
        };
        if !is_address(&gpu.device) {
            return Err(refused("it is not at a PCI address"));
        }
        match maker(roots, gpu) {
            // It would be left out without a word.
            Maker::Nvidia if is_podman => {
                return Err(refused("podman does not take NVIDIA's through this interface"));
            }
            Maker::Nvidia => {
                nvidia.push(nvidia_id(roots, gpu).ok_or_else(|| refused("it is not on the PCI bus"))?)
            }
            maker => {
                let nodes = render_nodes(roots, gpu);
                if nodes.is_empty() {
                    return Err(refused("its driver has no render node below /dev/dri"));
                }
                handed.devices.extend(nodes);
                let compute = roots.dev.join("kfd");
                if maker == Maker::Amd && compute.exists() && !handed.devices.contains(&device(&compute)) {
                    handed.devices.push(device(&compute));
                }
            }
        }
    }
    if !nvidia.is_empty() {
        handed.requests.push(DeviceRequest {
            driver: Some("nvidia".into()),
            device_ids: Some(nvidia),
            capabilities: Some(vec![vec!["gpu".into()]]),
            ..DeviceRequest::default()
        });
    }
    Ok(handed)
}

#[derive(PartialEq, Eq)]
enum Maker {
    Nvidia,
    Amd,
    Other,
}

fn maker(roots: &Roots, gpu: &Gpu) -> Maker {
    let said = gpu.vendor.as_deref().unwrap_or_default().to_lowercase();
    match read(&pci(roots).join(&gpu.device).join("vendor")).as_deref() {
        Some(NVIDIA) => Maker::Nvidia,
        Some(AMD) => Maker::Amd,
        Some(_) => Maker::Other,
        None if said.contains("nvidia") => Maker::Nvidia,
        None if said.contains("amd") || said.contains("advanced micro") => Maker::Amd,
        None => Maker::Other,
    }
}

/// The UUID that the driver says, otherwise its number among NVIDIA's, which their tools count in the order of the bus.
fn nvidia_id(roots: &Roots, gpu: &Gpu) -> Option<String> {
    let facts = read(&roots.proc.join("driver/nvidia/gpus").join(&gpu.device).join("information"));
    let uuid = facts.as_deref().and_then(|facts| {
        let line = facts.lines().find_map(|line| line.strip_prefix("GPU UUID:"))?;
        Some(line.trim()).filter(|uuid| uuid.starts_with("GPU-") && !uuid.contains('?')).map(str::to_owned)
    });
    uuid.or_else(|| {
        let place = nvidia_addresses(roots).iter().position(|address| *address == gpu.device)?;
        Some(place.to_string())
    })
}

fn nvidia_addresses(roots: &Roots) -> Vec<String> {
    let is = |folder: &Path, file: &str, beginning: &str| {
        read(&folder.join(file)).is_some_and(|text| text.starts_with(beginning))
    };
    let mut addresses: Vec<String> = fs::read_dir(pci(roots))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| is(&entry.path(), "vendor", NVIDIA) && is(&entry.path(), "class", DISPLAY))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    addresses.sort();
    addresses
}

fn render_nodes(roots: &Roots, gpu: &Gpu) -> Vec<DeviceMapping> {
    let mut names: Vec<String> = fs::read_dir(pci(roots).join(&gpu.device).join("drm"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("renderD"))
        .collect();
    names.sort();
    let nodes = names.into_iter().map(|name| roots.dev.join("dri").join(name));
    nodes.filter(|node| node.exists()).map(|node| device(&node)).collect()
}

fn device(path: &Path) -> DeviceMapping {
    let path = Some(path.display().to_string());
    DeviceMapping {
        path_on_host: path.clone(),
        path_in_container: path,
        cgroup_permissions: Some("rw".into()),
    }
}

fn pci(roots: &Roots) -> PathBuf {
    roots.sys.join("bus/pci/devices")
}

/// `0000:03:00.0`: it becomes part of a path.
fn is_address(device: &str) -> bool {
    device.len() <= 32
        && device.contains(':')
        && !device.contains("..")
        && device.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
}

fn shown(gpu: &Gpu) -> String {
    crate::error::clean(&gpu.device)
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(FILE).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Board(tempfile::TempDir);

    impl Board {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn roots(&self) -> Roots {
            let at = |name: &str| self.0.path().join(name);
            Roots { sys: at("sys"), proc: at("proc"), dev: at("dev") }
        }

        fn file(&self, path: &str, text: &str) -> &Self {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
            self
        }

        fn card(&self, address: &str, vendor: &str, class: &str) -> &Self {
            let folder = format!("sys/bus/pci/devices/{address}");
            self.file(&format!("{folder}/vendor"), vendor).file(&format!("{folder}/class"), class)
        }
    }

    fn gpu(index: u32, device: &str) -> Gpu {
        Gpu { index, device: device.into(), vendor: None }
    }

    fn ids(handed: &Handed) -> Vec<String> {
        handed.requests.iter().flat_map(|request| request.device_ids.clone().unwrap_or_default()).collect()
    }

    #[test]
    fn nvidia_counts_its_own_in_the_order_of_the_bus() {
        let board = Board::new();
        board.card("0000:01:00.0", "0x1002\n", "0x030000\n");
        board.card("0000:81:00.0", "0x10de\n", "0x030200\n");
        board.card("0000:41:00.0", "0x10de\n", "0x030200\n");
        board.card("0000:41:00.1", "0x10de\n", "0x040300\n");
        let handed = hand_over(&board.roots(), &[gpu(2, "0000:81:00.0")], false).expect("handed over");
        assert_eq!(ids(&handed), ["1"]);
        assert!(handed.devices.is_empty());
    }

    #[test]
    fn a_uuid_stands_before_a_number() {
        let board = Board::new();
        board.card("0000:41:00.0", "0x10de\n", "0x030200\n");
        board.file(
            "proc/driver/nvidia/gpus/0000:41:00.0/information",
            "Model: \t\t NVIDIA H100\nGPU UUID: \t GPU-5a1b2c3d-0000-1111-2222-333344445555\n",
        );
        let handed = hand_over(&board.roots(), &[gpu(0, "0000:41:00.0")], false).expect("handed over");
        assert_eq!(ids(&handed), ["GPU-5a1b2c3d-0000-1111-2222-333344445555"]);
    }

    #[test]
    fn others_are_their_render_nodes_and_amd_computes_through_one_more() {
        let board = Board::new();
        for (address, node) in [("0000:01:00.0", "renderD128"), ("0000:02:00.0", "renderD129")] {
            board.card(address, "0x1002\n", "0x038000\n");
            board.file(&format!("sys/bus/pci/devices/{address}/drm/{node}/dev"), "");
            board.file(&format!("dev/dri/{node}"), "");
        }
        board.file("dev/kfd", "");
        let gpus = [gpu(0, "0000:01:00.0"), gpu(1, "0000:02:00.0")];
        let handed = hand_over(&board.roots(), &gpus, true).expect("handed over");
        let paths: Vec<String> =
            handed.devices.into_iter().filter_map(|device| device.path_in_container).collect();
        let names: Vec<&str> = paths.iter().filter_map(|path| path.rsplit('/').next()).collect();
        assert_eq!(names, ["renderD128", "kfd", "renderD129"]);
    }

    #[test]
    fn one_that_cannot_be_had_is_named() {
        let board = Board::new();
        board.card("0000:01:00.0", "0x8086\n", "0x030000\n");
        board.card("0000:02:00.0", "0x10de\n", "0x030000\n");
        for (device, is_podman) in [
            ("0000:01:00.0", false),
            ("0000:02:00.0", true),
            ("0000:09:00.0", false),
            ("../../etc", false),
            ("card0", false),
        ] {
            let refused = hand_over(&board.roots(), &[gpu(7, device)], is_podman).expect_err(device);
            assert!(refused.contains(device) && refused.contains('7'), "{refused}");
        }
    }
}
