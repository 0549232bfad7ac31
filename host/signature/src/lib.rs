//! Signatures inside WebAssembly files, in the format of <https://github.com/WebAssembly/tool-conventions>
//! (`Signatures.md`), as `wasmsign2` writes it: Ed25519 over the SHA-256 of what follows the first section, which is a
//! custom section named `signature`. Runtimes pass over that section, so a signed plugin stays a plugin.
//!
//! ```text
//! \0asm 0d 00 01 00 | 00 size "signature" sets | every other section, to the end of the file
//! `--- not signed --'---- not signed, bounded -'------------- signed ------------------'
//! ```
//!
//! What is not signed says nothing that is believed: ids of keys are for people, hashes are computed anew, and what
//! the eight bytes of the header must say is the caller's to know ([`Encoding`]). A signature counts only if it
//! covers everything that follows it. What verifies was read from memory: run those bytes, not the file again.
//!
//! sign:   file -> wasm -> section -> sign
//! verify: file -> wasm -> section -> verify -> the keys that stand for it

mod key;
mod pem;
mod reader;
mod section;
mod sign;
mod verify;
mod wasm;

pub use key::{KeyError, KeyId, PublicKey, SecretKey};
pub use reader::FormatError;
pub use sign::{SignError, sign, strip};
pub use verify::{VerifyError, signers, verify};
pub use wasm::Encoding;
