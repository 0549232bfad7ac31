//! What of a transfer is here: the bytes, their running hash, and how the repository named the content they belong to.
//!
//! After a kill it goes on from there; after a crash of the machine only where the digest is known beforehand, since the
//! end of a file that was never synced may be anything. Few are kept, and not for long.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Digest;
use crate::files::{read_bounded, remove, write_atomically};

/// Partials that are kept.
const COUNT: usize = 8;
const AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Of the description, in bytes.
const LIMIT: u64 = 16 << 10;

pub(super) struct Partial {
    data: PathBuf,
    about: PathBuf,
    file: File,
    hasher: Sha256,
    pub(super) received: u64,
    /// Something of it was there before the request that is under way.
    pub(super) resumed: bool,
    validator: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct About {
    /// The start of the machine that wrote it.
    boot: String,
    /// A strong ETag, or a date: what `If-Range` takes.
    validator: Option<String>,
}

impl Partial {
    /// Opens or makes it. With a digest that is known beforehand, what is there may be trusted to be checked in the end.
    pub(super) fn open(folder: &Path, key: Digest, known: bool) -> io::Result<Self> {
        let data = folder.join(format!("{key}.data"));
        let about = folder.join(format!("{key}.json"));
        let described =
            read_bounded(&about, LIMIT)?.and_then(|bytes| serde_json::from_slice::<About>(&bytes).ok());
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&data)?;
        let mut partial =
            Self { data, about, file, hasher: Sha256::new(), received: 0, resumed: false, validator: None };
        match described {
            Some(about)
                if known || (about.validator.is_some() && boot().is_some_and(|boot| boot == about.boot)) =>
            {
                partial.validator = about.validator;
                partial.rehash()?;
            }
            _ => partial.restart()?,
        }
        Ok(partial)
    }

    fn rehash(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; 64 << 10];
        loop {
            let read = self.file.read(&mut chunk)?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            self.hasher.update(bytes);
            self.received += read as u64;
        }
        Ok(())
    }

    /// Nothing is here.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        remove(&self.about)?;
        self.file.set_len(0)?;
        io::Seek::rewind(&mut self.file)?;
        self.hasher = Sha256::new();
        self.received = 0;
        self.resumed = false;
        self.validator = None;
        Ok(())
    }

    /// How the repository names the content that comes now. Before its first byte, so that no byte is without a name.
    pub(super) fn describe(&mut self, validator: Option<String>) -> io::Result<()> {
        let about = About { boot: boot().unwrap_or_default(), validator };
        let bytes = serde_json::to_vec(&about).map_err(io::Error::other)?;
        self.validator = about.validator;
        write_atomically(&self.about, &bytes)
    }

    pub(super) fn validator(&self) -> Option<&str> {
        self.validator.as_deref()
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.received += bytes.len() as u64;
        Ok(())
    }

    /// Complete: the bytes are on the disk. The file keeps its name until the catalog takes it.
    pub(super) fn finish(&self) -> io::Result<(&Path, Digest)> {
        self.file.sync_all()?;
        Ok((&self.data, Digest::finish(self.hasher.clone())))
    }

    pub(super) fn discard(self) -> io::Result<()> {
        remove(&self.data)?;
        remove(&self.about)
    }
}

/// Changes with each start of the machine.
fn boot() -> Option<String> {
    let bytes = read_bounded(Path::new("/proc/sys/kernel/random/boot_id"), 64).ok()??;
    String::from_utf8(bytes).ok().filter(|boot| !boot.trim().is_empty())
}

/// Removes the oldest beyond the bounds, and whatever else lies there; never what is busy.
pub(super) fn tidy(folder: &Path, busy: &[Digest], quota: u64) -> io::Result<()> {
    let mut idle = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let key =
            path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<Digest>().ok());
        if key.is_some_and(|key| busy.contains(&key)) {
            continue;
        }
        let data = path.with_extension("data");
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("data") if key.is_some() => {
                let about = fs::metadata(&path)?;
                idle.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len(), path));
            }
            Some("json") if key.is_some() && data.exists() => {}
            _ => remove(&path)?,
        }
    }
    idle.sort();
    let mut bytes = 0u64;
    for (at, (used, size, path)) in idle.iter().rev().enumerate() {
        bytes = bytes.saturating_add(*size);
        let old = used.elapsed().is_ok_and(|age| age > AGE);
        if at >= COUNT || old || bytes > quota || *size == 0 {
            remove(path)?;
            remove(&path.with_extension("json"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;

    use super::*;

    fn key(number: u8) -> Digest {
        Digest::of(&[number])
    }

    fn partial(folder: &Path, number: u8) -> Partial {
        let mut partial = Partial::open(folder, key(number), false).unwrap();
        partial.describe(Some("\"v1\"".to_owned())).unwrap();
        partial.write(b"half").unwrap();
        partial
    }

    #[test]
    fn what_was_written_is_found_with_its_hash_and_its_name() {
        let folder = tempfile::tempdir().unwrap();
        drop(partial(folder.path(), 1));
        let mut again = Partial::open(folder.path(), key(1), false).unwrap();
        assert_eq!((again.received, again.validator()), (4, Some("\"v1\"")));
        again.write(b" and half").unwrap();
        assert_eq!(again.finish().unwrap().1, Digest::of(b"half and half"));
    }

    #[test]
    fn after_a_crash_only_what_will_be_checked_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        drop(partial(folder.path(), 1));
        let about = folder.path().join(format!("{}.json", key(1)));
        fs::write(&about, r#"{"boot":"another","validator":"\"v1\""}"#).unwrap();
        assert_eq!(Partial::open(folder.path(), key(1), true).unwrap().received, 4);
        assert_eq!(Partial::open(folder.path(), key(1), false).unwrap().received, 0);
        assert!(!about.exists());
    }

    #[test]
    fn few_are_kept_the_newest_and_never_the_busy_ones_away() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..12 {
            let partial = partial(folder.path(), number);
            let time = SystemTime::now() - Duration::from_secs(u64::from(100 - number));
            partial.file.set_times(FileTimes::new().set_modified(time)).unwrap();
        }
        fs::write(folder.path().join("stray.tmp"), "x").unwrap();
        tidy(folder.path(), &[key(0)], 1 << 20).unwrap();
        let there: Vec<u8> =
            (0..12).filter(|number| folder.path().join(format!("{}.data", key(*number))).exists()).collect();
        assert_eq!(there, [0, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2 * there.len());
        tidy(folder.path(), &[], 9).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }
}
