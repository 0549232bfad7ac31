//! Which mounts are the board's disks, each once.
//!
//! ```text
//! every mount -> the topmost at each mount point -> those that hold data of their own -> one of each file system
//! ```

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use cardcage_sdk::kernel::Mount;

/// File systems without a block device (`nodev`) that hold data all the same: pools, flash, other machines' disks.
///
/// Not here on purpose: `tmpfs`, `ramfs` and `devtmpfs` are memory, `overlay` and `aufs` are views of disks that are
/// listed by themselves, `autofs` is a trigger (asking it for its space would mount something).
const WITHOUT_DEVICE: [&str; 18] = [
    "zfs", "btrfs", "bcachefs", "ubifs", "jffs2", "yaffs2", "nfs", "nfs4", "cifs", "smb3", "ceph", "9p",
    "virtiofs", "lustre", "gpfs", "beegfs", "orangefs", "afs",
];

/// FUSE file systems that only show what is elsewhere. The others (`fuse.sshfs`, `fuse.glusterfs`, `fuse.mergerfs`, …)
/// are as real as their programs say.
const FUSE_VIEWS: [&str; 7] = [
    "fuse.fuse-overlayfs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.snapfuse",
    "fuse.squashfuse",
    "fuse.xdg-document-portal",
];

/// The mounts to report, in the order of the kernel.
pub(crate) fn disks(mounts: Vec<Mount>) -> Vec<Mount> {
    let real = topmost(mounts).into_iter().filter(holds_data).collect();
    once(real)
}

/// A mount hides an earlier one at the same point: its space could not be asked for, and the point names one disk.
fn topmost(mounts: Vec<Mount>) -> Vec<Mount> {
    let last: BTreeMap<String, usize> =
        mounts.iter().enumerate().map(|(index, mount)| (mount.mount_point.clone(), index)).collect();
    let seen = |index: usize, mount: &Mount| last.get(&mount.mount_point) == Some(&index);
    mounts
        .into_iter()
        .enumerate()
        .filter(|(index, mount)| seen(*index, mount))
        .map(|(_, mount)| mount)
        .collect()
}

/// Whether the file system holds data of its own that outlives the system.
fn holds_data(mount: &Mount) -> bool {
    let kind = mount.file_system.as_str();
    match kind {
        // An image (a snap, a live system), always full: not a disk that anybody fills.
        "squashfs" | "erofs" | "cramfs" => false,
        // A board with a read-only root under a writable layer, or an agent in a container: there `/` is the one
        // place that has the space. Anywhere else an overlay belongs to a container.
        "overlay" => mount.mount_point == "/",
        _ if kind.starts_with("fuse.") => !FUSE_VIEWS.contains(&kind),
        _ => mount.pseudo == Some(false) || WITHOUT_DEVICE.contains(&kind),
    }
}

/// One mount of each file system: of the whole one rather than of a folder in it (a bind mount, a subvolume), then at
/// the shortest mount point, then the first.
fn once(mounts: Vec<Mount>) -> Vec<Mount> {
    let mut chosen: Vec<Mount> = Vec::new();
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    for mount in mounts {
        let place = *places.entry(identity(&mount)).or_insert(chosen.len());
        match chosen.get_mut(place) {
            Some(other) if preference(&mount) < preference(other) => *other = mount,
            Some(_) => {}
            None => chosen.push(mount),
        }
    }
    chosen
}

/// What makes two mounts the same file system. The device number does: subvolumes of btrfs share it, and so do mounts
/// that call one device by two names (`/dev/root`, `/dev/mmcblk0p2`). A network client may also share one number among
/// several exports of a server, so there the source counts as well.
fn identity(mount: &Mount) -> (String, String) {
    let shares_number = mount.pseudo != Some(false) && mount.file_system != "btrfs";
    let source = if shares_number { mount.source.clone() } else { String::new() };
    (mount.device_number.clone(), source)
}

/// Smaller is better.
fn preference(mount: &Mount) -> (bool, usize) {
    (mount.root != "/", mount.mount_point.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mount(line: &str) -> Mount {
        let [device_number, root, mount_point, file_system, source] =
            line.split(' ').collect::<Vec<_>>().try_into().expect("five words");
        let block = ["ext4", "xfs", "btrfs", "vfat", "squashfs", "fuseblk", "iso9660", "erofs"];
        Mount {
            source: source.into(),
            mount_point: mount_point.into(),
            file_system: file_system.into(),
            root: root.into(),
            device_number: device_number.into(),
            read_only: false,
            pseudo: Some(!block.contains(&file_system)),
        }
    }

    fn check(lines: &[&str], expected: &[&str]) {
        let disks = disks(lines.iter().map(|line| mount(line)).collect());
        let points: Vec<&str> = disks.iter().map(|mount| mount.mount_point.as_str()).collect();
        assert_eq!(points, expected);
    }

    #[test]
    fn pseudo_file_systems_memory_and_images_are_not_disks() {
        check(
            &[
                "0:21 / /proc proc proc",
                "0:22 / /sys sysfs sysfs",
                "0:6 / /dev devtmpfs devtmpfs",
                "259:2 / / ext4 /dev/nvme0n1p2",
                "0:24 / /run tmpfs tmpfs",
                "0:31 / /sys/fs/cgroup cgroup2 cgroup2",
                "7:0 / /snap/core/1 squashfs /dev/loop0",
                "0:60 / /proc/sys/fs/binfmt_misc autofs systemd-1",
                "259:1 / /boot/efi vfat /dev/nvme0n1p1",
            ],
            &["/", "/boot/efi"],
        );
    }

    #[test]
    fn a_bind_mount_is_not_another_disk() {
        check(&["8:1 / /data ext4 /dev/sda1", "8:1 /srv /srv ext4 /dev/sda1"], &["/data"]);
        check(
            &["8:1 /srv /srv ext4 /dev/sda1", "8:1 / /a/long/way/data ext4 /dev/sda1"],
            &["/a/long/way/data"],
        );
        check(&["8:1 / /mnt/copy ext4 /dev/sda1", "8:1 / /data ext4 /dev/sda1"], &["/data"]);
        check(&["179:2 / / ext4 /dev/root", "179:2 /home /home ext4 /dev/mmcblk0p2"], &["/"]);
    }

    #[test]
    fn subvolumes_of_btrfs_are_one_disk() {
        check(&["0:30 /@ / btrfs /dev/sda2", "0:30 /@home /home btrfs /dev/sda2"], &["/"]);
    }

    #[test]
    fn pools_flash_and_network_file_systems_are_disks() {
        check(
            &[
                "0:40 / /tank zfs tank",
                "0:41 / /tank/home zfs tank/home",
                "0:42 / /flash ubifs ubi0:data",
                "0:50 / /nfs/a nfs4 server:/a",
                "0:50 / /nfs/b nfs4 server:/b",
                "0:51 / /share cifs //server/share",
                "0:52 / /remote fuse.sshfs user@server:",
                "0:53 / /ntfs fuseblk /dev/sdb1",
            ],
            &["/tank", "/tank/home", "/flash", "/nfs/a", "/nfs/b", "/share", "/remote", "/ntfs"],
        );
    }

    #[test]
    fn views_of_other_file_systems_are_not_disks() {
        check(
            &[
                "8:1 / / ext4 /dev/sda1",
                "0:70 / /var/lib/docker/overlay2/ab/merged overlay overlay",
                "0:71 / /var/lib/lxcfs fuse.lxcfs lxcfs",
                "0:72 / /run/user/0/doc fuse.portal portal",
            ],
            &["/"],
        );
    }

    #[test]
    fn a_root_that_is_an_overlay_is_a_disk() {
        check(&["0:70 / / overlay overlay", "0:71 / /run tmpfs tmpfs"], &["/"]);
    }

    #[test]
    fn the_topmost_mount_stands_for_its_mount_point() {
        check(&["0:60 / /home autofs /etc/auto", "0:61 / /home nfs4 server:/home"], &["/home"]);
        check(&["8:1 / /data ext4 /dev/sda1", "0:62 / /data tmpfs tmpfs"], &[]);
    }

    #[test]
    fn a_kind_that_the_kernel_did_not_classify_counts_only_if_it_is_known() {
        let unknown = |line| Mount { pseudo: None, ..mount(line) };
        let disks = disks(vec![unknown("0:1 / /a nfs4 server:/a"), unknown("0:2 / /b newfs newfs")]);
        assert_eq!(disks.len(), 1);
    }

    fn any_mount() -> impl Strategy<Value = Mount> {
        ("[0-2]:[0-2]", "/[ab]{0,2}", "/[ab]{0,3}", "(ext4|btrfs|nfs4|tmpfs|overlay)", "[a-c]").prop_map(
            |(number, root, point, kind, source)| mount(&[number, root, point, kind, source].join(" ")),
        )
    }

    proptest! {
        #[test]
        fn no_mount_point_and_no_file_system_is_reported_twice(mounts in prop::collection::vec(any_mount(), 0..40)) {
            let chosen = disks(mounts);
            let points: std::collections::HashSet<_> = chosen.iter().map(|mount| &mount.mount_point).collect();
            let identities: std::collections::HashSet<_> = chosen.iter().map(identity).collect();
            prop_assert_eq!((points.len(), identities.len()), (chosen.len(), chosen.len()));
        }

        #[test]
        fn choosing_again_changes_nothing(mounts in prop::collection::vec(any_mount(), 0..40)) {
            let chosen = disks(mounts);
            prop_assert_eq!(disks(chosen.clone()), chosen);
        }
    }
}
