//! Keys as text, in PEM. The DER inside is always the same for Ed25519 (RFC 8410), up to the key itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What stands between the lines of a secret key (PKCS#8).
pub(crate) const SECRET: &str = "PRIVATE KEY";
/// What stands between the lines of a public key (SubjectPublicKeyInfo).
pub(crate) const PUBLIC: &str = "PUBLIC KEY";

/// What comes before the 32 bytes of a secret key.
const SECRET_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// What comes before the 32 bytes of a public key.
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
/// A secret key with its public one (RFC 5958), as `ring` reads two spellings of it: the part before the seed.
const PAIR_PREFIXES: [[u8; 16]; 2] = [
    [0x30, 0x51, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20],
    [0x30, 0x53, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20],
];
/// What may come between both.
const PAIR_MIDDLES: [&[u8]; 2] = [&[0x81, 0x21, 0], &[0xa1, 0x23, 3, 0x21, 0]];

/// The DER of the one block with this label; `None` if there is none, several, or a damaged one.
fn decode(text: &str, label: &str) -> Option<Vec<u8>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let (_, after) = text.split_once(&begin)?;
    let (inside, rest) = after.split_once(&end)?;
    if rest.contains(&begin) {
        return None;
    }
    let packed: String = inside.split_ascii_whitespace().collect();
    STANDARD.decode(packed).ok()
}

fn encode(der: &[u8], label: &str) -> String {
    // Both kinds fit into one line of 64 characters.
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

pub(crate) fn read_public(text: &str) -> Option<[u8; 32]> {
    decode(text, PUBLIC)?.strip_prefix(&PUBLIC_PREFIX)?.try_into().ok()
}

pub(crate) fn write_public(key: &[u8; 32]) -> String {
    encode(&[&PUBLIC_PREFIX[..], key].concat(), PUBLIC)
}

/// The seed, and the public key if that is there too.
pub(crate) fn read_secret(text: &str) -> Option<([u8; 32], Option<[u8; 32]>)> {
    let der = decode(text, SECRET)?;
    if let Some(seed) = der.strip_prefix(&SECRET_PREFIX) {
        return Some((seed.try_into().ok()?, None));
    }
    PAIR_PREFIXES.iter().zip(PAIR_MIDDLES).find_map(|(prefix, middle)| {
        let (seed, rest) = der.strip_prefix(prefix)?.split_first_chunk()?;
        Some((*seed, Some(rest.strip_prefix(middle)?.try_into().ok()?)))
    })
}

pub(crate) fn write_secret(seed: &[u8; 32]) -> String {
    encode(&[&SECRET_PREFIX[..], seed].concat(), SECRET)
}
