//! Control groups: the limits of a program, and the only true list of its processes.
//!
//! ```text
//! <where the agent is>/cardcage-<agent>/<deployment>/shim       the supervisor
//!                                                    /program    the program, all that it started, its health checks
//! ```
//! In version 2 that is one folder; in version 1 it is one in each hierarchy. Where both are mounted, version 1 has the
//! controllers. The kernel lets a group of version 2 have either processes or limited groups below it, so there the agent
//! moves itself into a leaf, `agent`; under systemd its unit needs `Delegate=yes` and `DelegateSubgroup=agent`.

mod detect; // where the agent is
mod kill; // all of it, without ever meeting a stranger
mod limits; // making, entering, removing
mod measure; // usage, frozen, killed for memory

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use detect::detect;

use crate::Error;

/// The group of the supervisor.
pub const SHIM: &str = "shim";
/// The group of the program.
pub const PROGRAM: &str = "program";
/// No file of a control group that we read is longer.
const LONGEST: u64 = 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Version {
    V1,
    V2,
}

/// Where the agent's groups are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    pub version: Version,
    pub roots: Vec<Root>,
}

/// One hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    pub controllers: Vec<String>,
    pub path: PathBuf,
}

/// The groups of one deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cage {
    pub layout: Layout,
    /// Which agent's, and which deployment's: names of folders.
    pub group: String,
    pub key: String,
}

impl Cage {
    fn dir(&self, root: &Root, leaf: &str) -> PathBuf {
        root.path.join(format!("cardcage-{}", self.group)).join(&self.key).join(leaf)
    }

    fn root(&self, controller: &str) -> Option<&Root> {
        match self.layout.version {
            Version::V1 => {
                self.layout.roots.iter().find(|root| root.controllers.iter().any(|name| name == controller))
            }
            Version::V2 => self.layout.roots.first(),
        }
    }

    /// A file of the program's group; `None` where the kernel has no such controller.
    fn file(&self, controller: &str, name: &str) -> Option<PathBuf> {
        Some(self.dir(self.root(controller)?, PROGRAM).join(name))
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

// Never made: a file that is not there is a controller that is not there.
fn put(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

fn unavailable(verb: &str, path: &Path, error: &io::Error) -> Error {
    Error::Unavailable { why: format!("{verb} {}: {error}", path.display()) }
}
