//! Files whose words a process takes: keys, tokens, the certificates of those it trusts. Whoever can write one is
//! trusted as much as it is, so it must be this process's own or root's. A link is followed, because that is how renewed
//! certificates are put in place; what is looked at is the file that was opened, and not the name.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;
use nix::unistd::geteuid;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// This process alone: a secret.
    Ourselves,
    /// Anybody.
    Anybody,
}

/// Why a file is not taken at its word.
#[derive(Debug, thiserror::Error)]
pub enum UntrustedError {
    /// It is not there, or not for this process.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder, a pipe, a device.
    #[error("{} is not a file", .0.display())]
    NoFile(PathBuf),
    /// Nothing that is meant to be there is so long.
    #[error("{} has more than {longest} bytes; is it the right file?", path.display())]
    Long {
        /// The file.
        path: PathBuf,
        /// How long it may be.
        longest: usize,
    },
    /// Somebody else can change it.
    #[error("{} belongs to user {owner}, who can change it: chown it to user {}", path.display(), geteuid())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Everybody can change it.
    #[error("others can write to {}: chmod go-w it", .0.display())]
    Writable(PathBuf),
    /// It is no secret.
    #[error("others can read {}: make a new secret, and chmod 600 it", .0.display())]
    Readable(PathBuf),
}

/// Reads a file of at most so many bytes. It never waits for whoever is at the other end of a pipe.
pub fn read(path: &Path, readers: Readers, longest: usize) -> Result<Vec<u8>, UntrustedError> {
    let unreadable = |source| UntrustedError::Unreadable { path: path.to_owned(), source };
    let open = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path);
    let file = open.map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    check(path, &about, readers, geteuid().as_raw())?;
    let mut bytes = Vec::new();
    let most = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() <= longest {
        true => Ok(bytes),
        false => Err(UntrustedError::Long { path: path.to_owned(), longest }),
    }
}

fn check(path: &Path, about: &Metadata, readers: Readers, we: u32) -> Result<(), UntrustedError> {
    if !about.is_file() {
        return Err(UntrustedError::NoFile(path.to_owned()));
    }
    let path = || path.to_owned();
    match verdict(about.uid(), about.mode(), readers, we) {
        Verdict::Trusted => Ok(()),
        Verdict::Foreign => Err(UntrustedError::Foreign { path: path(), owner: about.uid() }),
        Verdict::Writable => Err(UntrustedError::Writable(path())),
        Verdict::Readable => Err(UntrustedError::Readable(path())),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Trusted,
    Foreign,
    Writable,
    Readable,
}

const fn verdict(owner: u32, mode: u32, readers: Readers, we: u32) -> Verdict {
    if owner != we && owner != 0 {
        return Verdict::Foreign;
    }
    if mode & 0o022 != 0 {
        return Verdict::Writable;
    }
    // A file of root's reaches another user through its group, or through an access list, which shows as its group: so
    // systemd hands over credentials.
    let others = if owner == we { 0o077 } else { 0o007 };
    match readers {
        Readers::Ourselves if mode & others != 0 => Verdict::Readable,
        Readers::Ourselves | Readers::Anybody => Verdict::Trusted,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_secret_is_ours_alone_and_a_certificate_is_at_least_not_theirs() {
        use Readers::{Anybody, Ourselves};
        use Verdict::{Foreign, Readable, Trusted, Writable};
        for (owner, mode, we, secret, public) in [
            (7, 0o600, 7, Trusted, Trusted),
            (7, 0o400, 7, Trusted, Trusted),
            (7, 0o640, 7, Readable, Trusted),
            (7, 0o644, 7, Readable, Trusted),
            (7, 0o604, 7, Readable, Trusted),
            (7, 0o610, 7, Readable, Trusted),
            (7, 0o620, 7, Writable, Writable),
            (7, 0o602, 7, Writable, Writable),
            (0, 0o600, 0, Trusted, Trusted),
            (0, 0o640, 0, Readable, Trusted),
            (0, 0o640, 7, Trusted, Trusted),
            (0, 0o660, 7, Writable, Writable),
            (0, 0o644, 7, Readable, Trusted),
            (8, 0o600, 7, Foreign, Foreign),
            (8, 0o600, 0, Foreign, Foreign),
        ] {
            assert_eq!(verdict(owner, mode, Ourselves, we), secret, "{owner} {mode:o} {we}");
            assert_eq!(verdict(owner, mode, Anybody, we), public, "{owner} {mode:o} {we}");
        }
    }

    #[test]
    fn a_file_is_read_to_its_end_and_not_beyond_what_it_may_have() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&path, "12345").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            assert_eq!(read(path, Readers::Ourselves, 5).unwrap(), b"12345");
            let refused = read(path, Readers::Ourselves, 4).unwrap_err();
            assert!(matches!(refused, UntrustedError::Long { longest: 4, .. }), "{refused}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = read(&link, Readers::Ourselves, 5).unwrap_err().to_string();
        assert!(refused.contains("link") && refused.contains("chmod 600"), "{refused}");
        assert_eq!(read(&link, Readers::Anybody, 5).unwrap(), b"12345");
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        for path in [&pipe, dir.path()] {
            let refused = read(path, Readers::Ourselves, 5).unwrap_err();
            assert!(matches!(refused, UntrustedError::NoFile(_)), "{refused}");
        }
        let refused = read(&dir.path().join("absent"), Readers::Anybody, 5).unwrap_err();
        assert!(refused.to_string().contains("absent"), "{refused}");
    }
}
