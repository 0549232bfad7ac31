//! Small files that are read whole: bounded when read, replaced whole when written, set aside when damaged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::Error;

/// No file of ours is longer.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What was found at a path.
#[derive(Debug)]
pub enum Found<T> {
    Nothing,
    Damaged(String),
    Good(T),
}

impl<T> Found<T> {
    /// What is good; what is damaged is moved out of the way, so that it is complained of once and can be looked at.
    pub fn or_set_aside(self, path: &Path) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Nothing => None,
            Self::Damaged(why) => {
                let aside = beside(path, ".damaged");
                warn!(path = %path.display(), why, aside = %aside.display(), "a damaged file was set aside");
                if let Err(error) = fs::rename(path, &aside) {
                    warn!(path = %path.display(), %error, "a damaged file could not be set aside");
                }
                None
            }
        }
    }
}

/// Reads a file of JSON.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Found<T>, Error> {
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(Error::io("open", path, error)),
    };
    let mut bytes = Vec::new();
    match file.take(LONGEST + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > LONGEST => Ok(Found::Damaged("it is too long".to_owned())),
        Ok(_) => Ok(match serde_json::from_slice(&bytes) {
            Ok(value) => Found::Good(value),
            Err(error) => Found::Damaged(error.to_string()),
        }),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(Found::Damaged(error.to_string())),
        // What the disk does not give now is not damaged.
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// Replaces a file by JSON, whole or not at all. `durable`: it is on the disk when this returns.
pub fn write<T: Serialize>(path: &Path, value: &T, durable: bool) -> Result<(), Error> {
    let bytes =
        serde_json::to_vec(value).map_err(|error| Error::io("write", path, io::Error::other(error)))?;
    if bytes.len() as u64 > LONGEST {
        // It could not be read again.
        return Err(Error::Invalid { what: "the order", why: format!("it is longer than {LONGEST} bytes") });
    }
    let new = beside(path, ".new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(&bytes)?;
            if durable { file.sync_all() } else { Ok(()) }
        });
    written.map_err(|error| Error::io("write", &new, error))?;
    fs::rename(&new, path).map_err(|error| Error::io("replace", path, error))?;
    if durable {
        path.parent().map_or(Ok(()), sync_folder)?;
    }
    Ok(())
}

/// The names in a folder are on the disk when this returns.
pub fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| Error::io("sync", path, error))
}

/// Removes a folder and what is in it, links unfollowed; gone already is as good.
pub fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// The path with something appended to its last name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert!(matches!(read::<u32>(&path).unwrap(), Found::Nothing));
        write(&path, &7_u32, true).unwrap();
        assert_eq!(read::<u32>(&path).unwrap().or_set_aside(&path), Some(7));
        fs::write(&path, b"{").unwrap();
        assert_eq!(read::<u32>(&path).unwrap().or_set_aside(&path), None);
        assert!(!path.exists() && folder.path().join("a.json.damaged").exists());
    }

    #[test]
    fn a_file_without_end_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(read::<u32>(&path).unwrap(), Found::Damaged(_)));
    }
}
