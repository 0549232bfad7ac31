//! Keys: made, read, written, named.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::pem;

/// Longest text or file that may be a key, in bytes.
const LIMIT: usize = 16 << 10;
/// What a key of one line begins with.
const SCHEME: &str = "ed25519:";
/// First byte of a public key's file, as `wasmsign2` writes it.
const RAW_PUBLIC: u8 = 0x01;
/// First byte of a secret key's file.
const RAW_SECRET: u8 = 0x81;

/// Why something is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing that a public key looks like.
    #[error(
        "not an Ed25519 public key: it is PEM, as `openssl pkey -pubout` writes it, or one line, ed25519:BASE64"
    )]
    NotPublic,
    /// Nothing that a secret key looks like.
    #[error(
        "not an Ed25519 secret key: it is PEM without a password, as `openssl genpkey -algorithm ed25519` writes it"
    )]
    NotSecret,
    /// A secret key where others may read it.
    #[error(
        "a secret key where a public one belongs: take `openssl pkey -pubout`, and keep the secret one away"
    )]
    Secret,
    /// A secret key with the public key of another.
    #[error("a secret key that comes with the public key of another: get both anew")]
    Mismatch,
    /// A key for which anyone can sign.
    #[error("a public key that anyone can sign for: make another, `openssl genpkey -algorithm ed25519`")]
    Weak,
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// Names a key: the first 12 bytes of an HMAC-SHA256 with it, as `wasmsign2` computes them. In a file it is a claim, of
/// any bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Box<[u8]>);

impl KeyId {
    pub(crate) fn claimed(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes; none if a signer gave no name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Its fingerprint, in hexadecimal.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("a key without an id");
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Verifies. Its text is one line, such as `ed25519:GaAD...=`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    fn new(bytes: [u8; 32]) -> Result<Self, KeyError> {
        if is_weak(bytes) { Err(KeyError::Weak) } else { Ok(Self(bytes)) }
    }

    /// Reads a key file: PEM, one line of text, or the raw form of `wasmsign2`.
    pub fn read(file: &[u8]) -> Result<Self, KeyError> {
        if let [RAW_PUBLIC, key @ ..] = file
            && let Ok(key) = key.try_into()
        {
            return Self::new(key);
        }
        let text = std::str::from_utf8(file).map_err(|_| KeyError::NotPublic)?;
        text.parse()
    }

    /// In PEM.
    pub fn to_pem(&self) -> String {
        pem::write_public(&self.0)
    }

    /// In the raw form of `wasmsign2`.
    pub fn to_raw(&self) -> [u8; 33] {
        let mut raw = [RAW_PUBLIC; 33];
        for (to, from) in raw.iter_mut().skip(1).zip(self.0) {
            *to = from;
        }
        raw
    }

    /// Its name in files and messages.
    pub fn id(&self) -> KeyId {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.0);
        let tag = ring::hmac::sign(&key, b"key_id");
        KeyId(tag.as_ref().iter().copied().take(12).collect())
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// PEM, or one line.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() > LIMIT {
            return Err(KeyError::NotPublic);
        }
        // Even if the public one is there too: the file is in the wrong place.
        if text.contains(pem::SECRET) {
            return Err(KeyError::Secret);
        }
        let text = text.trim();
        let key = match text.strip_prefix(SCHEME) {
            Some(key) => STANDARD.decode(key).ok().and_then(|key| key.try_into().ok()),
            None => pem::read_public(text),
        };
        Self::new(key.ok_or(KeyError::NotPublic)?)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The points of small order, in all their spellings: with such a key, one signature is valid for many messages. By
/// their y coordinate, the sign of x does not matter. Ring does not look for them.
fn is_weak(mut key: [u8; 32]) -> bool {
    /// The two coordinates of order eight.
    const EIGHT: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let [.., sign] = &mut key;
    *sign &= 0x7f;
    let [first, middle @ .., last] = key;
    // 0 and 1; p - 1, where p is 2^255 - 19; and what is p or more, which no key is written as.
    let small = first <= 1 && last == 0 && middle == [0; 30];
    let large = first >= 0xec && last == 0x7f && middle == [0xff; 30];
    small || large || EIGHT.contains(&key)
}

/// Signs. It is nowhere shown; a program that holds it signs and ends.
pub struct SecretKey {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl SecretKey {
    fn new(seed: [u8; 32], public: Option<[u8; 32]>) -> Result<Self, KeyError> {
        let pair = match public {
            Some(public) => Ed25519KeyPair::from_seed_and_public_key(&seed, &public),
            None => Ed25519KeyPair::from_seed_unchecked(&seed),
        };
        Ok(Self { seed, pair: pair.map_err(|_| KeyError::Mismatch)? })
    }

    /// A new key, of the system's random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).map_err(|_| KeyError::Random)?;
        Self::new(seed, None)
    }

    /// Reads a key file: PEM, or the raw form of `wasmsign2`.
    pub fn read(file: &[u8]) -> Result<Self, KeyError> {
        if let [RAW_SECRET, pair @ ..] = file
            && let Some((seed, public)) = pair.split_first_chunk()
        {
            return Self::new(*seed, Some(public.try_into().map_err(|_| KeyError::NotSecret)?));
        }
        let text = std::str::from_utf8(file).ok().filter(|text| text.len() <= LIMIT);
        let (seed, public) = text.and_then(pem::read_secret).ok_or(KeyError::NotSecret)?;
        Self::new(seed, public)
    }

    /// In PEM, without a password: write it where only its owner reads.
    pub fn to_pem(&self) -> String {
        pem::write_secret(&self.seed)
    }

    /// What others verify with.
    pub fn public(&self) -> PublicKey {
        // Ring's public keys have 32 bytes.
        PublicKey(self.pair.public_key().as_ref().try_into().unwrap_or_default())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public().id())
    }
}
