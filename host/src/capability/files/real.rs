//! Opens and reads granted files. Everything here blocks: it runs on the plugin's readers.
//!
//! The text of a path was checked by the grant; here its links are followed, once, and where they lead is checked:
//! the classes of `/sys` are links into `/sys/devices`. What is opened afterwards is the place found, with no link left
//! in it to be changed meanwhile.

use std::collections::HashMap;
use std::fs::{File, FileType};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::grant::Granted;
use crate::capability::Roots;

/// What the kernel hands over at once of some of its files.
const PAGE: usize = 4096;
/// Most names of a folder.
pub const NAMES_LIMIT: usize = 4096;

/// Why a granted path is not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{0} is not there")]
    Absent(PathBuf),
    #[error("{0} has no value now")]
    Unavailable(PathBuf),
    #[error("{0} leads out of what is granted")]
    LeadsOut(PathBuf),
    #[error("{0} is a {1}, which is never granted")]
    NotAFile(PathBuf, &'static str),
    #[error("{0} has more than {1} bytes")]
    TooLarge(PathBuf, usize),
    #[error("{0} has more than {NAMES_LIMIT} names")]
    TooMany(PathBuf),
    #[error("{0} is not UTF-8")]
    NotText(PathBuf),
    #[error("{path} cannot be read: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl FileError {
    fn io(path: &Path, source: io::Error) -> Self {
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            // The device behind a file of /sys is gone.
            Some(Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::NOTDIR) => Self::Absent(path.to_owned()),
            // How drivers say that a part is off or asleep.
            Some(Errno::NODATA | Errno::AGAIN) => Self::Unavailable(path.to_owned()),
            _ => Self::Io { path: path.to_owned(), source },
        }
    }
}

/// A place on this machine that a granted path leads to, free of links. Only [`find`] makes one.
#[derive(Debug, Clone)]
pub struct Found {
    board: PathBuf,
    here: PathBuf,
}

impl AsRef<Path> for Found {
    fn as_ref(&self) -> &Path {
        &self.here
    }
}

/// Finds the places of many paths: those of one folder share most of the way.
#[derive(Debug)]
pub struct Finder {
    roots: Arc<Roots>,
    /// Folders of the board, and where they are.
    folders: Mutex<HashMap<PathBuf, Option<PathBuf>>>,
}

impl Finder {
    pub fn new(roots: Arc<Roots>) -> Self {
        Self { roots, folders: Mutex::default() }
    }

    /// Follows the links of a granted path and checks where they lead.
    pub fn find(&self, granted: &Granted) -> Result<Found, FileError> {
        let here = self.place(granted.path())?;
        let entry = granted.entry();
        let allowed = [
            self.folder(granted.root()),
            entry.as_deref().and_then(|entry| self.folder(entry)),
            // An entry of a class is a part of a device, whose attributes belong to it.
            entry.as_deref().and_then(|entry| self.folder(&entry.join("device"))),
        ];
        let inside = allowed.iter().flatten().any(|place| here.starts_with(place));
        match inside && self.roots.may_read(&here) {
            true => Ok(Found { board: granted.path().to_owned(), here }),
            false => Err(FileError::LeadsOut(granted.path().to_owned())),
        }
    }

    /// The folder is known already, mostly; then only the last name can be a link.
    fn place(&self, board: &Path) -> Result<PathBuf, FileError> {
        let (parent, name) = (board.parent().and_then(|parent| self.folder(parent)), board.file_name());
        let (Some(parent), Some(name)) = (parent, name) else { return follow(&self.roots, board) };
        let here = parent.join(name);
        let about = here.symlink_metadata().map_err(|source| FileError::io(board, source))?;
        match about.is_symlink() {
            true => follow(&self.roots, board),
            false => Ok(here),
        }
    }

    fn folder(&self, board: &Path) -> Option<PathBuf> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        match folders.get(board) {
            Some(known) => known.clone(),
            None => {
                let here = follow(&self.roots, board).ok();
                folders.insert(board.to_owned(), here.clone());
                here
            }
        }
    }
}

fn follow(roots: &Roots, board: &Path) -> Result<PathBuf, FileError> {
    let here = roots.locate(board).canonicalize().map_err(|source| FileError::io(board, source))?;
    // A recording may hold links that lead out of it, into the machine it is replayed on.
    match board.starts_with("/sys") && roots.board_path(&here).is_none() {
        true => Err(FileError::LeadsOut(board.to_owned())),
        false => Ok(here),
    }
}

/// Where a granted path leads, as a path of the board.
pub fn resolve(roots: &Roots, granted: &Granted) -> Result<PathBuf, FileError> {
    let here = follow(roots, granted.path())?;
    match granted.path().starts_with("/sys") {
        true => roots.board_path(&here).ok_or_else(|| FileError::LeadsOut(granted.path().to_owned())),
        false => Ok(here),
    }
}

/// The sorted names of a granted folder.
pub fn names(found: &Found) -> Result<Vec<String>, FileError> {
    let error = |source| FileError::io(&found.board, source);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&found.here).map_err(error)? {
        // A name that is not UTF-8 cannot be asked for, so it is not shown.
        names.extend(entry.map_err(error)?.file_name().into_string());
        if names.len() > NAMES_LIMIT {
            return Err(FileError::TooMany(found.board.clone()));
        }
    }
    names.sort();
    Ok(names)
}

/// Checks that a place is an ordinary file, without opening it: to open a device can already do something.
pub fn ordinary(found: Found) -> Result<Found, FileError> {
    let kind = std::fs::symlink_metadata(&found.here)
        .map_err(|source| FileError::io(&found.board, source))?
        .file_type();
    match kind.is_file() {
        true => Ok(found),
        false => Err(FileError::NotAFile(found.board, name_of(kind))),
    }
}

fn name_of(kind: FileType) -> &'static str {
    match () {
        () if kind.is_dir() => "folder",
        () if kind.is_fifo() => "pipe",
        () if kind.is_socket() => "socket",
        () => "device",
    }
}

/// Reads a text file, without the white space at its end.
pub fn read<const LIMIT: usize>(found: &Found) -> Result<String, FileError> {
    let error = |source| FileError::io(&found.board, source);
    let mut file = open(&found.here).map_err(error)?;
    let mut bytes = [0; LIMIT];
    let mut length = 0;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        let (room, read) = (rest.len(), file.read(rest).map_err(error)?);
        length += read;
        // An ordinary file gives what is asked for, unless that is all there is; some of the kernel's stop at a page.
        if read == 0 || (read < room && read % PAGE != 0) {
            break;
        }
    }
    if length == LIMIT {
        return Err(FileError::TooLarge(found.board.clone(), LIMIT - 1));
    }
    let text = bytes.get(..length).unwrap_or_default().trim_ascii_end();
    String::from_utf8(text.to_vec()).map_err(|_| FileError::NotText(found.board.clone()))
}

/// Opens a place that has no link in it, and fails if one has appeared. Never waits for the other end of a pipe.
fn open(here: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    let opened = rustix::fs::openat2(CWD, here, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    match opened {
        Ok(file) => Ok(File::from(file)),
        // Kernels before 5.6, and sandboxes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_and_compare(here, flags),
        Err(error) => Err(error.into()),
    }
}

/// The same without openat2: opens, then asks the kernel where that led.
fn open_and_compare(here: &Path, flags: OFlags) -> io::Result<File> {
    use std::os::fd::AsRawFd as _;

    let file = File::from(rustix::fs::open(here, flags, Mode::empty())?);
    let led_to = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    match led_to == here {
        true => Ok(file),
        false => Err(Errno::LOOP.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::capability::files::Grant;
    use crate::config::Kernel;

    struct Board {
        folder: tempfile::TempDir,
        roots: Arc<Roots>,
        grant: Grant,
    }

    impl Board {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let sys = folder.path().join("sys");
            let device = sys.join("devices/platform/sensor.0");
            std::fs::create_dir_all(device.join("hwmon/hwmon3")).unwrap();
            std::fs::create_dir_all(sys.join("class/hwmon")).unwrap();
            std::fs::write(device.join("hwmon/hwmon3/temp1_input"), "42000\n").unwrap();
            std::fs::write(device.join("modalias"), "platform:sensor").unwrap();
            std::fs::write(sys.join("devices/secret"), "secret").unwrap();
            symlink("../../devices/platform/sensor.0/hwmon/hwmon3", sys.join("class/hwmon/hwmon3")).unwrap();
            symlink("../..", device.join("hwmon/hwmon3/device")).unwrap();
            symlink("../../../../secret", device.join("hwmon/hwmon3/escape")).unwrap();
            symlink("/etc/passwd", device.join("hwmon/hwmon3/passwd")).unwrap();
            let roots = Arc::new(Roots::new(&Kernel { sys: Some(sys), ..Kernel::default() }));
            let granted = [PathBuf::from("/sys/class/hwmon")];
            Self { folder, roots, grant: Grant::new(&granted, &granted) }
        }

        fn find(&self, granted: &Granted) -> Result<Found, FileError> {
            Finder::new(Arc::clone(&self.roots)).find(granted).and_then(ordinary)
        }

        fn read(&self, path: &str) -> Result<String, FileError> {
            let granted = self.grant.ask(path).unwrap();
            self.find(&granted).and_then(|found| read::<4097>(&found))
        }
    }

    #[test]
    fn a_class_leads_to_its_devices_and_no_further() {
        let board = Board::new();
        assert_eq!(board.read("/sys/class/hwmon/hwmon3/temp1_input").unwrap(), "42000");
        assert_eq!(board.read("/sys/class/hwmon/hwmon3/device/modalias").unwrap(), "platform:sensor");
        assert!(matches!(board.read("/sys/class/hwmon/hwmon3/escape"), Err(FileError::LeadsOut(_))));
        assert!(matches!(board.read("/sys/class/hwmon/hwmon3/passwd"), Err(FileError::LeadsOut(_))));
        assert!(matches!(board.read("/sys/class/hwmon/hwmon9/temp1_input"), Err(FileError::Absent(_))));
    }

    #[test]
    fn a_place_is_named_as_on_the_board() {
        let board = Board::new();
        let granted = board.grant.ask("/sys/class/hwmon/hwmon3/device").unwrap();
        assert_eq!(resolve(&board.roots, &granted).unwrap(), Path::new("/sys/devices/platform/sensor.0"));
    }

    #[test]
    fn what_is_not_an_ordinary_file_is_never_opened() {
        let board = Board::new();
        let folder = board.folder.path().join("sys/devices/platform/sensor.0/hwmon/hwmon3");
        nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(board.read("/sys/class/hwmon/hwmon3/pipe"), Err(FileError::NotAFile(_, "pipe"))));
        assert!(matches!(board.read("/sys/class/hwmon/hwmon3"), Err(FileError::NotAFile(_, "folder"))));
    }

    #[test]
    fn a_link_that_appears_later_is_not_followed() {
        let board = Board::new();
        let granted = board.grant.ask("/sys/class/hwmon/hwmon3/temp1_input").unwrap();
        let found = board.find(&granted).unwrap();
        std::fs::remove_file(&found.here).unwrap();
        symlink("/etc/passwd", &found.here).unwrap();
        assert!(matches!(read::<4097>(&found), Err(FileError::Io { .. })));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW;
        assert!(open_and_compare(&found.here, flags).is_err());
    }

    #[test]
    fn what_a_driver_says_is_told_apart() {
        let said = |errno: Errno| FileError::io(Path::new("/sys/x"), errno.into());
        assert!(matches!(said(Errno::NODATA), FileError::Unavailable(_)));
        assert!(matches!(said(Errno::NODEV), FileError::Absent(_)));
        assert!(matches!(said(Errno::IO), FileError::Io { .. }));
    }

    #[test]
    fn what_is_too_long_or_no_text_is_refused() {
        let board = Board::new();
        let file = board.folder.path().join("sys/devices/platform/sensor.0/hwmon/hwmon3/temp1_input");
        std::fs::write(&file, vec![b'x'; 5000]).unwrap();
        assert!(matches!(board.read("/sys/class/hwmon/hwmon3/temp1_input"), Err(FileError::TooLarge(..))));
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(matches!(board.read("/sys/class/hwmon/hwmon3/temp1_input"), Err(FileError::NotText(_))));
    }
}
