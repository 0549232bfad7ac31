//! Files that commands read and write.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::libc::O_NOFOLLOW;
use nix::unistd::{AccessFlags, faccessat};

/// All of it, if it has no more bytes than that.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    ensure!(bytes.len() as u64 <= limit, "{} has more than {limit} bytes", path.display());
    Ok(bytes)
}

/// Whether both are one file, by whatever names and links.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| path.metadata().ok().map(|about| (about.dev(), about.ino()));
    place(one).is_some_and(|one| place(other) == Some(one))
}

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum For {
    Everybody,
    /// For what only its user could read before.
    Owner,
}

/// At once and for good: an agent whose folder it lies in never sees half of it, nor does anybody after a power cut.
pub(super) fn replace(path: &Path, bytes: &[u8], readers: For) -> Result<()> {
    let name = path.file_name().with_context(|| format!("{} is no file", path.display()))?;
    let new = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = write(&new, bytes, readers).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
        .and_then(|()| File::open(folder(path))?.sync_all())
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Fails at once where [`replace`] would at the end, when what was to be kept is lost. Nothing is made.
pub(super) fn writable(path: &Path) -> Result<()> {
    ensure!(path.file_name().is_some(), "{} is no file", path.display());
    ensure!(!path.is_dir(), "{} is a folder: name a file in it", path.display());
    let may = AccessFlags::W_OK | AccessFlags::X_OK;
    faccessat(AT_FDCWD, folder(path), may, AtFlags::AT_EACCESS)
        .map_err(io::Error::from)
        .with_context(|| format!("{} cannot be written", path.display()))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write(path: &Path, bytes: &[u8], readers: For) -> io::Result<()> {
    let mode = match readers {
        For::Everybody => 0o666,
        For::Owner => 0o600,
    };
    // What lies under that name is somebody else's, or left by one that was killed.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode).custom_flags(O_NOFOLLOW);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
