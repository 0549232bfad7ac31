//! The agent's side. It holds no truth of its own: every answer is read from the folder, the lock and the control groups,
//! so an agent that has just begun knows as much as one that started the program.
//!
//! What changes a program happens under its lock: either the agent has it, or a supervisor has, and is asked.

mod create; // write down, give away, remove
mod look; // how they are
mod put_down; // by the control group, where no supervisor answers
mod start;
mod stop;

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use crate::cgroup::{Cage, Layout, detect};
use crate::files;
use crate::model::{Chunk, Definition, Owner};
use crate::output;
use crate::place::{Launch, Place, key};
use crate::{Error, status};

/// Folders that are being made, and being removed.
const NEW: &str = ".new-";
const OLD: &str = ".old-";

/// The board's programs.
#[derive(Debug)]
pub struct Processes {
    root: PathBuf,
    shim: PathBuf,
    group: String,
    log_limit: u64,
    boot: String,
    /// Why there are no limits, where there are none: programs can be looked at all the same.
    layout: Result<Layout, String>,
    /// Processor time at the last measurement, by key. A lock, because whoever asks measures.
    measured: Mutex<HashMap<String, (Instant, u64)>>,
}

impl Processes {
    /// Of the programs in `root`, run by the executable `shim`, in control groups named after `group`, each of which may
    /// leave `log_limit` bytes of output. There must be one agent for a root.
    pub fn open(root: &Path, shim: &Path, group: &str, log_limit: u64) -> Result<Self, Error> {
        let fits = group.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if group.is_empty() || group.len() > 64 || !fits {
            let why = format!("{group:?} must be 1 to 64 letters, digits, - and _");
            return Err(Error::Invalid { what: "the agent's group", why });
        }
        // A program that is another user must come through, and sees nothing on its way.
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(root)
            .map_err(|error| Error::io("make", root, error))?;
        let root = root.canonicalize().map_err(|error| Error::io("find", root, error))?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o711))
            .map_err(|error| Error::io("open", &root, error))?;
        sweep(&root)?;
        Ok(Self {
            root,
            shim: shim.to_owned(),
            group: group.to_owned(),
            log_limit,
            boot: status::boot_id()?,
            layout: detect().map_err(|error| error.to_string()),
            measured: Mutex::default(),
        })
    }

    /// Whose the program of a deployment is.
    pub fn owner(&self, uuid: &str) -> Result<Option<Owner>, Error> {
        Ok(self.definition(&self.place(uuid))?.map(|definition| definition.owner))
    }

    /// What the program of a deployment said: after a cursor, or the last of it. At most `limit` bytes, and at most 1 MiB.
    pub fn log(&self, uuid: &str, after: Option<&str>, limit: usize) -> Result<Option<Chunk>, Error> {
        let place = self.place(uuid);
        let Some(definition) = self.definition(&place)? else { return Ok(None) };
        output::read(&place.dir, definition.created, after, limit).map(Some)
    }

    fn place(&self, uuid: &str) -> Place {
        Place::new(&self.root, &key(uuid))
    }

    /// The order of a folder. A folder without a good one is nobody's: whatever runs there is ended, and it is set aside.
    fn definition(&self, place: &Place) -> Result<Option<Definition>, Error> {
        if !place.dir.exists() {
            return Ok(None);
        }
        match place.definition()?.or_set_aside(&place.program()) {
            Some(definition) => Ok(Some(definition)),
            // Removed in the meantime.
            None if !place.dir.exists() => Ok(None),
            None => self.quarantine(place).map(|()| None),
        }
    }

    fn demand(&self, uuid: &str) -> Result<(Place, Definition), Error> {
        let place = self.place(uuid);
        let definition =
            self.definition(&place)?.ok_or_else(|| Error::NoProgram { uuid: uuid.to_owned() })?;
        Ok((place, definition))
    }

    /// The control groups of a program: those of its last start, if it was started by an agent elsewhere in the tree, and
    /// those that this agent would make.
    fn cages(&self, place: &Place) -> Result<Vec<Cage>, Error> {
        let path = place.launch();
        let recorded = files::read::<Launch>(&path)?.or_set_aside(&path).map(|launch| launch.cage);
        let mut cages: Vec<Cage> = recorded.into_iter().filter(|cage| cage.key == place.key).collect();
        if let Ok(cage) = self.cage(place)
            && !cages.contains(&cage)
        {
            cages.push(cage);
        }
        Ok(cages)
    }

    fn cage(&self, place: &Place) -> Result<Cage, Error> {
        let layout = self.layout.clone().map_err(|why| Error::Unavailable { why })?;
        Ok(Cage { layout, group: self.group.clone(), key: place.key.clone() })
    }
}

// What an agent was in the middle of making or removing when it was killed.
fn sweep(root: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(root).map_err(|error| Error::io("list", root, error))?.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(NEW) || name.starts_with(OLD)) {
            files::remove_folder(&entry.path())?;
        }
    }
    Ok(())
}
