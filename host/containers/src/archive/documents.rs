//! Small files of the archive: its indexes, and what could be a manifest or a configuration.
//!
//! Which of them those are is said by an index, and that one may come last; so whatever could be one is kept, as long as it
//! is not much. What was not kept and is needed later makes the archive one that cannot be used.

use std::collections::HashMap;
use std::io::Read as _;

use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::entries::{Entries, Entry, Kind};
use super::{Fault, wrong};

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const INDEX: &str = "index.json";
/// Names of images, in an older format.
pub(super) const REPOSITORIES: &str = "repositories";

/// Of one; as much as the engines take.
const DOCUMENT: u64 = 4 << 20;
/// Of all that are kept.
const ALL: u64 = 16 << 20;

/// By their names.
#[derive(Debug, Default)]
pub(super) struct Documents {
    kept: HashMap<String, Vec<u8>>,
    length: u64,
}

/// What stands in the archive for the index that is made here.
pub(super) fn is_index(name: &str) -> bool {
    matches!(name, MANIFEST | INDEX | REPOSITORIES)
}

impl Documents {
    /// Looks at an entry, and keeps it if it may be needed.
    pub(super) fn consider<R: std::io::Read>(
        &mut self,
        entry: &Entry,
        entries: &mut Entries<R>,
    ) -> Result<(), Fault> {
        let top = entry.name.split('/').next().unwrap_or_default();
        if is_index(top) && (entry.kind != Kind::File || top != entry.name) {
            return wrong(format!("its {top} is no file"));
        }
        let is_needed = matches!(top, MANIFEST | INDEX);
        if is_needed && entry.size > DOCUMENT {
            return wrong(format!("its {} has more than 4 MiB", entry.name));
        }
        let fits = entry.size <= DOCUMENT && (is_needed || self.length + entry.size <= ALL);
        if entry.kind != Kind::File || entry.name == REPOSITORIES || entry.size == 0 || !fits {
            return Ok(());
        }
        let mut first = [0];
        entries.read_exact(&mut first).map_err(Fault::Read)?;
        // Layers are not JSON.
        if is_needed || matches!(first, [b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n']) {
            let mut document = first.to_vec();
            entries.read_to_end(&mut document).map_err(Fault::Read)?;
            self.length += entry.size;
            self.kept.insert(entry.name.clone(), document);
        }
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.kept.get(name).map(Vec::as_slice)
    }
}

/// `what` says what it is, for messages.
pub(super) fn parse<T: DeserializeOwned>(what: &str, document: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(document).map_err(|error| Fault::Wrong(format!("{what} is malformed: {error}")))
}

pub(super) fn sha256(document: &[u8]) -> String {
    let digits = Sha256::digest(document).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("sha256:{digits}")
}
