//! The folder of one program, and the names in it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::cgroup::Cage;
use crate::files::{self, Found};
use crate::model::Definition;

/// Hexadecimal digits of a key: enough that no two deployments meet.
const KEY: usize = 32;

/// The name of a deployment's folder: its uuid is the manager's text, and no name of a file.
pub fn key(uuid: &str) -> String {
    let mut key: String = Sha256::digest(uuid.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    key.truncate(KEY);
    key
}

/// Whether a name can be a key.
pub fn is_key(name: &str) -> bool {
    name.len() == KEY && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What the agent decides at each start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Launch {
    pub cage: Cage,
    /// Bytes of output that are kept.
    pub log_limit: u64,
}

/// The folder of one program.
#[derive(Debug, Clone)]
pub struct Place {
    pub dir: PathBuf,
    pub key: String,
}

impl Place {
    pub fn new(root: &Path, key: &str) -> Self {
        Self { dir: root.join(key), key: key.to_owned() }
    }

    /// The folder that a supervisor was started for.
    pub fn at(dir: &Path) -> Option<Self> {
        let key = dir.file_name()?.to_str().filter(|name| is_key(name))?;
        dir.is_absolute().then(|| Self { dir: dir.to_owned(), key: key.to_owned() })
    }

    pub fn program(&self) -> PathBuf {
        self.dir.join("program.json")
    }

    pub fn folder(&self) -> PathBuf {
        self.dir.join("folder")
    }

    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub fn launch(&self) -> PathBuf {
        self.dir.join("launch.json")
    }

    pub fn status(&self) -> PathBuf {
        self.dir.join("status.json")
    }

    /// The order, if it is there, whole, and that of this folder.
    pub fn definition(&self) -> Result<Found<Definition>, Error> {
        Ok(match files::read::<Definition>(&self.program())? {
            Found::Good(definition) if key(&definition.owner.uuid) != self.key => {
                Found::Damaged(format!("it is that of deployment {}", definition.owner.uuid))
            }
            found => found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_uuid_becomes_a_harmless_name() {
        for uuid in ["", "../../etc", "a/b", "\0", "ä"] {
            assert!(is_key(&key(uuid)), "{uuid:?}");
        }
        assert_ne!(key("a"), key("b"));
    }

    #[test]
    fn a_supervisor_serves_only_the_folder_of_a_key() {
        assert!(Place::at(&Path::new("/x").join(key("a"))).is_some());
        assert!(Place::at(Path::new("/etc")).is_none());
        assert!(Place::at(Path::new(&key("a"))).is_none());
    }
}
