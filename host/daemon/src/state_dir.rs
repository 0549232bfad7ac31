//! The state directory: one process has it at a time, and nobody else can change what is kept there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, Flock, FlockArg};
use nix::libc::O_NOFOLLOW;
use nix::unistd::{AccessFlags, faccessat, geteuid};

/// The file that is locked. Nothing is ever written to it.
const LOCK: &str = "lock";
/// Longest time that the lock of a process that was killed outlives it.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// How often it is looked whether it is free.
const LOOK: Duration = Duration::from_millis(20);

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// It is not there and cannot be made, or not to be written.
    #[error("{action} {}; state_dir must be a directory that this user can write", path.display())]
    Unusable {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Others could replace what is kept there: an identity, compiled code, a token.
    #[error("others can write to state_dir {}, and so replace what is kept there: chmod go-w", .0.display())]
    Open(PathBuf),
    /// So could its owner.
    #[error("state_dir {} belongs to another user, who can replace what is kept there: chown it to this one", .0.display())]
    Foreign(PathBuf),
    /// Two processes would be one board, or overwrite each other's inventory.
    #[error("state_dir {} is taken by a process that runs; stop it, or give this one a state_dir of its own", .0.display())]
    Taken(PathBuf),
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateDirError {
    let path = path.to_owned();
    move |source| StateDirError::Unusable { action, path, source }
}

/// The state directory, taken for as long as this lives. The system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl StateDir {
    /// Makes the directory if need be, and takes it.
    pub fn take(path: &Path) -> Result<Self, StateDirError> {
        // Whatever the umask says.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("cannot make", path))?;
        ours_alone(path)?;
        let file = path.join(LOCK);
        // A link that somebody put there is not followed.
        let mut open = OpenOptions::new();
        let open = open.write(true).create(true).truncate(false).mode(0o600).custom_flags(O_NOFOLLOW);
        // A process that was killed while it started another leaves the lock to that one, until it has become what it is to be.
        let until = Instant::now() + LEFT_BEHIND;
        loop {
            match lock(open.open(&file).map_err(failed("cannot open", &file))?, &file)? {
                Some(lock) => return Ok(Self { path: path.to_owned(), _lock: lock }),
                None if Instant::now() < until => sleep(LOOK),
                None => return Err(StateDirError::Taken(path.to_owned())),
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn ours_alone(path: &Path) -> Result<(), StateDirError> {
    let about = fs::metadata(path).map_err(failed("cannot look at", path))?;
    if about.uid() != geteuid().as_raw() {
        return Err(StateDirError::Foreign(path.to_owned()));
    }
    match about.mode() & 0o022 {
        0 => Ok(()),
        _ => Err(StateDirError::Open(path.to_owned())),
    }
}

/// The lock, or none if another process has it.
fn lock(file: File, path: &Path) -> Result<Option<Flock<File>>, StateDirError> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(failed("cannot lock", path)(error.into())),
    }
}

/// How a state directory stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Looked {
    /// It can be used, and a process has taken it or not.
    There {
        /// Whether one has.
        taken: bool,
    },
    /// It is not there, and can be made.
    ToBeMade,
}

/// Looks at a state directory as a process would that is about to take it, and leaves it as it is.
pub fn look(path: &Path) -> Result<Looked, StateDirError> {
    let there = path.ancestors().find(|folder| fs::symlink_metadata(folder).is_ok());
    // A relative path begins here.
    let there = there.unwrap_or(Path::new("."));
    if !fs::metadata(there).map_err(failed("cannot look at", there))?.is_dir() {
        return Err(failed("cannot enter", there)(io::ErrorKind::NotADirectory.into()));
    }
    let may = AccessFlags::W_OK | AccessFlags::X_OK;
    faccessat(AT_FDCWD, there, may, AtFlags::AT_EACCESS)
        .map_err(|error| failed("cannot write to", there)(error.into()))?;
    if there != path {
        return Ok(Looked::ToBeMade);
    }
    ours_alone(path)?;
    let file = path.join(LOCK);
    match OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(&file) {
        Ok(opened) => Ok(Looked::There { taken: lock(opened, &file)?.is_none() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Looked::There { taken: false }),
        Err(error) => Err(failed("cannot open", &file)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn it_is_taken_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::take(dir.path()).unwrap();
        let refusal = StateDir::take(dir.path()).unwrap_err().to_string();
        assert!(refusal.contains("taken by a process that runs"), "{refusal}");
        drop(first);
        StateDir::take(dir.path()).unwrap();
    }

    #[test]
    fn looking_at_it_leaves_it_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("new/state");
        assert_eq!(look(&state).unwrap(), Looked::ToBeMade);
        assert!(!dir.path().join("new").exists());
        fs::create_dir_all(&state).unwrap();
        assert_eq!(look(&state).unwrap(), Looked::There { taken: false });
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
        let taken = StateDir::take(&state).unwrap();
        assert_eq!(look(&state).unwrap(), Looked::There { taken: true });
        drop(taken);
        assert_eq!(look(&state).unwrap(), Looked::There { taken: false });
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let refusal = look(&file.join("state")).unwrap_err().to_string();
        assert!(refusal.contains("cannot enter") && refusal.contains("state_dir"), "{refusal}");
    }

    #[test]
    fn one_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o720, 0o702, 0o777] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            for refusal in [StateDir::take(dir.path()).unwrap_err(), look(dir.path()).unwrap_err()] {
                assert!(refusal.to_string().contains("chmod go-w"), "{refusal}");
            }
        }
    }

    #[test]
    fn one_of_another_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        // Only root can give a folder away; whoever cannot has nothing to test here but `/`.
        let foreign = match chown(dir.path(), Some(65_534), None) {
            Ok(()) => dir.path(),
            Err(_) => Path::new("/"),
        };
        let refusal = StateDir::take(foreign).unwrap_err().to_string();
        assert!(refusal.contains("chown"), "{refusal}");
    }

    #[test]
    fn a_new_one_is_private_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/state");
        let _taken = StateDir::take(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_lock_that_is_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        symlink(&victim, dir.path().join(LOCK)).unwrap();
        assert!(StateDir::take(dir.path()).is_err());
        assert!(!victim.exists());
    }
}
