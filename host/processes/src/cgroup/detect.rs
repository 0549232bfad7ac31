//! Where the agent is in the control groups, from `/proc/self/cgroup` and `/proc/self/mountinfo`.

use std::path::{Path, PathBuf};

use super::{Layout, Root, Version};
use crate::Error;

/// Without these a program could not be held.
const NEEDED_V1: [&str; 4] = ["cpuset", "memory", "pids", "freezer"];
/// Used where they are there.
const WANTED_V1: [&str; 6] = ["cpuset", "memory", "pids", "freezer", "cpu", "cpuacct"];
/// The group that the agent moves into under version 2.
pub(super) const LEAF: &str = "agent";

/// Where groups can be made.
pub fn detect() -> Result<Layout, Error> {
    let read = |path: &str| {
        super::read(Path::new(path))
            .map_err(|error| super::unavailable("cannot read", Path::new(path), &error))
    };
    let (groups, mounts) = (read("/proc/self/cgroup")?, read("/proc/self/mountinfo")?);
    layout(&groups, &mounts).map_err(|why| Error::Unavailable { why })
}

fn layout(groups: &str, mounts: &str) -> Result<Layout, String> {
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    let version_1 = roots_v1(groups, &mounts);
    let missing: Vec<&str> = NEEDED_V1.into_iter().filter(|name| !has(&version_1, name)).collect();
    if missing.is_empty() {
        return Ok(Layout { version: Version::V1, roots: version_1 });
    }
    if has(&version_1, "memory") {
        return Err(format!("the kernel's control groups lack {}: mount them", missing.join(", ")));
    }
    let root =
        root_v2(groups, &mounts).ok_or("no control groups are mounted where this process is in them")?;
    Ok(Layout { version: Version::V2, roots: vec![root] })
}

fn has(roots: &[Root], controller: &str) -> bool {
    roots.iter().any(|root| root.controllers.iter().any(|name| name == controller))
}

fn roots_v1(groups: &str, mounts: &[Mount]) -> Vec<Root> {
    let mut roots = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let controllers: Vec<String> =
            controllers.split(',').filter(|name| WANTED_V1.contains(name)).map(str::to_owned).collect();
        let Some(first) = controllers.first() else { continue };
        let found = mounts
            .iter()
            .filter(|mount| mount.version_1 && mount.has(first))
            .find_map(|mount| mount.of(path));
        if let Some(path) = found {
            roots.push(Root { controllers, path });
        }
    }
    roots
}

fn root_v2(groups: &str, mounts: &[Mount]) -> Option<Root> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let path = mounts.iter().filter(|mount| !mount.version_1).find_map(|mount| mount.of(path))?;
    // An agent before this one, or systemd, has put us into the leaf already.
    let path = match path.file_name().and_then(|name| name.to_str()) {
        Some(LEAF) => path.parent()?.to_owned(),
        _ => path,
    };
    Some(Root { controllers: Vec::new(), path })
}

#[derive(Debug)]
struct Mount {
    version_1: bool,
    /// Which part of the hierarchy is mounted.
    root: String,
    at: PathBuf,
    options: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, at) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let version_1 = match after.next()? {
            "cgroup" => true,
            "cgroup2" => false,
            _ => return None,
        };
        let options = after.nth(1)?.to_owned();
        Some(Self { version_1, root: unescape(root), at: PathBuf::from(unescape(at)), options })
    }

    fn has(&self, controller: &str) -> bool {
        self.options.split(',').any(|option| option == controller)
    }

    /// Where a group is under this mount, if it is.
    fn of(&self, group: &str) -> Option<PathBuf> {
        let below = Path::new(group).strip_prefix(&self.root).ok()?;
        let safe = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        safe.then(|| if below.as_os_str().is_empty() { self.at.clone() } else { self.at.join(below) })
    }
}

// Blanks in paths are written as three octal digits.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID_GROUPS: &str = "9:name=systemd:/\n8:pids:/\n7:blkio:/\n6:freezer:/\n5:devices:/\n\
        4:memory:/process_api/b13\n3:cpuset:/\n2:cpu,cpuacct:/\n0::/\n";
    const HYBRID_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn path<'a>(layout: &'a Layout, controller: &str) -> &'a str {
        let root = layout.roots.iter().find(|root| root.controllers.iter().any(|name| name == controller));
        root.unwrap().path.to_str().unwrap()
    }

    #[test]
    fn a_hybrid_tree_is_version_1() {
        let layout = layout(HYBRID_GROUPS, HYBRID_MOUNTS).unwrap();
        assert_eq!((layout.version, layout.roots.len()), (Version::V1, 5));
        assert_eq!(path(&layout, "memory"), "/sys/fs/cgroup/memory/process_api/b13");
        assert_eq!(path(&layout, "cpuset"), "/sys/fs/cgroup/cpuset");
        assert_eq!(path(&layout, "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct");
    }

    #[test]
    fn version_2_is_found_with_and_without_the_leaf() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        for group in ["/system.slice/cardcage-agent.service", "/system.slice/cardcage-agent.service/agent"] {
            let layout = layout(&format!("0::{group}\n"), mounts).unwrap();
            assert_eq!(layout.version, Version::V2);
            let at = &layout.roots[0].path;
            assert_eq!(at, Path::new("/sys/fs/cgroup/system.slice/cardcage-agent.service"));
        }
    }

    #[test]
    fn in_a_container_the_mounted_part_is_taken_off() {
        let mounts = "30 23 0:26 /docker/abc /sys/fs/my\\040cgroup rw - cgroup2 cgroup2 rw\n";
        let layout = layout("0::/docker/abc/x\n", mounts).unwrap();
        assert_eq!(layout.roots[0].path, Path::new("/sys/fs/my cgroup/x"));
        assert!(super::layout("0::/../other\n", mounts).is_err());
    }

    #[test]
    fn what_is_not_mounted_is_said() {
        let without = HYBRID_MOUNTS.replace("rw,pids", "rw,rdma");
        let why = layout(HYBRID_GROUPS, &without).unwrap_err();
        assert!(why.contains("pids"), "{why}");
        assert!(layout("", "").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(groups in "(?s).{0,200}", mounts in "(?s).{0,200}") {
            let _ = layout(&groups, &mounts);
        }
    }
}
