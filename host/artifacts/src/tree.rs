//! An unpacked archive. A process may have it by now and change it meanwhile, so it is read as carefully as it was made:
//! relative to open folders, name by name, links followed here and not by the kernel, `..` by going back to the folder
//! that one came from.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::Error;
use crate::archive::path::names_of;
use crate::unpack::FOLDER;

/// Links on one way, as the kernel has it.
const LINKS: usize = 40;
/// Names on one way, with those of the links.
const NAMES: usize = 4096;
/// Folders below one another; more were never unpacked.
const DEPTH: usize = 128;

/// A folder, by its descriptor: it stays that one when its name is taken by another.
pub struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

/// Why a way leads nowhere.
enum Lost {
    Out,
    Errno(Errno),
}

impl From<Errno> for Lost {
    fn from(error: Errno) -> Self {
        Self::Errno(error)
    }
}

impl Tree {
    /// A folder that was unpacked before, by this process or an earlier one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let root = rustix::fs::open(path, FOLDER, Mode::empty());
        let root = root.map_err(|error| Error::errno(format!("folder {}", path.display()), error))?;
        Ok(Self::over(root, path.to_owned()))
    }

    pub(crate) fn over(root: OwnedFd, path: PathBuf) -> Self {
        Self { root, path }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One file of it, of at most `limit` bytes. Links are followed, but never out of it.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let what = format!("{} in {}", crate::archive::path::shown(path.as_bytes()), self.path.display());
        if path.starts_with('/') || path.contains('\0') {
            return Err(Error::invalid(what, "paths are relative to the folder, without NUL"));
        }
        let file = match self.find(path.as_bytes()) {
            Ok(file) => file,
            Err(Lost::Out) => return Err(Error::invalid(what, "it leads out of the folder")),
            Err(Lost::Errno(Errno::NOENT | Errno::NOTDIR)) => {
                return Err(Error::Absent { what, reason: "the folder has no such file".to_owned() });
            }
            Err(Lost::Errno(Errno::LOOP | Errno::NAMETOOLONG)) => {
                return Err(Error::invalid(what, "links in a circle, or a path that is too long"));
            }
            Err(Lost::Errno(error)) => return Err(Error::errno(what, error)),
        };
        let file = File::from(file);
        let about = file.metadata().map_err(|error| Error::io(&what, &error))?;
        if !about.is_file() {
            return Err(Error::Absent { what, reason: "it is no file".to_owned() });
        }
        let mut content = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut content)
            .map_err(|error| Error::io(&what, &error))?;
        if content.len() as u64 > limit {
            return Err(Error::TooLarge { what, name: "of a file that is read", limit, unit: "bytes" });
        }
        Ok(content)
    }

    /// Gives all of it to a user and a group. Links are given themselves, not what they lead to.
    pub fn chown(&self, uid: u32, gid: u32) -> Result<(), Error> {
        let owner = (Uid::from_raw(uid), Gid::from_raw(gid));
        let root = rustix::fs::openat(&self.root, ".", FOLDER, Mode::empty());
        let given = root.and_then(|root| chown_below(&root, owner, 0));
        given.map_err(|error| Error::errno(format!("change the owner of {}", self.path.display()), error))
    }

    /// Removes all of it.
    pub fn remove(self) -> Result<(), Error> {
        let removed = std::fs::remove_dir_all(&self.path);
        removed.map_err(|error| Error::io(format!("folder {}", self.path.display()), &error))
    }

    /// Whether whoever follows that link would leave the folder. One that leads nowhere, or in a circle, does not.
    pub(crate) fn leads_out(&self, path: &crate::archive::path::Inside) -> bool {
        let path = path.names().join(&b'/');
        matches!(self.find(&path), Err(Lost::Out))
    }

    /// The file at the end of that way.
    fn find(&self, path: &[u8]) -> Result<OwnedFd, Lost> {
        let mut way: VecDeque<Vec<u8>> = names_of(path).map(<[u8]>::to_vec).collect();
        let mut folders: Vec<OwnedFd> = Vec::new();
        let (mut links, mut steps) = (0, 0);
        while let Some(name) = way.pop_front() {
            steps += 1;
            if steps > NAMES || folders.len() > DEPTH {
                return Err(Errno::NAMETOOLONG.into());
            }
            if name == b".." {
                folders.pop().ok_or(Lost::Out)?;
                continue;
            }
            let here = folders.last().unwrap_or(&self.root);
            let about = rustix::fs::statat(here, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(about.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    let target = rustix::fs::readlinkat(here, &*name, Vec::new())?.into_bytes();
                    if links > LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    if target.starts_with(b"/") {
                        return Err(Lost::Out);
                    }
                    names_of(&target).map(<[u8]>::to_vec).rev().for_each(|name| way.push_front(name));
                }
                FileType::Directory => {
                    let next = rustix::fs::openat(here, &*name, FOLDER, Mode::empty())?;
                    folders.push(next);
                }
                _ if !way.is_empty() => return Err(Errno::NOTDIR.into()),
                // It may have become a pipe since, which must not block.
                _ => {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                    return Ok(rustix::fs::openat(here, &*name, flags, Mode::empty())?);
                }
            }
        }
        // A folder, or the root itself.
        match folders.pop() {
            Some(folder) => Ok(folder),
            None => Ok(rustix::fs::openat(&self.root, ".", FOLDER, Mode::empty())?),
        }
    }
}

fn chown_below(folder: &OwnedFd, owner: (Uid, Gid), depth: usize) -> Result<(), Errno> {
    if depth > DEPTH {
        return Err(Errno::NAMETOOLONG);
    }
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::openat(folder, name, FOLDER, Mode::empty()) {
            Ok(below) => chown_below(&below, owner, depth + 1)?,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                rustix::fs::chownat(folder, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Err(error) => return Err(error),
        }
    }
    // Last: until then the agent is sure to get in.
    rustix::fs::fchown(folder, Some(owner.0), Some(owner.1))
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tree").field(&self.path).finish()
    }
}
