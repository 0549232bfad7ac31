//! `wasmsign2`, which wrote the format down, and OpenSSL, which makes keys.

use std::path::Path;
use std::process::Command;

use cardcage_signature::{Encoding, PublicKey, SecretKey, VerifyError, sign, signers, strip, verify};
use sha2::Digest as _;
use wasmsign2::{Module, PublicKey as OtherPublic, SecretKey as OtherSecret};

use super::bench::{COMPONENT, MODULE, component, content, custom, key, section, signed, skip};

fn other_secret(number: u8) -> OtherSecret {
    OtherSecret::from_pem(&key(number).to_pem()).unwrap()
}

fn other_public(number: u8) -> OtherPublic {
    OtherPublic::from_bytes(&key(number).public().to_raw()).unwrap().attach_default_key_id()
}

fn other_module(file: &[u8]) -> Module {
    Module::deserialize(&mut &*file).unwrap()
}

fn written(module: &Module) -> Vec<u8> {
    let mut file = vec![];
    module.serialize(&mut file).unwrap();
    file
}

/// As its command line signs.
fn other_signs(file: &[u8], number: u8, extensions: bool) -> Vec<u8> {
    let id = other_public(number).key_id().cloned();
    let signed = other_secret(number).sign_multi(other_module(file), id.as_ref(), false, extensions);
    written(&signed.unwrap().0)
}

fn other_verifies(file: &[u8], number: u8) -> bool {
    other_public(number).verify(&mut &*file, None).is_ok()
}

fn verifies(file: &[u8], encoding: Encoding, number: u8) -> bool {
    verify(file, encoding, [&key(number).public()]).is_ok()
}

fn files() -> [(Vec<u8>, Encoding); 3] {
    [
        (component(), Encoding::Component),
        ([MODULE, &section(1, &[0]), &custom("name", b"")].concat(), Encoding::Module),
        (COMPONENT.to_vec(), Encoding::Component),
    ]
}

#[test]
fn the_other_accepts_what_is_signed_here() {
    for (file, _) in files() {
        let signed = sign(&sign(&file, &key(1)).unwrap(), &key(2)).unwrap();
        for number in [1, 2] {
            assert!(other_verifies(&signed, number));
            let named = OtherPublic { key_id: None, ..other_public(number) };
            assert!(named.verify(&mut &*signed, None).is_ok());
        }
        assert!(!other_verifies(&signed, 3));
        let info = wasmsign2::signature_info_from_reader(&mut &*signed, None).unwrap();
        let ids: Vec<_> = signers(&signed).unwrap().iter().map(|id| id.as_bytes().to_vec()).collect();
        assert_eq!(info.key_ids(), ids);
    }
}

#[test]
fn what_the_other_signs_is_accepted_here_byte_for_byte() {
    for (file, encoding) in files() {
        let theirs = other_signs(&file, 1, false);
        assert_eq!(theirs, sign(&file, &key(1)).unwrap());
        assert!(verifies(&theirs, encoding, 1));
        assert!(!verifies(&theirs, encoding, 2));
        let simple = written(&other_secret(1).sign(other_module(&file), None).unwrap());
        assert!(verifies(&simple, encoding, 1));
        assert_eq!(signers(&simple).unwrap()[0].to_string(), "a key without an id");
        assert_eq!(strip(&simple).unwrap(), file);
    }
}

#[test]
fn either_adds_its_signature_to_the_others() {
    for (file, encoding) in files() {
        for signed in [
            other_signs(&sign(&file, &key(1)).unwrap(), 2, false),
            sign(&other_signs(&file, 1, false), &key(2)).unwrap(),
        ] {
            for number in [1, 2] {
                assert!(verifies(&signed, encoding, number));
                assert!(other_verifies(&signed, number));
            }
        }
    }
}

#[test]
fn a_key_has_the_same_files_and_the_same_id() {
    for number in 1..9 {
        let (ours, theirs) = (key(number), other_secret(number));
        assert_eq!(SecretKey::read(&theirs.to_bytes()).unwrap().public(), ours.public());
        assert_eq!(SecretKey::read(theirs.to_pem().as_bytes()).unwrap().public(), ours.public());
        let public = other_public(number);
        assert_eq!(ours.public().to_raw()[..], public.to_bytes());
        assert_eq!(ours.public().to_pem(), public.to_pem());
        assert_eq!(PublicKey::read(&public.to_bytes()), Ok(ours.public()));
        assert_eq!(ours.public().id().as_bytes(), public.key_id().unwrap());
    }
}

/// Signing with room for extensions divides the file into parts. A signature counts if its parts are all there are.
#[test]
fn parts_count_only_together() {
    let parts = other_signs(&component(), 1, true);
    assert!(verifies(&parts, Encoding::Component, 1));
    let more = [parts.clone(), custom("more", b"")].concat();
    assert!(!verifies(&more, Encoding::Component, 1));
    // The second signer signs both parts, the first one's signature covers the first.
    let extended = other_signs(&more, 2, true);
    assert!(verifies(&extended, Encoding::Component, 2));
    let changed = verify(&extended, Encoding::Component, [&key(1).public()]);
    assert_eq!(changed, Err(VerifyError::Changed { id: key(1).public().id() }));
    // Without the second part, only the first one's signature is about this file. The other accepts both.
    let cut = &extended
        [..extended.len() - custom("more", b"").len() - custom("signature_delimiter", &[0; 16]).len()];
    assert!(verifies(cut, Encoding::Component, 1));
    assert!(!verifies(cut, Encoding::Component, 2));
    assert!(other_verifies(cut, 2));
    // Signed here, all of it counts, whatever its parts are.
    let whole = sign(&extended, &key(3)).unwrap();
    assert!(verifies(&whole, Encoding::Component, 3) && verifies(&whole, Encoding::Component, 2));
    assert!(other_verifies(&whole, 3) && other_verifies(&whole, 2));
}

/// The other writes the sections anew when it signs, with short lengths; here they stay as they are.
#[test]
fn long_lengths_are_signed_as_they_are() {
    let long = [COMPONENT, &[1, 0x88, 0x80, 0x80, 0x80, 0], MODULE].concat();
    let signed = sign(&long, &key(1)).unwrap();
    assert!(verifies(&signed, Encoding::Component, 1) && other_verifies(&signed, 1));
    assert_eq!(strip(&signed).unwrap(), long);
    // So its signature is one of another file, and it loses ours.
    let again = other_signs(&signed, 2, false);
    assert!(verifies(&again, Encoding::Component, 2) && !verifies(&again, Encoding::Component, 1));
}

/// The other does not sign the header either, and does not ask what it should be.
#[test]
fn the_other_takes_a_component_for_a_module() {
    let swapped = [MODULE, &signed()[8..]].concat();
    assert!(other_verifies(&swapped, 1));
    assert!(!verifies(&swapped, Encoding::Component, 1));
}

fn openssl(folder: &Path, arguments: &str) -> bool {
    let ran = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    ran.status.success()
}

#[test]
fn openssl_makes_the_keys_and_verifies_the_signature() {
    let version = Command::new("openssl").arg("version").output();
    let version = version.map(|version| String::from_utf8(version.stdout).unwrap());
    if !version.as_ref().is_ok_and(|version| version.starts_with("OpenSSL 3.")) {
        return skip(&format!("no OpenSSL 3: {version:?}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(openssl(folder.path(), "genpkey -algorithm ed25519 -out secret.pem"));
    assert!(openssl(folder.path(), "pkey -in secret.pem -pubout -out public.pem"));
    let pem = std::fs::read(path("secret.pem")).unwrap();
    let secret = SecretKey::read(&pem).unwrap();
    let public = PublicKey::read(&std::fs::read(path("public.pem")).unwrap()).unwrap();
    assert_eq!(secret.public(), public);
    assert_eq!(secret.to_pem().as_bytes(), pem);

    let signed = sign(&component(), &secret).unwrap();
    let begin = content(&signed);
    let hash = sha2::Sha256::digest(&signed[begin..]);
    std::fs::write(path("message"), [&b"wasmsig\x01\x01\x01"[..], &hash].concat()).unwrap();
    std::fs::write(path("signature"), &signed[begin - 64..begin]).unwrap();
    let verify = "pkeyutl -verify -rawin -pubin -inkey public.pem -in message -sigfile signature";
    assert!(openssl(folder.path(), verify));
    // And keys that are made here.
    let other = SecretKey::generate().unwrap();
    std::fs::write(path("secret.pem"), other.to_pem()).unwrap();
    std::fs::write(path("public.pem"), other.public().to_pem()).unwrap();
    assert!(!openssl(folder.path(), verify));
    let sign = "pkeyutl -sign -rawin -inkey secret.pem -in message -out signature";
    assert!(openssl(folder.path(), sign));
    assert!(openssl(folder.path(), verify));
}
