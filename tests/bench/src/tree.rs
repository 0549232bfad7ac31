//! A recorded board with 64 hwmon sensors, on which every program takes the same readings.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// 8 chips of 8 temperatures.
const CHIPS: usize = 8;
const SENSORS: usize = 8;

/// Files of `/proc` that are copied from this machine.
const PROC: [&str; 11] = [
    "stat",
    "loadavg",
    "meminfo",
    "cpuinfo",
    "net/dev",
    "filesystems",
    "self/mountinfo",
    "self/mounts",
    "sys/kernel/hostname",
    "sys/kernel/osrelease",
    "sys/kernel/arch",
];

/// The recording, and an agent's configuration that replays it.
pub struct Tree {
    folder: TempDir,
}

impl Tree {
    pub fn record() -> Result<Self> {
        let tree = Self { folder: tempfile::tempdir()? };
        for file in PROC {
            // Not every kernel has every file.
            if let Ok(content) = fs::read(Path::new("/proc").join(file)) {
                write(&tree.proc().join(file), &content)?;
            }
        }
        // Some programs look for themselves by number.
        symlink("self", tree.proc().join("1"))?;
        for chip in 0..CHIPS {
            tree.chip(chip)?;
        }
        tree.links()?;
        for (name, value) in [("sys_vendor", "Acme"), ("board_name", "GPU-8"), ("board_serial", "A1")] {
            write(&tree.sys().join("class/dmi/id").join(name), value.as_bytes())?;
        }
        fs::create_dir_all(tree.sys().join("class/thermal"))?;
        fs::write(tree.config_path(), tree.config()?)?;
        Ok(tree)
    }

    pub fn proc(&self) -> PathBuf {
        self.folder.path().join("proc")
    }

    pub fn sys(&self) -> PathBuf {
        self.folder.path().join("sys")
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("agent.toml")
    }

    fn chip(&self, number: usize) -> Result<()> {
        let device = format!("devices/platform/acme.{number}");
        let chip = self.sys().join(&device).join(format!("hwmon/hwmon{number}"));
        write(&chip.join("name"), b"acme\n")?;
        for sensor in 1..=SENSORS {
            let value = 30_000 + 1_000 * number + 125 * sensor;
            write(&chip.join(format!("temp{sensor}_input")), format!("{value}\n").as_bytes())?;
            write(&chip.join(format!("temp{sensor}_label")), format!("zone {sensor}\n").as_bytes())?;
            write(&chip.join(format!("temp{sensor}_max")), b"90000\n")?;
            write(&chip.join(format!("temp{sensor}_crit")), b"105000\n")?;
        }
        symlink("../..", chip.join("device"))?;
        let class = self.sys().join("class/hwmon");
        fs::create_dir_all(&class)?;
        symlink(format!("../../{device}/hwmon/hwmon{number}"), class.join(format!("hwmon{number}")))?;
        Ok(())
    }

    fn links(&self) -> Result<()> {
        for entry in fs::read_dir("/sys/class/net")? {
            let entry = entry?;
            let folder = self.sys().join("class/net").join(entry.file_name());
            for file in ["address", "operstate", "speed", "mtu"] {
                if let Ok(content) = fs::read(entry.path().join(file)) {
                    write(&folder.join(file), &content)?;
                }
            }
        }
        Ok(())
    }

    /// Space is recorded as well: what `statvfs` says changes under the measurement.
    fn config(&self) -> Result<String> {
        let mounts = fs::read_to_string(self.proc().join("self/mountinfo"))?;
        let points: BTreeMap<&str, ()> =
            mounts.lines().filter_map(|line| Some((line.split(' ').nth(4)?, ()))).collect();
        let space: String = points
            .keys()
            .map(|point| format!("{point:?} = {{ total = 1000000, unused = 500000, available = 400000 }}\n"))
            .collect();
        Ok(format!(
            "state_dir = {:?}\n[kernel]\nproc = {:?}\nsys = {:?}\nos_release = \"/etc/os-release\"\n[kernel.space]\n{space}",
            self.folder.path().join("state"),
            self.proc(),
            self.sys(),
        ))
    }
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file has a folder")?)?;
    fs::write(path, content).with_context(|| path.display().to_string())
}
