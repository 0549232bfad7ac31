//! Keys as others write them.

use cardcage_signature::{Encoding, KeyError, PublicKey, SecretKey, sign, verify};
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::bench::{component, key};

/// The example of RFC 8410, and its public key.
const SECRET: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";
const LINE: &str = "ed25519:Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

#[test]
fn the_keys_of_the_rfc_are_read_and_written_as_they_are() {
    let secret = SecretKey::read(SECRET.as_bytes()).unwrap();
    let public = secret.public();
    assert_eq!(secret.to_pem(), SECRET);
    assert_eq!(public.to_pem(), PUBLIC);
    assert_eq!(public.to_string(), LINE);
    for file in [PUBLIC.as_bytes(), LINE.as_bytes(), &public.to_raw(), format!("\n{LINE}\r\n").as_bytes()] {
        assert_eq!(PublicKey::read(file), Ok(public));
    }
    assert_eq!(LINE.parse(), Ok(public));
    assert_eq!(PUBLIC.replace('\n', "\r\n").parse(), Ok(public));
    assert_eq!(format!("a comment\n{PUBLIC}").parse(), Ok(public));
    assert_eq!(public.id().to_string().len(), 24);
}

/// Ring's own generator writes the public key after the secret one.
#[test]
fn a_secret_key_may_come_with_its_own_public_key_only() {
    let seed = [7; 32];
    let middle = |tag: &[u8], public: &[u8]| {
        let length = u8::try_from(46 + tag.len() + public.len()).unwrap();
        let front = [0x30, length, 2, 1, 1, 0x30, 5, 6, 3];
        [&front[..], &[0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20], &seed, tag, public].concat()
    };
    let pem = |der: &[u8]| {
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    };
    let public = &key(7).public().to_raw()[1..];
    for tag in [&[0x81, 0x21, 0][..], &[0xa1, 0x23, 3, 0x21, 0]] {
        let read = SecretKey::read(pem(&middle(tag, public)).as_bytes()).unwrap();
        assert_eq!(read.public(), key(7).public());
        let wrong = SecretKey::read(pem(&middle(tag, &key(8).public().to_raw()[1..])).as_bytes());
        assert_eq!(wrong.unwrap_err(), KeyError::Mismatch);
    }
    let rings = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(rings.as_ref()).unwrap();
    let read = SecretKey::read(pem(rings.as_ref()).as_bytes()).unwrap();
    assert_eq!(read.public().to_raw()[1..], *pair.public_key().as_ref());
    let raw = |public: &[u8]| [&[0x81], &seed[..], public].concat();
    assert_eq!(SecretKey::read(&raw(public)).unwrap().public(), key(7).public());
    assert_eq!(SecretKey::read(&raw(&[0; 32])).unwrap_err(), KeyError::Mismatch);
    assert_eq!(SecretKey::read(&raw(&public[1..])).unwrap_err(), KeyError::NotSecret);
}

#[test]
fn what_is_not_a_key_is_refused_with_what_to_do() {
    let public = |text: &str| text.parse::<PublicKey>().unwrap_err();
    assert_eq!(public(""), KeyError::NotPublic);
    assert_eq!(public("ed25519:"), KeyError::NotPublic);
    assert_eq!(public(&LINE.replace("E=", "F=")), KeyError::NotPublic);
    assert_eq!(public(&LINE.replace("ed25519", "rsa")), KeyError::NotPublic);
    assert_eq!(public(&LINE[..LINE.len() - 1]), KeyError::NotPublic);
    assert_eq!(public(&format!("{PUBLIC}{PUBLIC}")), KeyError::NotPublic);
    // X25519 looks nearly the same.
    assert_eq!(public(&PUBLIC.replace("K2Vw", "K2Vu")), KeyError::NotPublic);
    assert_eq!(public(SECRET), KeyError::Secret);
    assert_eq!(public(&format!("{SECRET}{PUBLIC}")), KeyError::Secret);
    assert_eq!(public(&format!("{}{PUBLIC}", " ".repeat(1 << 20))), KeyError::NotPublic);
    for file in [PUBLIC, LINE, "", &SECRET.replace("PRIVATE", "ENCRYPTED PRIVATE")] {
        assert_eq!(SecretKey::read(file.as_bytes()).unwrap_err(), KeyError::NotSecret);
    }
}

/// The points of small order, as an independent implementation knows them, and their spellings with the other sign.
#[test]
fn keys_for_which_anyone_can_sign_are_refused() {
    let p = |low: u8| [&[low][..], &[0xff; 30], &[0x7f]].concat();
    let eight = |hex: &str| -> Vec<u8> {
        (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    let weak = [
        vec![0; 32],
        [&[1][..], &[0; 31]].concat(),
        p(0xec),
        p(0xed),
        p(0xee),
        eight("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        eight("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    ];
    for sign in [0, 0x80] {
        for mut point in weak.clone() {
            point[31] |= sign;
            let raw = [&[1], &point[..]].concat();
            let other = wasmsign2::PublicKey::from_bytes(&raw).unwrap();
            assert!(other.pk.validate().is_err());
            assert_eq!(PublicKey::read(&raw), Err(KeyError::Weak));
        }
    }
    // So is another spelling of a key, and their neighbours are not.
    assert_eq!(PublicKey::read(&[&[1], &p(0xef)[..]].concat()), Err(KeyError::Weak));
    assert!(PublicKey::read(&[&[1], &[2][..], &[0; 31]].concat()).is_ok());
    assert!(PublicKey::read(&[&[1], &p(0xeb)[..]].concat()).is_ok());
}

#[test]
fn a_secret_key_is_not_shown() {
    let secret = SecretKey::read(SECRET.as_bytes()).unwrap();
    assert_eq!(format!("{secret:?}"), format!("SecretKey({})", secret.public().id()));
}

#[test]
fn a_new_key_signs_and_survives_its_file() {
    let (one, two) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    assert_ne!(one.public(), two.public());
    let read = SecretKey::read(one.to_pem().as_bytes()).unwrap();
    let signed = sign(&component(), &read).unwrap();
    assert_eq!(verify(&signed, Encoding::Component, [&one.public()]), Ok(vec![one.public()]));
}

proptest! {
    #[test]
    fn no_file_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), text in ".*") {
        let _ = (PublicKey::read(&bytes), SecretKey::read(&bytes));
        let _ = (PublicKey::read(text.as_bytes()), SecretKey::read(text.as_bytes()));
        let _ = format!("-----BEGIN PUBLIC KEY-----{text}-----END PUBLIC KEY-----").parse::<PublicKey>();
    }
}
