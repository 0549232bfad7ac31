//! The lock that says whether a supervisor lives.
//!
//! It belongs to an open file, not to a process: it is handed on by handing on the file, and the kernel releases it when
//! the last holder is gone, however it went. A look at it (`held`) takes it shared and gives it back, so that two who look
//! do not mistake each other for a supervisor; who is about to start one may, for a moment, and tries again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::Error;
use crate::place::Place;

/// Held while it lives.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes it, unless somebody has it, or the folder is gone.
    pub fn take(place: &Place) -> Result<Option<Self>, Error> {
        let Some(file) = open(place)? else { return Ok(None) };
        Ok((locked(place, &file, FlockOperation::NonBlockingLockExclusive)? && is_ours(place, &file))
            .then_some(Self(file)))
    }

    /// Whether somebody holds it.
    pub fn held(place: &Place) -> Result<bool, Error> {
        let Some(file) = open(place)? else { return Ok(false) };
        Ok(!locked(place, &file, FlockOperation::NonBlockingLockShared)?)
    }

    /// The lock that was handed to this process, if that is what it was handed.
    pub fn inherited(place: &Place, fd: OwnedFd) -> Result<Option<Self>, Error> {
        let file = File::from(fd);
        Ok((is_ours(place, &file) && locked(place, &file, FlockOperation::NonBlockingLockExclusive)?)
            .then_some(Self(file)))
    }

    pub fn into_file(self) -> File {
        self.0
    }
}

fn open(place: &Place) -> Result<Option<File>, Error> {
    let path = place.lock();
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&path);
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("open", &path, error)),
    }
}

fn locked(place: &Place, file: &File, how: FlockOperation) -> Result<bool, Error> {
    match flock(file, how) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(Error::io("lock", &place.lock(), error)),
    }
}

// The folder may have been removed, or made anew, since the file was opened.
fn is_ours(place: &Place, file: &File) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(place.lock())) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::key;

    #[test]
    fn one_holds_it_and_it_goes_with_the_file() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(root.path(), &key("a"));
        assert!(!Lock::held(&place).unwrap(), "there is no folder");
        std::fs::create_dir(&place.dir).unwrap();
        let lock = Lock::take(&place).unwrap().unwrap();
        assert!(Lock::held(&place).unwrap());
        assert!(Lock::take(&place).unwrap().is_none());
        let handed_on = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(Lock::held(&place).unwrap(), "it was handed on");
        let lock = Lock::inherited(&place, handed_on.into()).unwrap().unwrap();
        drop(lock);
        assert!(!Lock::held(&place).unwrap());
    }

    #[test]
    fn another_file_is_not_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(root.path(), &key("a"));
        std::fs::create_dir(&place.dir).unwrap();
        drop(Lock::take(&place).unwrap());
        let other = File::open("/dev/null").unwrap();
        assert!(Lock::inherited(&place, other.into()).unwrap().is_none());
    }
}
