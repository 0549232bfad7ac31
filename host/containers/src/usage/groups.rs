//! Where the files of a process's control groups are.
//!
//! `/proc/PID/cgroup` has a path for each hierarchy, as seen from the root of this process's own groups; where a hierarchy is
//! mounted, and from which of its groups on, is in `/proc/self/mountinfo`. Both are needed: an agent in a container of its own
//! sees a part of the hierarchies only.

use std::path::{Path, PathBuf};

/// The folders of a container's groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Groups {
    /// Version 1: one for each.
    Separate { cpu: PathBuf, memory: PathBuf },
    /// Version 2.
    Unified(PathBuf),
}

/// The groups of the container, out of its process's `cgroup` and the own `mountinfo`. `None` if the process is not the
/// container's, or its groups cannot be seen.
pub(crate) fn groups(id: &str, cgroup: &str, mountinfo: &str) -> Option<Groups> {
    let separate = || {
        let cpu = folder(id, cgroup, mountinfo, "cpuacct")?;
        let memory = folder(id, cgroup, mountinfo, "memory")?;
        Some(Groups::Separate { cpu, memory })
    };
    separate().or_else(|| folder(id, cgroup, mountinfo, "").map(Groups::Unified))
}

/// The container's folder in the hierarchy that has the controller; in that of version 2 for no controller.
fn folder(id: &str, cgroup: &str, mountinfo: &str, controller: &str) -> Option<PathBuf> {
    let path = cgroup.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })?;
    let own = own_group(id, path)?;
    let (root, point) = mountinfo.lines().find_map(|line| mount(line, controller))?;
    let below = Path::new(own).strip_prefix(root).ok()?;
    Some(Path::new(point).join(below))
}

/// The path up to the group that is named after the container: processes in it may have made groups of their own.
fn own_group<'a>(id: &str, path: &'a str) -> Option<&'a str> {
    let at = path.find(id)?;
    let rest = path.get(at..)?;
    let end = rest.find('/').map_or(path.len(), |length| at + length);
    path.get(..end)
}

/// Which group of the hierarchy is mounted where.
fn mount<'a>(line: &'a str, controller: &str) -> Option<(&'a str, &'a str)> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    let kind = right.next()?;
    let options = right.nth(1).unwrap_or_default();
    let is_meant = match controller {
        "" => kind == "cgroup2",
        name => kind == "cgroup" && options.split(',').any(|option| option == name),
    };
    let mut left = left.split(' ').skip(3);
    let place = (left.next()?, left.next()?);
    is_meant.then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "d76512f08ffbb02434544bb19a89dd6cacac7785cf2a84a6c41e6f1dfb9b3ac1";
    const V1: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn unified(cgroup: &str, mountinfo: &str) -> Option<PathBuf> {
        match groups(ID, cgroup, mountinfo) {
            Some(Groups::Unified(folder)) => Some(folder),
            _ => None,
        }
    }

    #[test]
    fn separate_hierarchies() {
        let cgroup = format!("4:memory:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}\n0::/\n");
        let cpu = format!("/sys/fs/cgroup/cpu,cpuacct/docker/{ID}").into();
        let memory = format!("/sys/fs/cgroup/memory/docker/{ID}").into();
        assert_eq!(groups(ID, &cgroup, V1), Some(Groups::Separate { cpu, memory }));
    }

    #[test]
    fn one_hierarchy_with_either_driver() {
        let scope = format!("/system.slice/docker-{ID}.scope");
        assert_eq!(unified(&format!("0::{scope}\n"), V2), Some(format!("/sys/fs/cgroup{scope}").into()));
        let folder = format!("/docker/{ID}");
        assert_eq!(unified(&format!("0::{folder}\n"), V2), Some(format!("/sys/fs/cgroup{folder}").into()));
    }

    #[test]
    fn groups_that_the_container_made_are_within_its_own() {
        let scope = format!("/machine.slice/libpod-{ID}.scope");
        let inner = format!("0::{scope}/container/init.scope\n");
        assert_eq!(unified(&inner, V2), Some(format!("/sys/fs/cgroup{scope}").into()));
    }

    #[test]
    fn a_part_of_the_hierarchy_is_mounted() {
        let nested = "31 23 0:28 /outer/agent /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let cgroup = format!("0::/outer/agent/docker/{ID}\n");
        assert_eq!(unified(&cgroup, nested), Some(format!("/sys/fs/cgroup/docker/{ID}").into()));
        let outside = format!("0::/docker/{ID}\n");
        assert_eq!(unified(&outside, nested), None);
    }

    #[test]
    fn another_process_is_not_the_container() {
        assert_eq!(groups(ID, "0::/user.slice\n", V2), None);
        assert_eq!(groups(ID, "", ""), None);
    }
}
