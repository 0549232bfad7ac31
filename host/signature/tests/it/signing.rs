//! One signer and several, on any file.

use cardcage_signature::{Encoding, FormatError, SignError, VerifyError, sign, signers, strip, verify};
use proptest::prelude::*;

use super::bench::{COMPONENT, MODULE, component, custom, key, section, signed};

#[test]
fn what_is_signed_verifies_and_can_be_stripped_again() {
    for (file, encoding) in [
        (component(), Encoding::Component),
        (COMPONENT.to_vec(), Encoding::Component),
        (MODULE.to_vec(), Encoding::Module),
        ([MODULE, &section(1, &[0])].concat(), Encoding::Module),
    ] {
        let key = key(1);
        let signed = sign(&file, &key).unwrap();
        assert_eq!(verify(&signed, encoding, [&key.public()]), Ok(vec![key.public()]));
        assert_eq!(signers(&signed).unwrap(), [key.public().id()]);
        assert_eq!(strip(&signed).unwrap(), file);
        assert!(signed.ends_with(&file[8..]));
    }
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let signed = sign(COMPONENT, &key(1)).unwrap();
    let frame = [&b"\0asm\x0d\0\x01\0\0\x81\x01\x09signature"[..], &[1, 1, 1, 1, 114, 1]].concat();
    assert!(signed.starts_with(&frame), "{signed:x?}");
    // The SHA-256 of nothing, then one signature with its key id.
    assert_eq!(signed[frame.len()..][..4], [0xe3, 0xb0, 0xc4, 0x42]);
    assert_eq!(signed[frame.len() + 32..][..3], [1, 79, 12]);
    assert_eq!(signed[frame.len() + 35..][..12], *key(1).public().id().as_bytes());
    assert_eq!(signed[frame.len() + 47..][..2], [1, 64]);
    assert_eq!(signed.len(), frame.len() + 49 + 64);
}

#[test]
fn another_signer_leaves_the_first_ones_signature() {
    let (first, second, third) = (key(1), key(2), key(3));
    let twice = sign(&signed(), &second).unwrap();
    let keys = [second.public(), third.public(), first.public(), first.public()];
    // In the order of the caller, and a key that is listed twice is one.
    assert_eq!(verify(&twice, Encoding::Component, &keys), Ok(vec![keys[0], keys[2]]));
    assert_eq!(signers(&twice).unwrap(), [first.public().id(), second.public().id()]);
    assert_eq!(strip(&twice).unwrap(), component());
    // Signing again changes nothing.
    assert_eq!(sign(&twice, &first).unwrap(), twice);
    assert_eq!(sign(&twice, &second).unwrap(), twice);
}

#[test]
fn a_file_without_a_good_signature_is_refused_with_the_reason() {
    let (first, second) = (key(1).public(), key(2).public());
    let check = |file: &[u8], keys: &[_]| verify(file, Encoding::Component, keys).unwrap_err();
    assert_eq!(check(&component(), &[first]), VerifyError::Unsigned);
    assert_eq!(check(&signed(), &[]), VerifyError::NoKeys);
    let other = check(&signed(), &[second]);
    assert_eq!(other, VerifyError::NoTrustedKey { ids: vec![first.id()] });
    assert!(other.to_string().contains(&first.id().to_string()), "{other}");
    let mut changed = signed();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(check(&changed, &[second, first]), VerifyError::Changed { id: first.id() });
    let extended = [signed(), custom("more", b"")].concat();
    assert_eq!(check(&extended, &[first]), VerifyError::Changed { id: first.id() });
    let format = check(b"\x7fELF", &[first]);
    assert_eq!(format, VerifyError::Format(FormatError::NotWasm));
}

#[test]
fn a_file_that_was_changed_can_be_signed_anew() {
    let changed = [signed(), custom("more", b"")].concat();
    let again = sign(&changed, &key(1)).unwrap();
    assert!(verify(&again, Encoding::Component, [&key(1).public()]).is_ok());
    assert_eq!(strip(&again).unwrap(), [component(), custom("more", b"")].concat());
}

#[test]
fn signers_have_an_end() {
    let full = (0..16).fold(component(), |file, number| sign(&file, &key(number)).unwrap());
    assert_eq!(sign(&full, &key(16)), Err(SignError::Full));
    let keys: Vec<_> = (0..16).map(|number| key(number).public()).collect();
    assert_eq!(verify(&full, Encoding::Component, &keys).unwrap().len(), 16);
    // As many times as the content changes.
    let changed = |file: Vec<u8>| [file, custom("more", b"")].concat();
    let full = (0..16).fold(component(), |file, _| sign(&changed(file), &key(0)).unwrap());
    assert_eq!(sign(&changed(full.clone()), &key(0)), Err(SignError::Full));
    assert!(verify(&full, Encoding::Component, &keys).is_ok());
    assert!(sign(&strip(&changed(full)).unwrap(), &key(0)).is_ok());
}

fn sections() -> impl Strategy<Value = Vec<u8>> {
    let data = || proptest::collection::vec(any::<u8>(), 0..100);
    let one = prop_oneof![
        (1..12_u8, data()).prop_map(|(id, body)| section(id, &body)),
        data().prop_map(|body| custom("name", &body)),
        data().prop_map(|body| custom("signature_delimiter", &body)),
        // Others write lengths longer than they must be.
        data().prop_map(|body| [&[1, u8::try_from(body.len()).unwrap() | 0x80, 0x80, 0], &*body].concat()),
    ];
    proptest::collection::vec(one, 0..8).prop_map(|sections| sections.concat())
}

proptest! {
    #[test]
    fn any_sections_keep_their_bytes_and_their_signers(sections in sections(), signers in 1..5_u8) {
        let file = [COMPONENT, &sections].concat();
        let signed = (0..signers).fold(file.clone(), |file, number| sign(&file, &key(number)).unwrap());
        prop_assert_eq!(strip(&signed).unwrap(), file);
        for number in 0..signers {
            let key = key(number).public();
            prop_assert_eq!(verify(&signed, Encoding::Component, [&key]), Ok(vec![key]));
        }
    }
}
