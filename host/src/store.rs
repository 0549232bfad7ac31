//! What the agent keeps over restarts: its identity.
//!
//! The identity is written once, whole or not at all: into a file of its own that is synced, then renamed, then the
//! directory is synced. A damaged one is set aside, not overwritten, so that a person can still look at it.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, Flock, FlockArg};
use nix::libc::O_NOFOLLOW;
use nix::unistd::AccessFlags;
use tracing::{info, warn};
use uuid::Uuid;

/// The file in the state directory.
const FILE: &str = "agent_id";
/// Its lock.
const LOCK: &str = "lock";

/// The agent's own identity, for good: what a manager knows the board by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AgentId(Uuid);

impl AgentId {
    /// For tests and simulations; a real agent takes what [`agent_id`] gives it.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The state directory does not do what it is there for.
#[derive(Debug, thiserror::Error)]
#[error(
    "the agent's identity cannot be kept: {action} {path}; state_dir must be a directory that the agent can write"
)]
pub struct StoreError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError { action, path, source }
}

/// The state directory, taken: two agents in one would report under one identity.
#[derive(Debug)]
pub struct StateDir(#[expect(dead_code, reason = "held for the lock on it")] Flock<File>);

/// Another agent has it.
#[derive(Debug, thiserror::Error)]
#[error("the state directory {0} is taken by an agent that runs; give each its own state_dir")]
pub struct Taken(PathBuf);

impl StateDir {
    /// Takes it until this is dropped or the process ends, however it ends.
    pub fn take(state_dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(state_dir).map_err(failed("create", state_dir))?;
        ours_alone(state_dir)?;
        let path = state_dir.join(LOCK);
        // Nothing of it is written, and a link that somebody put there is not followed.
        let mut open = fs::OpenOptions::new();
        let file =
            open.write(true).create(true).truncate(false).mode(0o600).custom_flags(O_NOFOLLOW).open(&path);
        match lock(file.map_err(failed("open", &path))?, &path)? {
            Some(lock) => Ok(Self(lock)),
            None => Err(Taken(state_dir.to_owned()).into()),
        }
    }
}

fn ours_alone(state_dir: &Path) -> anyhow::Result<()> {
    let mode = fs::metadata(state_dir).map_err(failed("look at", state_dir))?.mode();
    anyhow::ensure!(
        mode & 0o022 == 0,
        "others can write to the state directory {}, and so replace what the agent keeps there: chmod go-w",
        state_dir.display()
    );
    Ok(())
}

/// The lock, or none if another process has it.
fn lock(file: File, path: &Path) -> Result<Option<Flock<File>>, StoreError> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(failed("lock", path)(error.into())),
    }
}

/// How a state directory stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Looked {
    /// It can be used; an agent has taken it or not.
    There { taken: bool },
    /// It is not there, and can be made.
    ToBeMade,
}

/// Looks at a state directory as an agent would that is about to take it, and leaves it as it is.
pub fn look(state_dir: &Path) -> anyhow::Result<Looked> {
    let there = state_dir.ancestors().find(|folder| fs::symlink_metadata(folder).is_ok());
    // A relative path begins here.
    let there = there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !fs::metadata(there).map_err(failed("look at", there))?.is_dir() {
        return Err(failed("enter", there)(io::ErrorKind::NotADirectory.into()).into());
    }
    let may = AccessFlags::W_OK | AccessFlags::X_OK;
    nix::unistd::faccessat(AT_FDCWD, there, may, AtFlags::AT_EACCESS)
        .map_err(|error| failed("write to", there)(error.into()))?;
    if there != state_dir {
        return Ok(Looked::ToBeMade);
    }
    ours_alone(state_dir)?;
    let path = state_dir.join(LOCK);
    match fs::OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(&path) {
        Ok(file) => Ok(Looked::There { taken: lock(file, &path)?.is_none() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Looked::There { taken: false }),
        Err(error) => Err(failed("open", &path)(error).into()),
    }
}

/// The identity in the state directory; at the first start, a new one.
pub fn agent_id(state_dir: &Path) -> Result<AgentId, StoreError> {
    fs::create_dir_all(state_dir).map_err(failed("create", state_dir))?;
    let path = state_dir.join(FILE);
    match read(&path).map_err(failed("read", &path))? {
        Stored::Id(id) => return Ok(id),
        Stored::Nothing => {}
        Stored::Damaged => set_aside(&path)?,
    }
    let id = AgentId(Uuid::new_v4());
    write(state_dir, &path, id)?;
    info!(agent_id = %id, "this agent has a new identity");
    Ok(id)
}

enum Stored {
    Id(AgentId),
    Nothing,
    Damaged,
}

fn read(path: &Path) -> io::Result<Stored> {
    // A UUID has 36 characters; whatever else lies there is not read to its end.
    const LONGEST: u64 = 64;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::Nothing),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    let id = str::from_utf8(&bytes)
        .ok()
        .and_then(|text| Uuid::try_parse(text.trim()).ok())
        .filter(|id| !id.is_nil());
    Ok(id.map_or(Stored::Damaged, |id| Stored::Id(AgentId(id))))
}

fn set_aside(path: &Path) -> Result<(), StoreError> {
    let aside = path.with_extension("damaged");
    fs::rename(path, &aside).map_err(failed("set aside", path))?;
    warn!(
        kept = %aside.display(),
        "the stored identity is damaged; managers will see this agent as a new one"
    );
    Ok(())
}

fn write(state_dir: &Path, path: &Path, id: AgentId) -> Result<(), StoreError> {
    let new = path.with_extension("new");
    write_synced(&new, id).map_err(failed("write", &new))?;
    fs::rename(&new, path).map_err(failed("write", path))?;
    File::open(state_dir).and_then(|directory| directory.sync_all()).map_err(failed("sync", state_dir))
}

fn write_synced(path: &Path, id: AgentId) -> io::Result<()> {
    let mut file = File::create(path)?;
    writeln!(file, "{id}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_is_taken_by_one_agent_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::take(dir.path()).unwrap();
        let refusal = StateDir::take(dir.path()).unwrap_err().to_string();
        assert!(refusal.contains("taken by an agent that runs"), "{refusal}");
        drop(first);
        StateDir::take(dir.path()).unwrap();
    }

    #[test]
    fn looking_at_a_state_directory_leaves_it_as_it_is() {
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
        assert!(refusal.contains("enter") && refusal.contains("state_dir"), "{refusal}");
    }

    #[test]
    fn a_state_directory_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        for mode in [0o720, 0o702, 0o777] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            for refusal in [StateDir::take(dir.path()).unwrap_err(), look(dir.path()).unwrap_err()] {
                assert!(refusal.to_string().contains("chmod go-w"), "{refusal}");
            }
        }
    }

    #[test]
    fn a_lock_that_is_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::os::unix::fs::symlink(&victim, dir.path().join(LOCK)).unwrap();
        assert!(StateDir::take(dir.path()).is_err());
        assert!(!victim.exists());
    }

    #[test]
    fn the_identity_is_made_once_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = agent_id(&state).unwrap();
        assert_eq!(agent_id(&state).unwrap(), first);
        assert_eq!(fs::read_to_string(state.join(FILE)).unwrap(), format!("{first}\n"));
    }

    #[test]
    fn a_damaged_identity_is_set_aside_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let nil = Uuid::nil().to_string();
        let long = "1".repeat(1 << 20);
        for damage in [&b""[..], b"not a uuid", b"\xff\xfe", nil.as_bytes(), long.as_bytes()] {
            fs::write(dir.path().join(FILE), damage).unwrap();
            let id = agent_id(dir.path()).unwrap();
            assert_eq!(agent_id(dir.path()).unwrap(), id);
            assert_eq!(fs::read(dir.path().join("agent_id.damaged")).unwrap(), damage);
        }
    }

    #[test]
    fn a_write_that_was_cut_short_leaves_no_identity_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("agent_id.new"), b"1c7f9f6e-3f0b").unwrap();
        let id = agent_id(dir.path()).unwrap();
        assert_eq!(agent_id(dir.path()).unwrap(), id);
        assert!(!dir.path().join("agent_id.damaged").exists());
    }

    #[test]
    fn a_state_directory_that_is_a_file_is_named_with_the_remedy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = agent_id(file.path()).unwrap_err().to_string();
        assert!(error.contains(&file.path().display().to_string()) && error.contains("state_dir"), "{error}");
    }
}
