//! Which content an address had last, so that the repository can say that it is unchanged. It is never believed without
//! asking there. One small file, written whole: there are few addresses, and each change is rare.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::catalog::Catalog;
use crate::Digest;
use crate::files::{read_bounded, write_atomically};

/// Addresses that are remembered; the longest unused goes.
const ADDRESSES: usize = 1024;
/// Of the file, in bytes.
const LIMIT: u64 = 4 << 20;

pub(super) struct Addresses {
    path: PathBuf,
    known: BTreeMap<String, Known>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) digest: String,
    pub(super) etag: Option<String>,
    pub(super) modified: Option<String>,
    /// Seconds since 1970.
    pub(super) used: u64,
}

impl Addresses {
    /// An unreadable file costs a transfer each, nothing else.
    pub(super) fn load(path: PathBuf) -> io::Result<Self> {
        let bytes = read_bounded(&path, LIMIT)?.unwrap_or_default();
        let known = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Self { path, known })
    }

    /// What to ask about: an address whose content is kept.
    pub(super) fn known(&self, key: Digest) -> Option<(Digest, Known)> {
        let known = self.known.get(&key.to_string())?;
        Some((known.digest.parse().ok()?, known.clone()))
    }

    pub(super) fn learn(
        &mut self,
        key: Digest,
        digest: Digest,
        etag: Option<String>,
        modified: Option<String>,
        catalog: &Catalog,
    ) -> io::Result<()> {
        let used = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.known.retain(|_, known| known.digest.parse().is_ok_and(|digest| catalog.has(digest)));
        self.known.insert(key.to_string(), Known { digest: digest.to_string(), etag, modified, used });
        while self.known.len() > ADDRESSES {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.used).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
        let bytes = serde_json::to_vec(&self.known).map_err(io::Error::other)?;
        write_atomically(&self.path, &bytes)
    }
}
