//! What the agent keeps over restarts: its identity.
//!
//! The identity is written once, whole or not at all: into a file of its own that is synced, then renamed, then the
//! directory is synced. A damaged one is set aside, not overwritten, so that a person can still look at it.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tracing::{info, warn};
use uuid::Uuid;

/// The file in the state directory.
const FILE: &str = "agent_id";
/// The same again: containers and programs are known by the identity, so losing it would orphan them.
const COPY: &str = "agent_id.copy";

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

/// The identity in a state directory that is taken; at the first start, a new one.
pub fn agent_id(state_dir: &Path) -> Result<AgentId, StoreError> {
    let (path, copy) = (state_dir.join(FILE), state_dir.join(COPY));
    let stored = read(&path).map_err(failed("read", &path))?;
    let kept = read(&copy).map_err(failed("read", &copy))?;
    if let (Stored::Id(id), Stored::Id(same)) = (&stored, &kept)
        && id == same
    {
        return Ok(*id);
    }
    if matches!(stored, Stored::Damaged) {
        set_aside(&path)?;
    }
    let id = match (stored, kept) {
        (Stored::Id(id), _) => id,
        (_, Stored::Id(id)) => {
            warn!(agent_id = %id, "the identity is made again from its copy");
            write(state_dir, &path, id)?;
            id
        }
        _ => {
            let id = AgentId(Uuid::new_v4());
            write(state_dir, &path, id)?;
            info!(agent_id = %id, "this agent has a new identity");
            id
        }
    };
    write(state_dir, &copy, id)?;
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
    fn the_identity_is_made_once_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = agent_id(dir.path()).unwrap();
        assert_eq!(agent_id(dir.path()).unwrap(), first);
        assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), format!("{first}\n"));
    }

    #[test]
    fn a_damaged_identity_is_set_aside_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let nil = Uuid::nil().to_string();
        let long = "1".repeat(1 << 20);
        let first = agent_id(dir.path()).unwrap();
        for damage in [&b""[..], b"not a uuid", b"\xff\xfe", nil.as_bytes(), long.as_bytes()] {
            fs::write(dir.path().join(FILE), damage).unwrap();
            // Its copy has it.
            assert_eq!(agent_id(dir.path()).unwrap(), first);
            fs::write(dir.path().join(FILE), damage).unwrap();
            fs::write(dir.path().join(COPY), damage).unwrap();
            let id = agent_id(dir.path()).unwrap();
            assert_eq!(agent_id(dir.path()).unwrap(), id);
            fs::write(dir.path().join(FILE), format!("{first}\n")).unwrap();
            assert_eq!(agent_id(dir.path()).unwrap(), first);
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
