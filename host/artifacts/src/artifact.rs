//! A fetched file, and what can be done with it. It is held in the cache for as long as a handle lives.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::archive::entries::{Entries, Kind};
use crate::archive::path::Inside;
use crate::archive::stream::{self, Packing, TarStream};
use crate::limits::READ_LIMIT;
use crate::store::Inner;
use crate::unpack::{Job, unpack};
use crate::{Digest, Error, Tree};

/// What a file is, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A tar archive.
    Tar,
    /// A tar archive, packed with gzip.
    TarGzip,
    /// A tar archive, packed with zstd.
    TarZstd,
    /// Anything else.
    Other,
}

impl Format {
    /// The word of the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::TarGzip => "tar+gzip",
            Self::TarZstd => "tar+zstd",
            Self::Other => "other",
        }
    }
}

/// Clones hold it too.
#[derive(Clone)]
pub struct Artifact {
    held: Arc<Held>,
}

struct Held {
    hold: Hold,
    path: PathBuf,
    size: u64,
}

/// One that the catalog counts.
pub(crate) struct Hold {
    pub(crate) store: Arc<Inner>,
    pub(crate) digest: Digest,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.store.release(self.digest);
    }
}

impl Artifact {
    pub(crate) fn new(hold: Hold, path: PathBuf, size: u64) -> Self {
        Self { held: Arc::new(Held { hold, path, size }) }
    }

    /// SHA-256 of the content.
    pub fn digest(&self) -> Digest {
        self.held.hold.digest
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.held.size
    }

    /// Where it lies; to be read, never written.
    pub fn path(&self) -> &Path {
        &self.held.path
    }

    fn shown(&self) -> String {
        format!("artifact {}", self.digest())
    }

    /// What it is, by its content.
    pub fn format(&self) -> Result<Format, Error> {
        let packing = self.packing()?;
        let mut start = [0; 512];
        let read = self.stream(packing)?.read_exact(&mut start);
        Ok(match (packing, read.is_ok() && crate::archive::entries::is_header(&start)) {
            (Packing::None, true) => Format::Tar,
            (Packing::Gzip, true) => Format::TarGzip,
            (Packing::Zstd, true) => Format::TarZstd,
            (_, false) => Format::Other,
        })
    }

    /// The plain tar, unpacked on the way. Reading fails after the limit of an unpacked archive.
    pub fn tar_reader(&self) -> Result<TarStream, Error> {
        match self.format()? {
            Format::Other => {
                Err(Error::invalid(self.shown(), "not a tar archive, plain or packed with gzip or zstd"))
            }
            _ => self.stream(self.packing()?),
        }
    }

    /// The first file of that path in the archive. Links are not followed.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        let what = format!("{path} in {}", self.shown());
        let wanted = Inside::parse(path.as_bytes()).map_err(|reason| Error::invalid(what.clone(), reason))?;
        let mut entries = Entries::new(self.tar_reader()?, self.shown(), self.held.hold.store.limits.entries);
        while let Some(entry) = entries.next()? {
            if entry.path != wanted || entry.kind != Kind::File {
                continue;
            }
            if entry.size > READ_LIMIT {
                return Err(Error::TooLarge {
                    what,
                    name: "of a file that is read",
                    limit: READ_LIMIT,
                    unit: "bytes",
                });
            }
            let mut content = Vec::new();
            entries.copy(&mut content, &AtomicBool::new(false))?;
            return Ok(content);
        }
        Err(Error::Absent { what, reason: "the archive has no such file".to_owned() })
    }

    /// Unpacks it into a folder that does not exist, in a folder that does. All or nothing: whatever fails, nothing is
    /// left of it.
    pub fn unpack(&self, dest: &Path, cancelled: &AtomicBool) -> Result<Tree, Error> {
        let limit = self.held.hold.store.limits.entries;
        let entries = Entries::new(self.tar_reader()?, self.shown(), limit);
        unpack(Job { entries, what: self.shown(), limit, cancelled }, dest)
    }

    fn packing(&self) -> Result<Packing, Error> {
        let mut start = Vec::new();
        self.open()?.take(4).read_to_end(&mut start).map_err(|error| self.failed(&error))?;
        Ok(Packing::of(&start))
    }

    fn stream(&self, packing: Packing) -> Result<TarStream, Error> {
        let limit = self.held.hold.store.limits.unpacked;
        Ok(stream::open(self.open()?, packing, limit))
    }

    fn open(&self) -> Result<File, Error> {
        File::open(&self.held.path).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::io(self.shown(), error)
    }
}

impl std::fmt::Debug for Artifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Artifact").field("digest", &self.digest()).field("size", &self.size()).finish()
    }
}
