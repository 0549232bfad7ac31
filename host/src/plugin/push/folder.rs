//! The files of a push: what is written, in which order, and how it is taken back.
//!
//! ```text
//! plugins/.pushed/.new    what is coming in
//! plugins/.pushed/FILE    what FILE held before the last push: on the same file system, so that a rename puts it back
//! state_dir/pushed        lines of "<what was pushed>  <what was there before, or ->  <file name>", each written before
//!                         anything of that push is done
//! ```
//! A crash anywhere between leaves FILE as it was, or as it was pushed, and the record says what a taking back has to find.
//! What an agent accepted lies in `state_dir/accepted` as well, which is where the former content is looked for next.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cardcage_compile::PLUGIN_LIMIT;
use nix::libc::O_NONBLOCK;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{FileName, Held, Piece, PushError, Pushed};
use crate::config::Plugins;
use crate::model::Digest;
use crate::plugin::Admitted;
use crate::plugin::folder::{FILES_LIMIT, names};
use crate::plugin::package::{Package, PackageError, Source, read_from};

/// Longest record that is read: more than a line for each file that the folder may have, with the longest name.
const RECORD: u64 = 512 << 10;

/// The plugin folder, for who pushes.
#[derive(Debug)]
pub(super) struct Folder {
    plugins: Plugins,
    folder: PathBuf,
    aside: PathBuf,
    record: PathBuf,
    accepted: PathBuf,
}

/// One line of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    pushed: Digest,
    before: Option<Digest>,
}

/// A file that is thrown away unless it got its place.
struct Draft<'a>(&'a Path);

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PushError {
    move |source| PushError::Io { action, path: path.to_owned(), source }
}

impl Folder {
    pub(super) fn new(folder: PathBuf, state_dir: &Path, plugins: Plugins) -> Self {
        Self {
            plugins,
            aside: folder.join(".pushed"),
            folder,
            record: state_dir.join("pushed"),
            accepted: state_dir.join("accepted"),
        }
    }

    /// Takes the pieces, and puts them into their place if they are a plugin that may run here.
    pub(super) fn put(
        &self,
        file: &FileName,
        mut pieces: mpsc::Receiver<Piece>,
    ) -> Result<Pushed, PushError> {
        self.make_folders()?;
        let draft = self.aside.join(".new");
        let mut new = create(&draft)?;
        let _draft = Draft(&draft);
        let mut length = 0;
        loop {
            match pieces.blocking_recv() {
                None => return Err(PushError::Broken),
                Some(Piece::End) => break,
                Some(Piece::Bytes(bytes)) => {
                    length += bytes.len() as u64;
                    if length > PLUGIN_LIMIT {
                        return Err(PushError::TooLarge);
                    }
                    new.write_all(&bytes).map_err(io("write", &draft))?;
                }
            }
        }
        new.sync_all().and_then(|()| new.rewind()).map_err(io("write", &draft))?;
        let (name, version, digest) = self.examine(&new, file)?;
        let before = digest_of(&self.folder.join(file.as_str()))?;
        if before != Some(digest) {
            self.place(file, Line { pushed: digest, before }, &draft)?;
        }
        Ok(Pushed { name, version, digest, before })
    }

    /// What the file says, if this agent would run it. Nothing of it has run.
    fn examine(&self, new: &File, file: &FileName) -> Result<(String, String, Digest), PushError> {
        let source = Source::file(self.folder.join(file.as_str()));
        let bytes = read_from(new).map_err(PushError::Package)?;
        let package = Package::of(&bytes, source, &self.plugins.keys()).map_err(PushError::Package)?;
        let admitted = Admitted::new(package, &self.plugins);
        let admitted = admitted.map_err(|refused| PushError::Refused(Box::new(refused)))?;
        let package = admitted.package();
        Ok((package.name.to_string(), package.manifest.version.clone(), package.digest))
    }

    fn place(&self, file: &FileName, line: Line, draft: &Path) -> Result<(), PushError> {
        let path = self.folder.join(file.as_str());
        let there = names(&self.folder).map_err(io("read", &self.folder))?.len();
        if line.before.is_none() && there >= FILES_LIMIT {
            return Err(PushError::Full(there));
        }
        let before = line.before.map(|digest| digest.to_string());
        info!(file = file.as_str(), digest = %line.pushed, before, "a pushed plugin is put into the folder");
        self.note(file, line)?;
        let kept = self.aside.join(file.as_str());
        remove(&kept)?;
        if line.before.is_some() {
            // What a link leads to, since a link would lead elsewhere from there. Where the file system has no hard links, a
            // copy.
            let real = fs::canonicalize(&path).map_err(io("keep", &path))?;
            let linked = fs::hard_link(&real, &kept).or_else(|_| fs::copy(&real, &kept).map(drop));
            linked.and_then(|()| File::open(&kept)?.sync_all()).map_err(io("keep", &kept))?;
            sync(&self.aside)?;
        }
        fs::rename(draft, &path).map_err(io("write", &path))?;
        sync(&self.folder)
    }

    pub(super) fn held(&self, file: &FileName) -> Result<Held, PushError> {
        let now = digest_of(&self.folder.join(file.as_str()))?;
        let pushed = self.lines().get(file.as_str()).map(|line| line.pushed);
        Ok(Held { now, pushed })
    }

    /// Puts back what was there before. Idempotent.
    pub(super) fn take_back(&self, file: &FileName, pushed: Digest) -> Result<Option<Digest>, PushError> {
        let line = self.lines().get(file.as_str()).copied().filter(|line| line.pushed == pushed);
        let Line { before, .. } = line.ok_or(PushError::NotPushed(pushed))?;
        let path = self.folder.join(file.as_str());
        match digest_of(&path)? {
            now if now == before => return Ok(before),
            Some(now) if now == pushed => {}
            _ => return Err(PushError::Changed),
        }
        let shown = before.map(|digest| digest.to_string());
        info!(file = file.as_str(), digest = %pushed, before = shown, "a pushed plugin is taken back");
        match before {
            None => fs::remove_file(&path).map_err(io("remove", &path))?,
            Some(before) => self.restore(file, before, &path)?,
        }
        sync(&self.folder)?;
        Ok(before)
    }

    fn restore(&self, file: &FileName, before: Digest, path: &Path) -> Result<(), PushError> {
        let kept = self.aside.join(file.as_str());
        if digest_of(&kept)? == Some(before) {
            return fs::rename(&kept, path).map_err(io("write", path));
        }
        let accepted = self.accepted.join(format!("{before}.wasm"));
        if digest_of(&accepted)? != Some(before) {
            return Err(PushError::Lost);
        }
        self.make_folders()?;
        let draft = self.aside.join(".new");
        let mut new = create(&draft)?;
        let _draft = Draft(&draft);
        let mut copy = File::open(&accepted).map_err(io("read", &accepted))?;
        std::io::copy(&mut copy, &mut new).and_then(|_| new.sync_all()).map_err(io("write", &draft))?;
        fs::rename(&draft, path).map_err(io("write", path))
    }

    fn make_folders(&self) -> Result<(), PushError> {
        let make = |path: &Path, mode| {
            fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(io("make", path))
        };
        make(&self.folder, 0o755)?;
        make(&self.aside, 0o700)
    }

    /// The record, by file. One that cannot be read is none.
    fn lines(&self) -> BTreeMap<String, Line> {
        let mut text = String::new();
        match File::open(&self.record).and_then(|file| file.take(RECORD).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                warn!(path = %self.record.display(), %error, "the record of pushed plugins cannot be read");
            }
        }
        text.lines().filter_map(line).collect()
    }

    /// Writes down what is about to be done with a file. Files that are gone are forgotten.
    fn note(&self, file: &FileName, line: Line) -> Result<(), PushError> {
        let mut lines = self.lines();
        lines.retain(|other, _| self.folder.join(other).symlink_metadata().is_ok());
        lines.insert(file.as_str().to_owned(), line);
        let text: String = lines.iter().map(|(file, line)| written(file, line)).collect();
        let new = self.record.with_extension("new");
        let save = || {
            let mut file = File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.record)
        };
        save().map_err(io("write", &self.record))?;
        self.record.parent().map_or(Ok(()), sync)
    }
}

fn written(file: &str, line: &Line) -> String {
    let before = line.before.map_or_else(|| "-".to_owned(), |digest| digest.to_string());
    format!("{}  {before}  {file}\n", line.pushed)
}

fn line(text: &str) -> Option<(String, Line)> {
    let (pushed, rest) = text.split_once("  ")?;
    let (before, file) = rest.split_once("  ")?;
    let before = if before == "-" { None } else { Some(Digest::parse(before)?) };
    // Only such names were ever written.
    let file = FileName::parse(file)?;
    Some((file.0, Line { pushed: Digest::parse(pushed)?, before }))
}

/// A new file, whatever was there.
fn create(path: &Path) -> Result<File, PushError> {
    remove(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o644).open(path).map_err(io("write", path))
}

fn remove(path: &Path) -> Result<(), PushError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// What a file holds, if it is there. What is longer than any plugin, or no file at all, is not to be replaced.
fn digest_of(path: &Path) -> Result<Option<Digest>, PushError> {
    // Not blocking: it may be a pipe.
    let file = match OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io("read", path))?,
    };
    if !file.metadata().map_err(io("read", path))?.is_file() {
        return Err(io("replace", path)(ErrorKind::IsADirectory.into()));
    }
    match read_from(&file) {
        Ok(bytes) => Ok(Some(Digest::of(&bytes))),
        Err(PackageError::Read(source)) => Err(io("read", path)(source)),
        Err(_) => Err(io("replace", path)(ErrorKind::FileTooLarge.into())),
    }
}

fn sync(folder: &Path) -> Result<(), PushError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("write", folder))
}

#[cfg(test)]
mod tests;
