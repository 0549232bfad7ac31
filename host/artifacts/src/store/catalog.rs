//! What is kept, how long nobody used it, and who holds it.
//!
//! The time of last use is the file's modification time, so it survives the process without a list of its own. Nothing
//! that is held is ever removed; over the quota, the longest unused goes first, and no more than must.

use std::collections::HashMap;
use std::fs::{self, File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::Digest;
use crate::files::{remove, sync_folder};

pub(super) struct Catalog {
    folder: PathBuf,
    quota: u64,
    kept: HashMap<Digest, Kept>,
}

struct Kept {
    size: u64,
    used: SystemTime,
    holders: usize,
}

impl Catalog {
    /// Of what lies in the folder. Whatever has no digest for a name is not the cache's, and goes.
    pub(super) fn load(folder: PathBuf, quota: u64) -> io::Result<Self> {
        let mut kept = HashMap::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let about = entry.metadata()?;
            let digest = entry.file_name().to_str().and_then(|name| name.parse().ok());
            match digest {
                Some(digest) if about.is_file() => {
                    let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    kept.insert(digest, Kept { size: about.len(), used, holders: 0 });
                }
                _ if about.is_dir() => {}
                _ => remove(&entry.path())?,
            }
        }
        let mut catalog = Self { folder, quota, kept };
        catalog.keep_quota();
        Ok(catalog)
    }

    pub(super) fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// Counts one more who holds it, and says its size; nothing if it is not there. A file that was removed or cut behind
    /// the cache's back is not there.
    pub(super) fn hold(&mut self, digest: Digest) -> Option<u64> {
        let path = self.path(digest);
        let kept = self.kept.get_mut(&digest)?;
        if fs::metadata(&path).map(|about| about.len()).ok() != Some(kept.size) {
            if kept.holders == 0 {
                self.kept.remove(&digest);
            }
            return None;
        }
        kept.holders += 1;
        kept.used = SystemTime::now();
        touch(&path, kept.used);
        Some(kept.size)
    }

    pub(super) fn release(&mut self, digest: Digest) {
        if let Some(kept) = self.kept.get_mut(&digest) {
            kept.holders = kept.holders.saturating_sub(1);
        }
        self.keep_quota();
    }

    /// Takes in a file that is complete and synced, held by one. Others may have brought the same content meanwhile.
    pub(super) fn take(&mut self, file: &Path, digest: Digest, size: u64) -> io::Result<()> {
        fs::rename(file, self.path(digest))?;
        sync_folder(&self.folder)?;
        let holders = self.kept.get(&digest).map_or(0, |kept| kept.holders) + 1;
        let used = SystemTime::now();
        touch(&self.path(digest), used);
        self.kept.insert(digest, Kept { size, used, holders });
        self.keep_quota();
        Ok(())
    }

    pub(super) fn has(&self, digest: Digest) -> bool {
        self.kept.contains_key(&digest)
    }

    /// Before a transfer: makes room on the file system, as far as that can be had from here.
    pub(super) fn make_room(&mut self, bytes: u64) -> io::Result<bool> {
        loop {
            let about = rustix::fs::statvfs(&self.folder)?;
            if about.f_bavail.saturating_mul(about.f_frsize) >= bytes {
                return Ok(true);
            }
            if !self.drop_oldest() {
                return Ok(false);
            }
        }
    }

    fn keep_quota(&mut self) {
        while self.kept.values().map(|kept| kept.size).fold(0, u64::saturating_add) > self.quota
            && self.drop_oldest()
        {}
    }

    /// Says whether there was one that nobody holds.
    fn drop_oldest(&mut self) -> bool {
        let free = self.kept.iter().filter(|(_, kept)| kept.holders == 0);
        let Some((&digest, _)) = free.min_by_key(|(digest, kept)| (kept.used, **digest)) else {
            return false;
        };
        if let Err(error) = remove(&self.path(digest)) {
            // It is forgotten all the same: the next start finds it again, and trying for ever would end nowhere.
            tracing::warn!(%error, %digest, "artifact cannot be removed from the cache");
        }
        self.kept.remove(&digest);
        true
    }
}

/// Of no consequence when it fails: the order of removal is then that of arrival.
fn touch(path: &Path, used: SystemTime) {
    File::open(path).and_then(|file| file.set_times(FileTimes::new().set_modified(used))).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        folder: tempfile::TempDir,
        catalog: Catalog,
    }

    impl Bench {
        fn new(quota: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("sha256")).unwrap();
            let catalog = Catalog::load(folder.path().join("sha256"), quota).unwrap();
            Self { folder, catalog }
        }

        fn take(&mut self, content: &[u8]) -> Digest {
            let file = self.folder.path().join("new");
            fs::write(&file, content).unwrap();
            let digest = Digest::of(content);
            self.catalog.take(&file, digest, content.len() as u64).unwrap();
            digest
        }

        fn there(&self, digest: Digest) -> bool {
            assert_eq!(self.catalog.has(digest), self.catalog.path(digest).exists());
            self.catalog.has(digest)
        }
    }

    #[test]
    fn the_longest_unused_goes_first_and_no_more_than_must() {
        let mut bench = Bench::new(30);
        let [a, b, c] = [b"aaaaaaaaaa", b"bbbbbbbbbb", b"cccccccccc"].map(|content| {
            let digest = bench.take(content);
            bench.catalog.release(digest);
            digest
        });
        bench.catalog.hold(a).unwrap();
        bench.catalog.release(a);
        let d = bench.take(b"dddd");
        bench.catalog.release(d);
        assert_eq!([a, b, c, d].map(|digest| bench.there(digest)), [true, false, true, true]);
    }

    #[test]
    fn what_is_held_stays_and_one_larger_than_the_quota_lives_as_long_as_its_holder() {
        let mut bench = Bench::new(5);
        let large = bench.take(b"more than five");
        let other = bench.take(b"as large as that");
        assert!(bench.there(large) && bench.there(other));
        bench.catalog.hold(large).unwrap();
        bench.catalog.release(large);
        assert!(bench.there(large));
        bench.catalog.release(large);
        assert!(!bench.there(large) && bench.there(other));
        bench.catalog.release(other);
        assert!(!bench.there(other));
    }

    #[test]
    fn a_new_process_finds_what_was_kept_and_the_order_and_removes_strangers() {
        let mut bench = Bench::new(100);
        let old = bench.take(b"old");
        let new = bench.take(b"new");
        bench.catalog.hold(old).unwrap();
        let folder = bench.folder.path().join("sha256");
        fs::write(folder.join("stray"), "x").unwrap();
        let mut again = Catalog::load(folder.clone(), 100).unwrap();
        assert!(!folder.join("stray").exists());
        assert!(again.has(old) && again.has(new));
        assert!(again.drop_oldest());
        assert!(again.has(old) && !again.has(new));
    }

    #[test]
    fn a_file_that_was_cut_behind_its_back_is_not_there() {
        let mut bench = Bench::new(100);
        let digest = bench.take(b"content");
        bench.catalog.release(digest);
        fs::write(bench.catalog.path(digest), "con").unwrap();
        assert_eq!(bench.catalog.hold(digest), None);
    }
}
