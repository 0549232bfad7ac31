//! The root of a lab board: an archive that the kernel unpacks at its start (cpio, format newc).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Component, Path};

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
/// One time for all, so that nothing in there is older than what it was made from.
const MADE: u32 = 1_700_000_000;

/// What was put in so far.
#[derive(Debug, Default)]
pub(crate) struct Initramfs {
    archive: Vec<u8>,
    folders: BTreeSet<String>,
    entries: u32,
}

impl Initramfs {
    /// A file and the folders above it. The path begins at the root.
    #[track_caller]
    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder);
        }
        self.entry(path, FILE | mode, bytes);
    }

    /// A folder and those above it.
    #[track_caller]
    pub(crate) fn folder(&mut self, path: &str) {
        let mut above = String::new();
        for part in Path::new(path).components() {
            let Component::Normal(part) = part else { continue };
            write!(above, "/{}", part.to_str().unwrap()).unwrap();
            if self.folders.insert(above.clone()) {
                self.entry(&above.clone(), FOLDER | 0o755, b"");
            }
        }
    }

    /// The archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("/TRAILER!!!", 0, b"");
        self.archive
    }

    fn entry(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        self.entries += 1;
        let name = path.trim_start_matches('/');
        let size = u32::try_from(bytes.len()).unwrap();
        let length = u32::try_from(name.len()).unwrap() + 1;
        let mut header = String::from("070701");
        // Number, mode, owner, group, links, time, size, four of devices, length of the name, checksum.
        for field in [self.entries, mode, 0, 0, 1, MADE, size, 0, 0, 0, 0, length, 0] {
            write!(header, "{field:08x}").unwrap();
        }
        self.archive.extend(header.as_bytes());
        self.archive.extend(name.as_bytes());
        self.archive.push(0);
        self.pad();
        self.archive.extend(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.archive.resize(self.archive.len().next_multiple_of(4), 0);
    }
}
