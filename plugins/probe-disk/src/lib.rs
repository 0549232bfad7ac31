//! Probe of the disks: every real mount once, with the space on it. It needs the kernel's facts alone.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use cardcage_sdk::kernel::{self, Mount, Space};
use cardcage_sdk::{Disk, Error, Probe, Sample, Settings};

mod selection;

/// A sample carries at most this many disks.
const MOST_DISKS: usize = 1024;
/// A sample carries at most this many faults; a machine whose file server is gone may have more.
const MOST_FAULTS: usize = 64;

/// The mounted file systems of the board.
pub struct DiskProbe;

impl Probe for DiskProbe {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        let mut mounts = selection::disks(kernel::mounts()?);
        mounts.truncate(MOST_DISKS);
        let points: Vec<String> = mounts.iter().map(|mount| mount.mount_point.clone()).collect();
        Ok(sample(mounts, kernel::spaces(&points)))
    }
}

/// A disk that does not say how much space it has stays in the list: it is there. One that says it has none is a view
/// of something else, as for `df`.
fn sample(mounts: Vec<Mount>, spaces: Vec<Result<Space, Error>>) -> Sample {
    let mut disks = Vec::new();
    let mut faults = Vec::new();
    for (mount, space) in mounts.into_iter().zip(spaces) {
        match space {
            Ok(space) if space.total == 0 => {}
            Ok(space) => disks.push(disk(mount, Some(space))),
            Err(error) => {
                disks.push(disk(mount, None));
                faults.push(error);
            }
        }
    }
    faults.truncate(MOST_FAULTS);
    Sample { disks, faults, ..Sample::default() }
}

fn disk(mount: Mount, space: Option<Space>) -> Disk {
    Disk {
        mount_point: mount.mount_point,
        device: Some(mount.source),
        file_system: Some(mount.file_system),
        total: space.map(|space| space.total),
        used: space.and_then(|space| space.total.checked_sub(space.unused)),
        free: space.map(|space| space.available),
        read_only: Some(mount.read_only),
        extra: Vec::new(),
    }
}

cardcage_sdk::export_probe!(DiskProbe, no_std);

#[cfg(test)]
mod tests {
    use super::*;
    use cardcage_sdk::code;

    fn mount(mount_point: &str) -> Mount {
        Mount { mount_point: mount_point.into(), source: "/dev/sda1".into(), ..Mount::default() }
    }

    #[test]
    fn space_reserved_for_root_is_neither_used_nor_free() {
        let space = Space { total: 100, unused: 40, available: 35 };
        let sample = sample(vec![mount("/")], vec![Ok(space)]);
        let disk = &sample.disks[0];
        assert_eq!((disk.total, disk.used, disk.free), (Some(100), Some(60), Some(35)));
        assert_eq!(disk.device.as_deref(), Some("/dev/sda1"));
    }

    #[test]
    fn a_disk_that_does_not_answer_is_listed_without_numbers_and_is_a_fault() {
        let space = Space { total: 100, unused: 40, available: 35 };
        let dead = Error::new(code::BLOCKED, "/nfs did not answer");
        let sample = sample(vec![mount("/nfs"), mount("/")], vec![Err(dead.clone()), Ok(space)]);
        assert_eq!((sample.disks[0].total, sample.disks[0].used, sample.disks[0].free), (None, None, None));
        assert_eq!(sample.disks[1].total, Some(100));
        assert_eq!(sample.faults, [dead]);
    }

    #[test]
    fn a_file_system_without_any_space_is_not_a_disk() {
        assert_eq!(sample(vec![mount("/view")], vec![Ok(Space::default())]).disks, []);
    }

    #[test]
    fn space_that_cannot_be_is_unknown() {
        let odd = Space { total: 100, unused: 101, available: 0 };
        assert_eq!(disk(mount("/"), Some(odd)).used, None);
    }
}
