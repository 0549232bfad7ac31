//! A disk that is full: a file system of its own, in memory, as small as a test wants it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::namespace::skip;

/// What lies there instead of what is to be written.
const FILLER: &str = "filler";
/// Left free: room for an identity, not for what is compiled.
const LEFT: u64 = 32 << 10;

/// The file system, for as long as this lives.
#[derive(Debug)]
pub struct FullDisk {
    folder: PathBuf,
}

impl FullDisk {
    /// Puts it into a folder, which is made. `None`, and a word to the reader of the tests, where this machine does not
    /// let a test do so.
    #[track_caller]
    pub fn at(test: &str, folder: &Path, mebibytes: u64) -> Option<Self> {
        let disk = Self::with_room(test, folder, mebibytes)?;
        disk.fill();
        Some(disk)
    }

    /// The same, which is not full until it is filled.
    #[track_caller]
    pub fn with_room(test: &str, folder: &Path, mebibytes: u64) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let options = format!("size={mebibytes}m,mode=0700");
        let mounted = mount(
            Some("cardcage"),
            folder,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some(options.as_str()),
        );
        if let Err(error) = mounted {
            skip(test, &format!("root to mount: {error}"));
            return None;
        }
        Some(Self { folder: folder.to_owned() })
    }

    /// Leaves next to nothing.
    #[track_caller]
    pub fn fill(&self) {
        let mut filler = File::create(self.folder.join(FILLER)).unwrap();
        let block = [0; 64 << 10];
        let mut length = 0;
        while let Ok(written) = filler.write(&block) {
            length += u64::try_from(written).unwrap();
        }
        filler.set_len(length - LEFT).unwrap();
    }

    /// Somebody makes room.
    #[track_caller]
    pub fn empty(&self) {
        std::fs::remove_file(self.folder.join(FILLER)).unwrap();
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _gone = umount2(&self.folder, MntFlags::MNT_DETACH);
    }
}
