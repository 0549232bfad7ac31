//! What the tests share.

use cardcage_signature::{SecretKey, sign};

pub const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
pub const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// One key for each number.
pub fn key(number: u8) -> SecretKey {
    let mut pem = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    pem.extend([number; 32]);
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pem);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    SecretKey::read(pem.as_bytes()).unwrap()
}

/// A section of less than 128 bytes.
pub fn section(id: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128);
    [&[id, u8::try_from(body.len()).unwrap()], body].concat()
}

/// A custom section.
pub fn custom(name: &str, data: &[u8]) -> Vec<u8> {
    section(0, &[&[u8::try_from(name.len()).unwrap()], name.as_bytes(), data].concat())
}

/// A component with a core module and a section of text.
pub fn component() -> Vec<u8> {
    [COMPONENT, &section(1, MODULE), &custom("cardcage:manifest", b"name = \"a\"")].concat()
}

pub fn signed() -> Vec<u8> {
    sign(&component(), &key(1)).unwrap()
}

/// Where the content of a file begins that was signed here with one key: 8 bytes of header, 2 of id and size and one
/// more if that is above 127, which it is.
pub fn content(signed: &[u8]) -> usize {
    assert_eq!(signed[8], 0);
    assert!(signed[9] > 127 && signed[10] < 128);
    11 + usize::from(signed[9] & 0x7f) + (usize::from(signed[10]) << 7)
}

/// A test that this machine cannot run: said, and in the pipeline an error.
#[expect(clippy::print_stdout, reason = "for whoever reads the tests' output")]
pub fn skip(why: &str) {
    assert!(
        std::env::var_os("CARDCAGE_CI").is_none_or(|set| set.is_empty()),
        "cannot be skipped here: {why}"
    );
    println!("skipped: {why}");
}
