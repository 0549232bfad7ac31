//! Entries of archives, hostile ones among them.

use proptest::prelude::*;
use tar::Builder;

use super::*;

/// One entry, its header as it is given.
fn raw(kind: u8, name: &[u8], link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::new(kind));
    header.set_size(content.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn all(bytes: &[u8]) -> Result<Vec<(String, Kind, Vec<u8>)>, Fault> {
    let mut entries = Entries::new(bytes);
    let mut all = Vec::new();
    while let Some(entry) = entries.next()? {
        let mut content = Vec::new();
        entries.read_to_end(&mut content).map_err(Fault::Read)?;
        assert_eq!(content.len() as u64, entry.size);
        all.push((entry.name, entry.kind, content));
    }
    Ok(all)
}

fn refused(bytes: &[u8], why: &str) {
    let fault = all(bytes).expect_err(why);
    assert!(matches!(&fault, Fault::Wrong(reason) if reason.contains(why)), "{fault}, not {why}");
}

#[test]
fn files_folders_and_links_are_read() {
    let mut tar = Builder::new(Vec::new());
    let long = format!("./{}/{}", "a".repeat(90), "b".repeat(90));
    let mut header = Header::new_gnu();
    header.set_size(3);
    tar.append_data(&mut header.clone(), &long, &b"abc"[..]).expect("written");
    tar.append_data(&mut header, "short", &b"def"[..]).expect("written");
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "c/layer.tar", "../short").expect("written");
    let bytes = tar.into_inner().expect("written");
    let expected = [
        (long.trim_start_matches("./").to_owned(), Kind::File, b"abc".to_vec()),
        ("short".to_owned(), Kind::File, b"def".to_vec()),
        ("c/layer.tar".to_owned(), Kind::Symlink("../short".to_owned()), Vec::new()),
    ];
    assert_eq!(all(&bytes).expect("read"), expected);
}

#[test]
fn an_extended_header_is_for_the_entry_after_it() {
    let records = b"14 path=other\n10 size=2\n";
    // Its own header says that it is empty.
    let mut entry = raw(b'0', b"name", b"", b"");
    entry.extend_from_slice(b"ab");
    entry.resize(2 * BLOCK, 0);
    let bytes = [raw(b'x', b"pax", b"", records), entry, raw(b'0', b"next", b"", b"c")].concat();
    let read = all(&bytes).expect("read");
    assert_eq!(read[0], ("other".into(), Kind::File, b"ab".to_vec()));
    assert_eq!(read[1], ("next".into(), Kind::File, b"c".to_vec()));
}

#[test]
fn what_readers_could_take_for_something_else_is_refused() {
    let file = |name: &[u8]| raw(b'0', name, b"", b"x");
    refused(&[file(b"a"), file(b"./a")].concat(), "twice");
    refused(&[raw(b'2', b"a", b".", b""), file(b"a/b")].concat(), "below");
    refused(&file(b"/a"), "absolute");
    refused(&file(b"a/../b"), "..");
    refused(&raw(b'2', b"a", b"../b", b""), "out of the archive");
    refused(&raw(b'1', b"a", b"b", b""), "neither");
    refused(&raw(b'3', b"a", b"", b""), "neither");
    refused(&raw(b'6', b"a", b"", b""), "neither");
    refused(&raw(b'S', b"a", b"", b""), "sparse");
    refused(&raw(b'5', b"a", b"", b"x"), "with a size");
    refused(&raw(b'2', b"a", b"b", b"x"), "with a size");
    refused(&raw(b'x', b"a", b"", b"22 GNU.sparse.major=1\n"), "sparse");
    refused(&raw(b'x', b"a", b"", b"nonsense"), "malformed");
    refused(&[raw(b'L', b"a", b"", b"x"), raw(b'L', b"a", b"", b"x")].concat().repeat(9), "in a row");
}

#[test]
fn what_is_long_is_refused_before_it_is_read() {
    for kind in [b'L', b'K', b'x', b'g'] {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::new(kind));
        header.set_size(1 << 40);
        header.set_cksum();
        refused(header.as_bytes(), "64 KiB");
    }
    let many: Vec<u8> = (0..=ENTRIES).flat_map(|n| raw(b'0', n.to_string().as_bytes(), b"", b"")).collect();
    refused(&many, "10000 entries");
}

#[test]
fn an_archive_that_ends_early_is_refused() {
    let bytes = raw(b'0', b"a", b"", &[7; 700]);
    assert!(all(&bytes).is_ok());
    refused(&bytes[..300], "within a header");
    refused(&[&bytes[..], &[1; BLOCK]].concat(), "checksum");
    let mut entries = Entries::new(&bytes[..600]);
    entries.next().expect("read").expect("there");
    assert!(entries.read_to_end(&mut Vec::new()).is_err());
    let mut entries = Entries::new(&bytes[..600]);
    entries.next().expect("read").expect("there");
    assert!(matches!(entries.next(), Err(Fault::Wrong(_))));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..2048), fix in any::<bool>()) {
        if fix && bytes.len() >= BLOCK {
            let mut header = Header::from_byte_slice(&bytes[..BLOCK]).clone();
            header.set_cksum();
            bytes[..BLOCK].copy_from_slice(header.as_bytes());
        }
        let _ = all(&bytes);
    }
}
