//! An archive becomes a folder.
//!
//! Everything is made relative to open folders, name by name, and no link is ever followed: what the archive made cannot
//! lead what comes later out of it. Kernels from 4.19 on have all that it needs. The folder grows under a name of its
//! own (`DEST.new-…`), is checked, synced and then renamed; what a kill leaves behind is found by that name.
//!
//! The owner is the agent; set-user-id, set-group-id and sticky bits are dropped, and times are those of unpacking.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::archive::entries::{Entries, Entry, Kind};
use crate::archive::path::{Inside, Name};
use crate::{Error, Tree};

const MARK: &str = ".new-";
/// How a folder is opened, its name being one name.
pub(crate) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(crate) struct Job<'a> {
    pub(crate) entries: Entries,
    pub(crate) what: String,
    pub(crate) limit: usize,
    pub(crate) cancelled: &'a AtomicBool,
}

pub(crate) fn unpack(job: Job<'_>, dest: &Path) -> Result<Tree, Error> {
    let failed = |error: &io::Error| Error::io(format!("folder {}", dest.display()), error);
    if fs::symlink_metadata(dest).is_ok() {
        return Err(failed(&io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it exists already; remove it first",
        )));
    }
    let growing = make_growing(dest).map_err(|error| failed(&error))?;
    let made = fill(job, &growing).and_then(|()| settle(&growing, dest).map_err(|error| failed(&error)));
    if made.is_err()
        && let Err(left) = fs::remove_dir_all(&growing)
        && left.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(error = %left, folder = %growing.display(), "half an archive cannot be removed");
    }
    made.map(|root| Tree::over(root, dest.to_owned()))
}

/// Removes what was being unpacked in that folder when the process was killed. Nothing may be unpacked there meanwhile.
pub fn remove_leftovers(folder: &Path) -> Result<(), Error> {
    let failed = |error: io::Error| Error::io(format!("folder {}", folder.display()), &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        if is_folder
            && entry.file_name().as_encoded_bytes().windows(MARK.len()).any(|part| part == MARK.as_bytes())
        {
            fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Its name need not be secret, only new.
fn make_growing(dest: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = dest
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path without a name"))?;
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let mut growing = name.to_owned();
    growing.push(format!("{MARK}{}-{time}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let growing = dest.with_file_name(growing);
    rustix::fs::mkdir(&growing, Mode::RWXU)?;
    Ok(growing)
}

/// Onto the disk, all of it at once rather than file by file, and then under its name.
fn settle(growing: &Path, dest: &Path) -> io::Result<OwnedFd> {
    let folder = rustix::fs::open(growing, FOLDER, Mode::empty())?;
    rustix::fs::syncfs(&folder)?;
    let cwd = rustix::fs::CWD;
    match rustix::fs::renameat_with(cwd, growing, cwd, dest, RenameFlags::NOREPLACE) {
        // Not every file system knows it. Nobody else makes that name; at worst an empty folder is replaced.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(growing, dest)?,
        other => other?,
    }
    let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Err(error) = crate::files::sync_folder(parent) {
        // Under its name or not at all.
        fs::rename(dest, growing)?;
        return Err(error);
    }
    Ok(folder)
}

fn fill(mut job: Job<'_>, growing: &Path) -> Result<(), Error> {
    let root =
        rustix::fs::open(growing, FOLDER, Mode::empty()).map_err(|error| Error::errno(&job.what, error))?;
    let mut making =
        Making { root, what: job.what, made: 0, limit: job.limit, last: None, links: Vec::new() };
    while let Some(entry) = job.entries.next()? {
        if job.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Cancelled { what: making.what });
        }
        making.make(entry, &mut job.entries, job.cancelled)?;
    }
    // By its letters each link stays inside; one over another might not.
    let tree = Tree::over(making.root, growing.to_owned());
    making.links.iter().try_for_each(|link| match tree.leads_out(link) {
        true => Err(Error::invalid(
            format!("{link} in {}", making.what),
            "a link that leads out over another link",
        )),
        false => Ok(()),
    })
}

struct Making {
    root: OwnedFd,
    what: String,
    /// Entries and the folders that they imply.
    made: usize,
    limit: usize,
    /// The folder that was used last: archives list folder by folder.
    last: Option<(Vec<Name>, OwnedFd)>,
    links: Vec<Inside>,
}

impl Making {
    fn make(&mut self, entry: Entry, entries: &mut Entries, cancelled: &AtomicBool) -> Result<(), Error> {
        let failed = |what: &str, error: Errno| match error {
            Errno::EXIST | Errno::NOTDIR | Errno::LOOP | Errno::ISDIR => Error::invalid(
                format!("{} in {what}", entry.path),
                "the path is used twice, or leads over something that is no folder",
            ),
            error => Error::errno(format!("{} in {what}", entry.path), error),
        };
        self.count()?;
        let Some((folder, name)) = entry.path.split() else {
            // The root: it is there, and for its owner alone, whatever the archive says.
            return match entry.kind {
                Kind::Folder => Ok(()),
                _ => Err(Error::invalid(&self.what, "its root is no folder")),
            };
        };
        let folder = self.folder(folder).map_err(|error| failed(&self.what, error))??;
        match &entry.kind {
            Kind::Folder => make_folder(&folder, name, entry.mode).map_err(|error| failed(&self.what, error)),
            Kind::File => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)
                    .map_err(|error| failed(&self.what, error))?;
                let mut file = fs::File::from(file);
                entries.copy(&mut file, cancelled)?;
                // Whatever the umask is.
                rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))
                    .map_err(|error| failed(&self.what, error))
            }
            Kind::Symlink(target) => {
                let linked = rustix::fs::symlinkat(target.as_slice(), &folder, name);
                linked.map_err(|error| failed(&self.what, error))?;
                self.links.push(entry.path.clone());
                Ok(())
            }
            Kind::Hardlink(target) => {
                let linked = self.link(target, &folder, name).map_err(|error| failed(&self.what, error))?;
                linked.then_some(()).ok_or_else(|| {
                    let reason =
                        format!("a hard link to {target}, which is no file of the archive before it");
                    Error::invalid(format!("{} in {}", entry.path, self.what), reason)
                })
            }
        }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.made += 1;
        if self.made <= self.limit {
            return Ok(());
        }
        let limit = self.limit as u64;
        Err(Error::TooLarge {
            what: self.what.clone(),
            name: "of an archive's entries",
            limit,
            unit: "entries",
        })
    }

    /// The folder of those names, made where it is not there.
    fn folder(&mut self, names: &[Name]) -> Result<Result<OwnedFd, Error>, Errno> {
        if let Some((last, folder)) = &self.last
            && last == names
        {
            return Ok(Ok(folder
                .try_clone()
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?));
        }
        let mut folder = rustix::fs::openat(&self.root, ".", FOLDER, Mode::empty())?;
        for name in names {
            let next = match rustix::fs::openat(&folder, &**name, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) => {
                    if let Err(error) = self.count() {
                        return Ok(Err(error));
                    }
                    make_folder(&folder, name, 0o755)?;
                    rustix::fs::openat(&folder, &**name, FOLDER, Mode::empty())
                }
                other => other,
            };
            folder = next?;
        }
        let kept = folder.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        self.last = Some((names.to_vec(), kept));
        Ok(Ok(folder))
    }

    /// Says whether there was a file to link to. A link to a link would mean something else in another folder.
    fn link(&self, target: &Inside, folder: &OwnedFd, name: &[u8]) -> Result<bool, Errno> {
        let Some((path, target)) = target.split() else { return Ok(false) };
        let mut from = rustix::fs::openat(&self.root, ".", FOLDER, Mode::empty())?;
        for name in path {
            from = match rustix::fs::openat(&from, &**name, FOLDER, Mode::empty()) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
                other => other?,
            };
        }
        let about = match rustix::fs::statat(&from, target, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            other => other?,
        };
        if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
            return Ok(false);
        }
        rustix::fs::linkat(&from, target, folder, name, AtFlags::empty())?;
        Ok(true)
    }
}

/// It may be there, as a folder; the last entry says its mode. The owner always gets in.
fn make_folder(folder: &OwnedFd, name: &[u8], mode: u32) -> Result<(), Errno> {
    match rustix::fs::mkdirat(folder, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let made = rustix::fs::openat(folder, name, FOLDER, Mode::empty())?;
    rustix::fs::fchmod(made.as_fd(), Mode::from_raw_mode(mode | 0o700))
}
