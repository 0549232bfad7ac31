//! Copies of the plugin files that are in use, by content, in the agent's own folder, and which file each was last accepted
//! from:
//!
//! ```text
//! state_dir/accepted/<sha-256>.wasm  a copy: what the operator's file becomes later does not change what runs
//! state_dir/accepted/files           lines of "<sha-256>  <file name>", as sha256sum writes them
//! ```
//! So a plugin that runs survives a restart even where its file has been replaced by one that does not work. All of this
//! can be lost without harm: what lies in the plugin folder is then all there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use tracing::warn;

use crate::model::Digest;

/// Longest record that is read: as many lines as there are plugins, with the longest names.
const RECORD: u64 = 512 << 10;

/// What is to be kept: written by the supervisor, carried out by the watcher of the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// By the name of its file, the content that last proved itself.
    pub(super) accepted: BTreeMap<String, Digest>,
    /// What runs, or may run soon.
    pub(super) used: BTreeSet<Digest>,
}

/// The folder of copies.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    recorded: BTreeMap<String, Digest>,
}

impl Kept {
    /// The copies of a state directory, as an earlier agent left them. A record that cannot be read is no record.
    pub(super) fn open(state_dir: &Path) -> Self {
        let folder = state_dir.join("accepted");
        if let Err(error) = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder) {
            warn!(folder = %folder.display(), %error, "no copies of plugins can be kept");
        }
        let recorded = read_record(&folder.join("files"));
        Self { folder, recorded }
    }

    pub(super) const fn accepted(&self) -> &BTreeMap<String, Digest> {
        &self.recorded
    }

    /// Where the copy of this content lies, if it is there.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    /// Makes a copy. Whoever uses it checks that the content is still what its name says.
    pub(super) fn put(&self, digest: &Digest, bytes: &[u8]) -> std::io::Result<PathBuf> {
        let path = self.path(digest);
        // A copy that a power failure spoilt may have the right length.
        let is_file =
            path.symlink_metadata().is_ok_and(|there| there.len() == bytes.len() as u64 && there.is_file());
        let whole = is_file && std::fs::read(&path).is_ok_and(|there| there == bytes);
        if !whole {
            self.replace(&path, bytes)?;
        }
        Ok(path)
    }

    /// Writes down what was accepted, and removes the copies that nobody needs. `seen` may be needed soon.
    pub(super) fn follow(&mut self, wanted: &Wanted, seen: &BTreeSet<Digest>) {
        if wanted.accepted != self.recorded {
            match self.record(&wanted.accepted) {
                Ok(()) => self.recorded.clone_from(&wanted.accepted),
                Err(error) => {
                    warn!(folder = %self.folder.display(), %error, "accepted plugins are not recorded")
                }
            }
        }
        let needed: BTreeSet<String> = (wanted.used.iter().chain(seen).chain(self.recorded.values()))
            .map(|digest| format!("{digest}.wasm"))
            .collect();
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_copy = name.strip_suffix(".wasm").is_some_and(|digest| Digest::parse(digest).is_some());
            if is_copy && !needed.contains(&name) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn record(&self, accepted: &BTreeMap<String, Digest>) -> std::io::Result<()> {
        // What the record speaks of is on the disk before it.
        let there = |digest: &Digest| File::open(self.path(digest)).and_then(|copy| copy.sync_all()).is_ok();
        // A name that is more than a line could say something about other files.
        let there = accepted.iter().filter(|(file, digest)| !file.contains('\n') && there(digest));
        let lines: String = there.map(|(file, digest)| format!("{digest}  {file}\n")).collect();
        self.replace(&self.folder.join("files"), lines.as_bytes())?;
        File::open(&self.folder)?.sync_all()
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let new = self.folder.join(".new");
        let _ = std::fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        if path.extension().is_none() {
            file.sync_all()?;
        }
        std::fs::rename(&new, path)
    }
}

fn read_record(path: &Path) -> BTreeMap<String, Digest> {
    let mut text = String::new();
    let file = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path);
    match file.and_then(|file| file.take(RECORD).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => warn!(path = %path.display(), %error, "record of accepted plugins cannot be read"),
    }
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<(String, Digest)> {
    let (digest, file) = line.split_once("  ")?;
    Some((file.to_owned(), Digest::parse(digest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accepted: &[(&str, Digest)]) -> Wanted {
        let accepted = accepted.iter().map(|(file, digest)| ((*file).to_owned(), *digest)).collect();
        Wanted { accepted, ..Wanted::default() }
    }

    #[test]
    fn what_was_accepted_is_there_after_a_restart_and_the_rest_is_not() {
        let state = tempfile::tempdir().unwrap();
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let mut kept = Kept::open(state.path());
        kept.put(&old, b"old").unwrap();
        kept.put(&new, b"new").unwrap();
        kept.follow(&wanted(&[("a file.wasm", old)]), &BTreeSet::from([new]));
        assert!(kept.path(&new).exists());
        kept.follow(&wanted(&[("a file.wasm", old)]), &BTreeSet::new());
        let again = Kept::open(state.path());
        assert_eq!(again.accepted(), &wanted(&[("a file.wasm", old)]).accepted);
        assert_eq!(std::fs::read(again.path(&old)).unwrap(), b"old");
        assert!(!again.path(&new).exists());
    }

    #[test]
    fn a_copy_that_was_spoilt_is_made_anew() {
        let state = tempfile::tempdir().unwrap();
        let (kept, digest) = (Kept::open(state.path()), Digest::of(b"content"));
        let path = kept.put(&digest, b"content").unwrap();
        std::fs::write(&path, [0; 7]).unwrap();
        kept.put(&digest, b"content").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
    }

    #[test]
    fn the_name_of_a_file_says_nothing_about_others() {
        let state = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"content");
        let mut kept = Kept::open(state.path());
        kept.put(&digest, b"content").unwrap();
        let forged = format!("a\n{digest}  victim.wasm");
        kept.follow(&wanted(&[(&forged, digest)]), &BTreeSet::new());
        assert!(Kept::open(state.path()).accepted().is_empty());
    }

    #[test]
    fn a_record_that_is_damaged_is_no_record() {
        let state = tempfile::tempdir().unwrap();
        drop(Kept::open(state.path()));
        for damaged in ["", "zz  a", &"0".repeat(64), "\n\n  \n"] {
            std::fs::write(state.path().join("accepted/files"), damaged).unwrap();
            assert!(Kept::open(state.path()).accepted().is_empty(), "{damaged}");
        }
    }
}
