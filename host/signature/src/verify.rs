//! Who stands for a file.

use crate::key::{KeyId, PublicKey};
use crate::reader::FormatError;
use crate::section::{self, ED25519, Set, Signature};
use crate::wasm::{Encoding, Wasm};

/// Why nobody who is trusted stands for a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The file, or the signatures in it, cannot be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The header, which no signature covers, is another than the caller will run.
    #[error("a {found}, where a {expected} is expected")]
    Encoding {
        /// What the caller will run.
        expected: Encoding,
        /// What the file says.
        found: Encoding,
    },
    /// No signature.
    #[error("not signed: sign it with a key that is trusted here")]
    Unsigned,
    /// No key to verify with.
    #[error("no key is trusted here: name the keys whose signatures count")]
    NoKeys,
    /// Signed by others.
    #[error("signed by {}, none of which is trusted here: trust one of them, or sign with a key that is", list(.ids))]
    NoTrustedKey {
        /// The keys that the file names.
        ids: Vec<KeyId>,
    },
    /// It names a key that is trusted, with a signature that is not that key's.
    #[error("the signature of {id} is not that key's: it is forged or damaged, get the file anew")]
    Forged {
        /// The key.
        id: KeyId,
    },
    /// A trusted key signed something else, or only a part of this.
    #[error(
        "what {id} signed is not all that is in the file: it was changed or extended, get what was signed"
    )]
    Changed {
        /// The key.
        id: KeyId,
    },
}

/// A message has an end, however many signatures there are.
fn list(ids: &[KeyId]) -> String {
    const SHOWN: usize = 4;
    let mut shown: Vec<_> = ids.iter().take(SHOWN).map(KeyId::to_string).collect();
    if ids.len() > SHOWN {
        shown.push(format!("{} more", ids.len() - SHOWN));
    }
    shown.join(", ")
}

/// Which of the keys signed all of the content: one at least, each once, in the order of the caller. `encoding` is what
/// the caller will run, because no signature says so.
pub fn verify<'k>(
    wasm: &[u8],
    encoding: Encoding,
    keys: impl IntoIterator<Item = &'k PublicKey>,
) -> Result<Vec<PublicKey>, VerifyError> {
    let read = Wasm::read(wasm)?;
    if read.encoding != encoding {
        return Err(VerifyError::Encoding { expected: encoding, found: read.encoding });
    }
    let sets = read.signatures.clone().map_or(Ok(vec![]), section::read)?;
    if sets.iter().all(|set| set.signatures.is_empty()) {
        return Err(VerifyError::Unsigned);
    }
    let mut known: Vec<PublicKey> = vec![];
    for &key in keys {
        // A key that is listed twice must not count as two signers.
        if !known.contains(&key) {
            known.push(key);
        }
    }
    if known.is_empty() {
        return Err(VerifyError::NoKeys);
    }
    let (whole, parts) = (vec![read.hash()], read.hashes());
    // A list of other hashes, even with the right one in it, was made for another file: one that was cut at a delimiter.
    let covers = |set: &&Set| set.hashes == whole || set.hashes == parts;
    let (all, other): (Vec<&Set>, Vec<&Set>) = sets.iter().partition(covers);
    let good: Vec<_> = known.iter().copied().filter(|key| signed(*key, &all)).collect();
    if good.is_empty() { Err(refusal(&known, &sets, &other)) } else { Ok(good) }
}

/// Whether a key signed one of the sets. The id that a signature claims does not matter: it may lie.
fn signed(key: PublicKey, sets: &[&Set]) -> bool {
    sets.iter().any(|set| {
        let message = set.message();
        let mut signatures = set.signatures.iter().filter(|signature| signature.algorithm == ED25519);
        signatures.any(|signature| key.verifies(&message, &signature.bytes))
    })
}

/// The most useful of the reasons.
fn refusal(keys: &[PublicKey], sets: &[Set], other: &[&Set]) -> VerifyError {
    if let Some(key) = keys.iter().find(|key| signed(**key, other)) {
        return VerifyError::Changed { id: key.id() };
    }
    let ids = claimed(sets);
    match keys.iter().map(|key| key.id()).find(|id| ids.contains(id)) {
        Some(id) => VerifyError::Forged { id },
        None => VerifyError::NoTrustedKey { ids },
    }
}

/// The ids in the file, each once.
fn claimed(sets: &[Set]) -> Vec<KeyId> {
    let mut ids: Vec<KeyId> = vec![];
    for Signature { key_id, .. } in sets.iter().flat_map(|set| &set.signatures) {
        if !ids.contains(key_id) {
            ids.push(key_id.clone());
        }
    }
    ids
}

/// Whose signatures the file claims to have, each id once: for people, verified is nothing.
pub fn signers(wasm: &[u8]) -> Result<Vec<KeyId>, FormatError> {
    let sets = Wasm::read(wasm)?.signatures.map_or(Ok(vec![]), section::read)?;
    Ok(claimed(&sets))
}
