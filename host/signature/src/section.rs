//! What the signature section holds. Each set and each signature follows its own length: `wasmsign2` writes it so, its
//! document leaves that out.
//!
//! ```text
//! sets:      01 01 01 | count | (length | set)*             version, content type, hash function
//! set:       count | hash* | count | (length | signature)*
//! signature: length | key id | algorithm | length | bytes
//! ```

use wasm_encoder::Encode as _;

use crate::key::KeyId;
use crate::reader::{FormatError, Reader};
use crate::wasm::{CUSTOM, SECTION, SECTION_LIMIT};

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// Most sets of hashes in a file: one is usual.
pub(crate) const SETS_LIMIT: usize = 16;
/// Most signatures of a set.
pub(crate) const SIGNATURES_LIMIT: usize = 16;
/// Most hashes of a set, as in `wasmsign2`.
pub(crate) const HASHES_LIMIT: usize = 64;
/// Longest key id, in bytes; those that are made here have 12.
const KEY_ID_LIMIT: usize = 128;

/// What every message begins with: version, WebAssembly, SHA-256.
const VERSIONS: [u8; 3] = [1, 1, 1];
/// The algorithm of an Ed25519 signature.
pub(crate) const ED25519: u8 = 1;
/// Length of such a signature, in bytes.
const ED25519_LENGTH: usize = 64;

/// One signature of a set of hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Whose it claims to be.
    pub(crate) key_id: KeyId,
    /// Others than [`ED25519`] are kept, and count for nothing.
    pub(crate) algorithm: u8,
    pub(crate) bytes: Vec<u8>,
}

impl Signature {
    fn read(mut reader: Reader<'_>) -> Result<Self, FormatError> {
        let key_id = KeyId::claimed(reader.counted("bytes in a key id", KEY_ID_LIMIT)?.rest());
        let algorithm = reader.byte()?;
        let bytes = reader.counted("bytes in a signature", SECTION_LIMIT)?;
        if algorithm == ED25519 && bytes.rest().len() != ED25519_LENGTH {
            return Err(bytes.damaged("a signature of a wrong length"));
        }
        reader.end()?;
        Ok(Self { key_id, algorithm, bytes: bytes.rest().to_vec() })
    }

    fn write(&self) -> Vec<u8> {
        let mut written = vec![];
        self.key_id.as_bytes().encode(&mut written);
        written.push(self.algorithm);
        self.bytes.encode(&mut written);
        written
    }
}

/// Hashes of a file's parts, and who signed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) hashes: Vec<Hash>,
    pub(crate) signatures: Vec<Signature>,
}

impl Set {
    fn read(mut reader: Reader<'_>) -> Result<Self, FormatError> {
        let begin = reader.clone();
        let hashes = reader.count("hashes in a set", HASHES_LIMIT)?;
        if hashes == 0 {
            return Err(begin.damaged("a set without hashes"));
        }
        let hashes = (0..hashes).map(|_| reader.array()).collect::<Result<_, _>>()?;
        let signatures = reader.count("signatures of a set", SIGNATURES_LIMIT)?;
        let signatures = (0..signatures)
            .map(|_| Signature::read(reader.counted("bytes in a signature", SECTION_LIMIT)?))
            .collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { hashes, signatures })
    }

    fn write(&self) -> Vec<u8> {
        let mut written = vec![];
        self.hashes.len().encode(&mut written);
        written.extend(self.hashes.iter().flatten());
        self.signatures.len().encode(&mut written);
        for signature in &self.signatures {
            signature.write().encode(&mut written);
        }
        written
    }

    /// What the signatures sign.
    pub(crate) fn message(&self) -> Vec<u8> {
        message(&self.hashes)
    }
}

/// What is signed for these hashes.
pub(crate) fn message(hashes: &[Hash]) -> Vec<u8> {
    [&b"wasmsig"[..], &VERSIONS, hashes.as_flattened()].concat()
}

/// Reads what a signature section holds.
pub(crate) fn read(mut reader: Reader<'_>) -> Result<Vec<Set>, FormatError> {
    for (what, known) in ["version", "content type", "hash function"].into_iter().zip(VERSIONS) {
        let found = reader.byte()?;
        if found != known {
            return Err(FormatError::Version { what, found });
        }
    }
    let sets = reader.count("sets of hashes", SETS_LIMIT)?;
    let sets = (0..sets)
        .map(|_| Set::read(reader.counted("bytes in a set", SECTION_LIMIT)?))
        .collect::<Result<_, _>>()?;
    reader.end()?;
    Ok(sets)
}

/// The whole section, from its id.
pub(crate) fn write(sets: &[Set]) -> Vec<u8> {
    let mut data = VERSIONS.to_vec();
    sets.len().encode(&mut data);
    for set in sets {
        set.write().encode(&mut data);
    }
    let mut written = vec![CUSTOM];
    wasm_encoder::CustomSection { name: SECTION.into(), data: data.into() }.encode(&mut written);
    written
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn signature() -> impl Strategy<Value = Signature> {
        let own = (Just(ED25519), vec(any::<u8>(), ED25519_LENGTH));
        let other = (2..=u8::MAX, vec(any::<u8>(), 0..200));
        (vec(any::<u8>(), 0..20), prop_oneof![own, other]).prop_map(|(id, (algorithm, bytes))| Signature {
            key_id: KeyId::claimed(&id),
            algorithm,
            bytes,
        })
    }

    fn sets() -> impl Strategy<Value = Vec<Set>> {
        let set = (vec(any::<Hash>(), 1..4), vec(signature(), 0..4));
        vec(set.prop_map(|(hashes, signatures)| Set { hashes, signatures }), 0..4)
    }

    /// The data of the section, which is behind its id, size and name.
    fn data(section: &[u8]) -> &[u8] {
        let name = section.windows(SECTION.len()).position(|window| window == SECTION.as_bytes());
        &section[name.unwrap() + SECTION.len()..]
    }

    proptest! {
        /// Each list of sets is written in one way, so nothing hides in what is not signed.
        #[test]
        fn what_is_read_is_what_is_written(
            sets in sets(),
            at in any::<prop::sample::Index>(),
            change in any::<u8>(),
            insert in any::<bool>(),
        ) {
            let section = write(&sets);
            let written = data(&section);
            prop_assert_eq!(read(Reader::new(written, 0)), Ok(sets));
            let mut changed = written.to_vec();
            if insert {
                changed.insert(at.index(written.len() + 1), change);
            } else {
                changed[at.index(written.len())] = change;
            }
            if let Ok(sets) = read(Reader::new(&changed, 0)) {
                let section = write(&sets);
                prop_assert_eq!(data(&section), changed);
            }
            for more in [&[0][..], &[1, 0]] {
                prop_assert!(read(Reader::new(&[written, more].concat(), 0)).is_err());
            }
        }
    }

    #[test]
    fn a_signature_ends_where_its_length_says() {
        let mut one = vec![0, ED25519, 64];
        one.extend([7; 64]);
        assert!(Signature::read(Reader::new(&one, 0)).is_ok());
        one.push(0);
        assert!(Signature::read(Reader::new(&one, 0)).is_err());
    }
}
