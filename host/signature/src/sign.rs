//! Putting signatures in, and taking them out.

use crate::key::SecretKey;
use crate::reader::FormatError;
use crate::section::{self, ED25519, SETS_LIMIT, SIGNATURES_LIMIT, Set, Signature, message};
use crate::wasm::{SECTION_LIMIT, Wasm, sections};

/// Why a file is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The file, or signatures that are in it, cannot be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// One more signature would be more than verifying accepts.
    #[error("there is no place for another signature: take the signatures away and sign anew")]
    Full,
}

/// Signs all content of a component or module. Signatures that are there stay as they are, and so does a file that the
/// key has signed already. The content keeps every byte, so [`strip`] gives back what was signed.
pub fn sign(wasm: &[u8], key: &SecretKey) -> Result<Vec<u8>, SignError> {
    let read = Wasm::read(wasm)?;
    let mut sets = read.signatures.clone().map_or(Ok(vec![]), section::read)?;
    let hashes = vec![read.hash()];
    let signature =
        Signature { key_id: key.public().id(), algorithm: ED25519, bytes: key.sign(&message(&hashes)) };
    let same = |set: &&mut Set| set.hashes == hashes;
    // Ed25519 signs the same content in the same way every time.
    if let Some(set) = sets.iter_mut().find(same) {
        if !set.signatures.contains(&signature) {
            set.signatures.push(signature);
        }
        if set.signatures.len() > SIGNATURES_LIMIT {
            return Err(SignError::Full);
        }
    } else {
        sets.push(Set { hashes, signatures: vec![signature] });
    }
    let section = section::write(&sets);
    if sets.len() > SETS_LIMIT || section.len() > SECTION_LIMIT {
        return Err(SignError::Full);
    }
    Ok([read.header, section.as_slice(), read.content].concat())
}

/// The file without its signatures, wherever they are: those that cannot be read go too.
pub fn strip(wasm: &[u8]) -> Result<Vec<u8>, FormatError> {
    let (_, header, sections) = sections(wasm)?;
    let mut stripped = header.to_vec();
    for section in sections {
        let section = section?;
        if !section.is_signature() {
            stripped.extend(section.bytes);
        }
    }
    Ok(stripped)
}
