//! The records on stable storage: one file a uuid, so that damage to one is damage to one, and writing one waits for no
//! other.
//!
//! A file is written whole or not at all: into another one that is synced, then renamed, then the folder is synced. Its
//! first line is the SHA-256 of the rest. One that does not add up is set aside, never a reason not to start; what ran
//! for it is found again, because everything that is made carries its record (`keeper`).

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tracing::{error, warn};

use super::record::Record;
use crate::error::chain;
use crate::model::Digest;

/// Longest record. Its parts are bounded, so a longer file is not one.
const LIMIT: u64 = 1 << 20;
/// Most records that are read at the start.
const RECORDS: usize = 65_536;

/// A record that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the record {path} cannot be written; the disk may be full")]
pub struct NotWritten {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Why a record is not had. What the disk does not give now is not damaged.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(String),
}

/// The folder of the records.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
}

impl Ledger {
    /// Opens the folder, and makes it at the first start.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let folder = state_dir.join("deployments");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }

    /// Every record. Damaged ones are set aside and named in the log; how many comes back too.
    pub fn load(&self) -> io::Result<(Vec<Record>, usize)> {
        let (mut records, mut damaged) = (Vec::new(), 0);
        for entry in fs::read_dir(&self.folder)?.take(RECORDS) {
            let path = entry?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("record") => {}
                // Of a write that was cut short; what it was to replace is still there.
                Some("new") => {
                    // One that cannot be removed is in nobody's way but the next write's, which says so.
                    let _kept = fs::remove_file(&path).is_err();
                    continue;
                }
                _ => continue,
            }
            match self.read(&path) {
                Ok(record) => records.push(record),
                Err(Unread::Io(error)) => {
                    damaged += 1;
                    error!(record = %path.display(), %error, "a deployment's record cannot be read; it is left where it is");
                }
                Err(Unread::Damaged(reason)) => {
                    damaged += 1;
                    let aside = path.with_extension("damaged");
                    error!(record = %path.display(), kept = %aside.display(), reason, "a deployment's record is damaged and is set aside");
                    if let Err(error) = fs::rename(&path, &aside) {
                        warn!(record = %path.display(), %error, "it cannot be set aside");
                    }
                }
            }
        }
        records.sort_by(|a, b| a.order.uuid.cmp(&b.order.uuid));
        Ok((records, damaged))
    }

    fn read(&self, path: &Path) -> Result<Record, Unread> {
        let damaged = |reason: &str| Unread::Damaged(reason.to_owned());
        let mut bytes = Vec::new();
        File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| damaged("it is no text"))?;
        let (sum, record) = text.split_once('\n').ok_or_else(|| damaged("it has no second line"))?;
        if sum != Digest::of(record.as_bytes()).to_string() {
            return Err(damaged("its content is not what was written"));
        }
        let record: Record =
            serde_json::from_str(record).map_err(|error| Unread::Damaged(error.to_string()))?;
        match self.path(&record.order.uuid) == path {
            true => Ok(record),
            false => Err(damaged("it is of another uuid than its name says")),
        }
    }

    /// Writes one down; on stable storage when it comes back.
    pub fn write(&self, record: &Record) -> Result<(), NotWritten> {
        let path = self.path(&record.order.uuid);
        self.replace(&path, record).map_err(|source| NotWritten { path, source })
    }

    fn replace(&self, path: &Path, record: &Record) -> io::Result<()> {
        let text = serde_json::to_string(record)?;
        let new = path.with_extension("new");
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(format!("{}\n{text}", Digest::of(text.as_bytes())).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        self.sync()
    }

    /// Makes sure that a write that failed left what was there before: it may have come as far as the rename.
    pub fn undo(&self, uuid: &str, before: Option<&Record>) -> Result<(), String> {
        let path = self.path(uuid);
        let there =
            if path.exists() { Some(self.read(&path).map_err(|unread| unread.to_string())?) } else { None };
        match before {
            before if there.as_ref() == before => Ok(()),
            Some(before) => self.write(before).map_err(|error| chain(&error)),
            None => self.remove(uuid).map_err(|error| error.to_string()),
        }
    }

    /// Forgets one.
    pub fn remove(&self, uuid: &str) -> io::Result<()> {
        match fs::remove_file(self.path(uuid)) {
            Ok(()) => self.sync(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// A uuid is any text, so a file is named by its digest.
    pub(super) fn path(&self, uuid: &str) -> PathBuf {
        let digest = Digest::of(uuid.as_bytes()).to_string();
        self.folder.join(digest.get(..32).unwrap_or(&digest)).with_extension("record")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::order::Allocation;
    use crate::deploy::record::Phase;
    use crate::deploy::testing::order;

    fn record(uuid: &str) -> Record {
        Record::new(order(uuid), Allocation::default(), Phase::Running)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let written = ["../../etc/passwd", "a", "节点"].map(record);
        for record in &written {
            ledger.write(record).unwrap();
        }
        assert_eq!(ledger.load().unwrap(), (written.to_vec(), 0));
        ledger.remove("a").unwrap();
        ledger.remove("a").unwrap();
        assert_eq!(ledger.load().unwrap().0.len(), 2);
    }

    #[test]
    fn a_damaged_record_is_set_aside_and_the_others_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        for uuid in ["a", "b", "c", "d", "e"] {
            ledger.write(&record(uuid)).unwrap();
        }
        let text = fs::read_to_string(ledger.path("a")).unwrap();
        fs::write(ledger.path("a"), text.replace("running", "stopped")).unwrap();
        fs::write(ledger.path("b"), b"").unwrap();
        fs::write(ledger.path("c"), [0xff; 4096]).unwrap();
        // Another's record under this name.
        fs::copy(ledger.path("e"), ledger.path("d")).unwrap();
        fs::write(ledger.path("e").with_extension("new"), b"cut sh").unwrap();
        let (records, damaged) = ledger.load().unwrap();
        assert_eq!((records, damaged), (vec![record("e")], 4));
        let (records, damaged) = ledger.load().unwrap();
        assert_eq!((records.len(), damaged), (1, 0));
        assert!(ledger.path("a").with_extension("damaged").exists());
    }
}
