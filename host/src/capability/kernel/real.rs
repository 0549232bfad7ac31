//! Reads the facts, below whatever roots the agent was given. Everything here blocks: it runs on the plugin's readers.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc::O_NONBLOCK;

use super::parse::{self, Interface, Meminfo, Mount, Stat};
use crate::capability::Roots;
use crate::capability::roots::RecordedSpace;
use crate::config::Space;

/// Longest file of `/proc` that is read: a mount table of ten thousand lines.
const LIMIT: u64 = 4 << 20;

/// Most files of `/proc` are shorter, so that one read takes them, and one more finds their end.
const ORDINARY: usize = 8 << 10;

/// A file's text; `None` if it is not there, not readable, too long, or not UTF-8.
pub fn text(path: &Path) -> Option<String> {
    let mut text = Vec::with_capacity(ORDINARY);
    // Opening a pipe waits for its writer, and a recording is only a folder: anything may lie in it.
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path).ok()?;
    let length = file.take(LIMIT + 1).read_to_end(&mut text).ok()?;
    match u64::try_from(length).ok()? <= LIMIT {
        true => String::from_utf8(text).ok(),
        false => None,
    }
}

pub fn stat(roots: &Roots) -> Option<Stat> {
    parse::stat(&text(&roots.proc.join("stat"))?)
}

pub fn load(roots: &Roots) -> Option<[f64; 3]> {
    parse::load(&text(&roots.proc.join("loadavg"))?)
}

pub fn memory(roots: &Roots) -> Option<Meminfo> {
    Some(parse::meminfo(&text(&roots.proc.join("meminfo"))?))
}

/// What of an interface changes seldom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    pub address: Option<String>,
    pub state: Option<String>,
    pub speed: Option<u64>,
    pub mtu: Option<u32>,
}

pub fn interfaces(roots: &Roots) -> Option<Vec<Interface>> {
    Some(parse::interfaces(&text(&roots.proc.join("net/dev"))?))
}

pub fn link(folder: &Path) -> Link {
    let value = |file: &str| {
        text(&folder.join(file)).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    Link {
        address: value("address").filter(|address| address != "00:00:00:00:00:00"),
        state: value("operstate"),
        // In Mbit/s; -1 where the driver does not know.
        speed: value("speed").and_then(|speed| speed.parse::<u64>().ok()?.checked_mul(1_000_000)),
        mtu: value("mtu").and_then(|mtu| mtu.parse().ok()),
    }
}

/// The mount table, and which kinds of file system have no device. A recording may lack the newer table.
pub fn mounts(roots: &Roots) -> Option<(Vec<Mount>, Option<Vec<String>>)> {
    let table = |name: &str| text(&roots.proc.join(name));
    let mounts = table("self/mountinfo")
        .or_else(|| table("1/mountinfo"))
        .map(|text| parse::mountinfo(&text))
        .or_else(|| table("self/mounts").or_else(|| table("mounts")).map(|text| parse::mounts(&text)))?;
    Some((mounts, table("filesystems").map(|text| parse::pseudo_file_systems(&text))))
}

/// Space at a mount point. May block for ever.
pub fn space(roots: &Roots, mount_point: &Path) -> Option<Space> {
    match &roots.space {
        RecordedSpace::Recorded(recorded) => recorded.get(mount_point.to_str()?).copied(),
        RecordedSpace::Live => {
            let space = rustix::fs::statvfs(mount_point).ok()?;
            let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
            Some(Space {
                total: bytes(space.f_blocks),
                unused: bytes(space.f_bfree),
                available: bytes(space.f_bavail),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_in_a_recording_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("loadavg");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(text(&pipe).as_deref(), Some(""));
    }

    #[test]
    fn what_is_too_long_or_no_text_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("meminfo");
        std::fs::write(&file, [0xff]).unwrap();
        assert_eq!(text(&file), None);
        std::fs::File::create(&file).unwrap().set_len(LIMIT + 1).unwrap();
        assert_eq!(text(&file), None);
        assert_eq!(text(folder.path()), None);
    }
}
