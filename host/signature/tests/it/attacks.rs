//! Files that somebody made in order to be trusted.

use cardcage_signature::{
    Encoding, FormatError, KeyId, PublicKey, VerifyError, sign, signers, strip, verify,
};
use proptest::prelude::*;

use super::bench::{COMPONENT, MODULE, component, content, custom, key, section, signed};

fn trusted(file: &[u8]) -> Result<usize, VerifyError> {
    verify(file, Encoding::Component, [&key(1).public(), &key(2).public()]).map(|keys| keys.len())
}

fn refused(file: &[u8]) -> FormatError {
    match trusted(file) {
        Err(VerifyError::Format(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Only the twelve bytes of a key id may change, and then nothing else does: it is a claim that nobody believes.
#[test]
fn no_byte_of_a_signed_file_can_change_but_the_name_that_its_key_claims() {
    let (signed, trusted) = (signed(), key(1).public());
    let begin = content(&signed);
    let key_id = begin - 78..begin - 66;
    assert_eq!(signed[key_id.clone()], *key(1).public().id().as_bytes());
    for at in 0..signed.len() {
        for byte in (0..=255).filter(|byte| *byte != signed[at]) {
            let mut file = signed.clone();
            file[at] = byte;
            let accepted = verify(&file, Encoding::Component, [&trusted]).is_ok();
            assert_eq!(accepted, key_id.contains(&at), "byte {at} as {byte:#x}");
            if accepted {
                assert_eq!(strip(&file).unwrap(), component());
                assert_ne!(signers(&file).unwrap(), [key(1).public().id()]);
            }
        }
    }
}

#[test]
fn with_two_signers_a_changed_byte_loses_one_at_most_and_only_if_it_is_its_own() {
    let twice = sign(&signed(), &key(2)).unwrap();
    let records = content(&twice) - 2 * 80;
    for at in 0..twice.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut file = twice.clone();
            file[at] ^= change;
            if let Ok(signers) = trusted(&file) {
                // In a signature of one, or in a key id.
                let (record, within) = ((at - records) / 80, (at - records) % 80);
                assert!(at >= records && record < 2, "byte {at}");
                assert!((2..15).contains(&within) || (16..80).contains(&within), "byte {at}");
                assert_eq!(signers, if within < 14 { 2 } else { 1 }, "byte {at}");
                assert_eq!(strip(&file).unwrap(), component());
            }
        }
    }
}

#[test]
fn nothing_can_be_cut_off_or_put_in() {
    let signed = signed();
    let begin = content(&signed);
    for end in 0..signed.len() {
        assert!(trusted(&signed[..end]).is_err(), "cut at {end}");
    }
    for at in (8..=signed.len()).filter(|at| *at == 8 || *at >= begin) {
        let extended = [&signed[..at], &custom("a", b""), &signed[at..]].concat();
        assert!(trusted(&extended).is_err(), "extended at {at}");
    }
    assert!(matches!(refused(&[&signed[..], &[0]].concat()), FormatError::Damaged { .. }));
}

#[test]
fn signatures_stand_first_and_once() {
    let signed = signed();
    let begin = content(&signed);
    let (section, content) = (&signed[8..begin], &signed[begin..]);
    let last = [COMPONENT, content, section].concat();
    assert_eq!(refused(&last), FormatError::Misplaced(8 + content.len()));
    let twice = [COMPONENT, section, section, content].concat();
    assert_eq!(refused(&twice), FormatError::Misplaced(begin));
    // Also if its name's length is written longer than it must be.
    let hidden = [&signed[..], b"\0\x0b\x89\0signature"].concat();
    assert_eq!(refused(&hidden), FormatError::Misplaced(signed.len()));
    for file in [last, twice, hidden] {
        assert!(sign(&file, &key(2)).is_err());
        assert_eq!(strip(&file).unwrap(), component());
    }
    // Those of a nested component are content.
    let nested = [COMPONENT, &self::section(4, &[COMPONENT, &custom("signature", b"x")].concat())].concat();
    assert_eq!(trusted(&nested), Err(VerifyError::Unsigned));
    assert_eq!(trusted(&sign(&nested, &key(1)).unwrap()), Ok(1));
}

#[test]
fn a_component_does_not_become_a_module_nor_the_reverse() {
    let signed = signed();
    let module = [MODULE, &signed[8..]].concat();
    let swapped = VerifyError::Encoding { expected: Encoding::Component, found: Encoding::Module };
    assert_eq!(trusted(&module), Err(swapped));
    // The format allows it: this is why the caller says what it runs.
    assert!(verify(&module, Encoding::Module, [&key(1).public()]).is_ok());
    for header in [&b"\0asm\x0e\0\x01\0"[..], b"\0asm\x0d\0\x02\0", b"\0asm\x0d\0\0\0", b"\0asm\x01\0\x01\0"]
    {
        assert_eq!(refused(&[header, &signed[8..]].concat()), FormatError::NotWasm);
    }
}

/// A file whose signature section holds this.
fn with(data: &[u8], content: &[u8]) -> Vec<u8> {
    let body = [b"\x09signature", data].concat();
    let (low, high) = (u8::try_from(body.len() & 0x7f).unwrap(), u8::try_from(body.len() >> 7).unwrap());
    let size = if high == 0 { vec![low] } else { vec![low | 0x80, high] };
    [COMPONENT, &[0], &size, &body, content].concat()
}

/// The one set of a file that was signed here with one key.
fn set(signed: &[u8]) -> &[u8] {
    &signed[8 + 3 + 10 + 4 + 1..content(signed)]
}

#[test]
fn two_sets_where_the_trusted_one_is_of_another_file_are_not_enough() {
    let evil = [COMPONENT, &section(1, b"evil")].concat();
    let evil = sign(&evil, &key(9)).unwrap();
    let (ours, theirs) = (signed(), evil.clone());
    let (ours, theirs) = (set(&ours), set(&theirs));
    let length = |set: &[u8]| u8::try_from(set.len()).unwrap();
    for sets in [[ours, theirs], [theirs, ours]] {
        let [front, back] = sets;
        let data = [&[1, 1, 1, 2, length(front)], front, &[length(back)], back].concat();
        let file = with(&data, &evil[content(&evil)..]);
        assert_eq!(trusted(&file), Err(VerifyError::Changed { id: key(1).public().id() }));
        assert!(verify(&file, Encoding::Component, [&key(9).public()]).is_ok());
    }
    // Both hashes in one set: nobody signed that list.
    let data = [&[1, 1, 1, 1, 146, 1, 2], &ours[1..33], &theirs[1..33], &ours[33..]].concat();
    let file = with(&data, &evil[content(&evil)..]);
    assert_eq!(trusted(&file), Err(VerifyError::Forged { id: key(1).public().id() }));
}

#[test]
fn a_lie_about_the_key_is_a_lie() {
    // The id of a trusted key, with the signature of another.
    let mut forged = sign(&component(), &key(9)).unwrap();
    let at = content(&forged) - 78;
    forged[at..at + 12].copy_from_slice(key(1).public().id().as_bytes());
    assert_eq!(signers(&forged).unwrap(), [key(1).public().id()]);
    assert_eq!(trusted(&forged), Err(VerifyError::Forged { id: key(1).public().id() }));
}

#[test]
fn signatures_that_cost_too_much_or_can_be_written_in_two_ways_are_refused() {
    let set = [&[1][..], &[0; 32], &[0]].concat();
    let sets = |count: u8| {
        let sets: Vec<u8> = (0..count).flat_map(|_| [&[34], &set[..]].concat()).collect();
        with(&[&[1, 1, 1, count], &sets[..]].concat(), b"")
    };
    assert_eq!(trusted(&sets(0)), Err(VerifyError::Unsigned));
    assert_eq!(trusted(&sets(16)), Err(VerifyError::Unsigned));
    assert!(matches!(refused(&sets(17)), FormatError::TooMany { what: "sets of hashes", .. }));
    let one = |set: &[u8]| with(&[&[1, 1, 1, 1, u8::try_from(set.len()).unwrap()], set].concat(), b"");
    let hashes = [&[65][..], &[0; 32]].concat();
    assert!(matches!(refused(&one(&hashes)), FormatError::TooMany { what: "hashes in a set", .. }));
    let signatures = [&[1][..], &[0; 32], &[17]].concat();
    assert!(matches!(refused(&one(&signatures)), FormatError::TooMany { what: "signatures of a set", .. }));
    let id = [&[1][..], &[0; 32], &[1, 3, 0x81, 0x01, 1]].concat();
    assert!(matches!(refused(&one(&id)), FormatError::TooMany { what: "bytes in a key id", .. }));
    // No hashes, a signature of 63 bytes, a length written longer, something behind the end.
    assert!(matches!(refused(&one(&[0, 0])), FormatError::Damaged { .. }));
    let short = [&[1][..], &[0; 32], &[1, 66, 0, 1, 63], &[0; 63]].concat();
    assert!(matches!(refused(&one(&short)), FormatError::Damaged { .. }));
    let long = [&[0x81, 0][..], &[0; 32], &[0]].concat();
    assert!(matches!(refused(&one(&long)), FormatError::Damaged { .. }));
    let more = [&[1][..], &[0; 32], &[0, 0]].concat();
    assert!(matches!(refused(&one(&more)), FormatError::Damaged { .. }));
    for (at, what) in ["version", "content type", "hash function"].into_iter().enumerate() {
        let mut versions = [1, 1, 1, 0];
        versions[at] = 2;
        assert_eq!(refused(&with(&versions, b"")), FormatError::Version { what, found: 2 });
    }
    let huge = [COMPONENT, &[0, 0x81, 0x80, 0x04], b"\x09signature", &vec![0; 64 << 10]].concat();
    assert!(matches!(refused(&huge), FormatError::TooMany { .. }));
    let padded = [COMPONENT, &[0, 0x8e, 0], b"\x09signature\x01\x01\x01\0"].concat();
    assert!(matches!(refused(&padded), FormatError::Damaged { .. }));
}

#[test]
fn signatures_of_other_algorithms_are_kept_and_count_for_nothing() {
    let hash = &set(&signed())[1..33].to_vec();
    let foreign = [&[1][..], hash, &[1, 7, 2, b'p', b'q', 7, 2, 0, 0]].concat();
    let data = [&[1, 1, 1, 1, u8::try_from(foreign.len()).unwrap()], &foreign[..]].concat();
    let file = with(&data, &component()[8..]);
    let ids = signers(&file).unwrap();
    assert_eq!(ids.iter().map(KeyId::as_bytes).collect::<Vec<_>>(), [b"pq"]);
    assert_eq!(trusted(&file), Err(VerifyError::NoTrustedKey { ids: ids.clone() }));
    let both = sign(&file, &key(1)).unwrap();
    assert_eq!(trusted(&both), Ok(1));
    assert_eq!(signers(&both).unwrap(), [ids[0].clone(), key(1).public().id()]);
}

#[test]
fn a_message_about_many_signers_has_an_end() {
    let many = (10..26).fold(component(), |file, number| sign(&file, &key(number)).unwrap());
    let message = trusted(&many).unwrap_err().to_string();
    assert!(message.contains("12 more") && message.len() < 300, "{message}");
}

/// With the curve's neutral point as the key, its bytes and a zero are a signature of everything.
#[test]
fn keys_for_which_anyone_can_sign_are_no_keys() {
    let mut neutral = [0; 33];
    (neutral[0], neutral[1]) = (1, 1);
    assert!(PublicKey::read(&neutral).unwrap_err().to_string().contains("anyone"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let in_place = [COMPONENT, &bytes].concat();
        let signatures = with(&[&[1, 1, 1], &bytes[..]].concat(), b"");
        for file in [&bytes, &in_place, &signatures] {
            prop_assert!(trusted(file).is_err());
            let _ = (signers(file), strip(file), sign(file, &key(1)));
        }
    }

    /// What is read is written again byte for byte, so nothing hides between the lines.
    #[test]
    fn bytes_that_change_anywhere_add_no_signer(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut file = sign(&signed(), &key(2)).unwrap();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if trusted(&file).is_ok() {
            prop_assert_eq!(strip(&file).unwrap(), component());
        }
        if verify(&file, Encoding::Component, [&key(2).public()]).is_ok() {
            prop_assert_eq!(sign(&file, &key(1)).is_ok(), true);
        }
        prop_assert!(verify(&file, Encoding::Component, [&key(9).public()]).is_err());
    }
}
