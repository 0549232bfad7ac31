//! Archives that mean harm: whatever they hold, nothing is made outside of the folder, and a refusal leaves nothing.

use std::path::Path;

use cardcage_artifacts::Limits;
use proptest::prelude::*;
use tar::EntryType;

use crate::bench::{files, limits};
use crate::tarball::Tarball;
use crate::unpack::{unpack, unpack_with};

/// Refused, with a word of why, and nothing is left.
fn refused(tar: Tarball, code: &str, reason: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("canary"), "alive").unwrap();
    // Something harmless first, so that there is something to remove.
    let bytes = [Tarball::new().file("harmless", b"x").end()[..1024].to_vec(), tar.end()].concat();
    let error = unpack(&bytes, &folder.path().join("tree")).unwrap_err();
    assert!(error.code() == code && error.to_string().contains(reason), "{error}");
    assert_eq!(files(folder.path()), ["canary"], "{error}");
    assert_eq!(std::fs::read(folder.path().join("canary")).unwrap(), b"alive");
}

#[test]
fn paths_that_lead_out_are_refused() {
    let tar = Tarball::new;
    refused(tar().file("../canary", b"dead"), "invalid", "`..`");
    refused(tar().file("a/../../canary", b"dead"), "invalid", "`..`");
    refused(tar().file("/tmp/cardcage-canary", b"dead"), "invalid", "absolute");
    refused(tar().folder("..", 0o777), "invalid", "`..`");
    refused(tar().pax("path", "../canary").file("fine", b"dead"), "invalid", "`..`");
    refused(tar().pax("path", "a\0b").file("fine", b"dead"), "invalid", "NUL");
    let name =
        |path: &[u8]| tar().entry(EntryType::GNULongName, b"././@LongLink", b"", 0, path).file("fine", b"x");
    refused(name(b"../canary\0"), "invalid", "`..`");
    refused(name(&[&b"a/"[..]; 200].concat()), "invalid", "100 folders");
    refused(name(&[b'a'; 300]), "invalid", "255");
    refused(name(&[&b"a/"[..]; 3000].concat()), "invalid", "4096");
}

#[test]
fn links_that_lead_out_are_refused() {
    let tar = Tarball::new;
    refused(tar().symlink("l", "/etc"), "invalid", "absolute");
    refused(tar().symlink("l", "../canary"), "invalid", "leads out");
    refused(tar().symlink("a/l", "../../canary"), "invalid", "leads out");
    refused(tar().pax("linkpath", "../canary").symlink("l", "fine"), "invalid", "leads out");
    refused(tar().hardlink("l", "../canary"), "invalid", "`..`");
    refused(tar().hardlink("l", "/etc/passwd"), "invalid", "absolute");
    refused(tar().hardlink("l", "absent"), "invalid", "hard link");
    refused(tar().folder("d", 0o755).hardlink("l", "d"), "invalid", "hard link");
    refused(tar().symlink("s", "harmless").hardlink("d/l", "s"), "invalid", "hard link");
    // By its letters inside, over the other link not.
    refused(
        tar().folder("d", 0o755).symlink("d/up", "..").symlink("l", "d/up/../canary"),
        "invalid",
        "over another link",
    );
}

#[test]
fn nothing_is_made_through_a_link() {
    let tar = Tarball::new;
    refused(tar().folder("d", 0o755).symlink("l", "d").file("l/file", b"x"), "invalid", "no folder");
    refused(tar().symlink("l", "harmless").file("l", b"x"), "invalid", "twice");
    refused(tar().folder("d", 0o755).symlink("l", "d").folder("l", 0o777), "invalid", "no folder");
    refused(
        tar().folder("d", 0o755).file("d/f", b"x").symlink("l", "d").hardlink("x", "l/f"),
        "invalid",
        "hard link",
    );
    refused(tar().file("harmless/below", b"x"), "invalid", "no folder");
}

#[test]
fn what_is_no_file_folder_or_link_is_refused() {
    let tar = Tarball::new;
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        refused(tar().entry(kind, b"dev", b"", 0o666, b""), "invalid", "device");
    }
    refused(tar().entry(EntryType::GNUSparse, b"s", b"", 0o666, b""), "invalid", "sparse");
    refused(tar().pax("GNU.sparse.major", "1").file("s", b"x"), "invalid", "sparse");
    for kind in [b'M', b'D', b'V', b'Z', 200] {
        refused(tar().entry(EntryType::new(kind), b"odd", b"", 0o666, b""), "invalid", "unknown kind");
    }
    refused(tar().file("harmless", b"again"), "invalid", "twice");
    refused(tar().file(".", b"x"), "invalid", "root");
}

#[test]
fn headers_are_bounded() {
    let tar = Tarball::new;
    let long = vec![b'a'; (64 << 10) + 1];
    refused(tar().entry(EntryType::GNULongName, b"l", b"", 0, &long).file("x", b""), "invalid", "64 KiB");
    refused(tar().entry(EntryType::XHeader, b"l", b"", 0, &long).file("x", b""), "invalid", "64 KiB");
    refused(
        tar().entry(EntryType::XHeader, b"l", b"", 0, b"nonsense").file("x", b""),
        "invalid",
        "extended header",
    );
    refused((0..9).fold(tar(), |tar, _| tar.pax("comment", "x")).file("x", b""), "invalid", "in a row");
    refused(tar().header(EntryType::Regular, b"cut", b"", 0o644, 1 << 20), "invalid", "ends within");
    refused(tar().content(&[7; 512]), "invalid", "checksum");
}

#[test]
fn entries_are_counted_with_the_folders_that_they_imply() {
    let folder = tempfile::tempdir().unwrap();
    let check = |tar: Tarball, expected: Option<&str>| {
        let unpacked =
            unpack_with(Limits { entries: 10, ..limits() }, &tar.end(), &folder.path().join("tree"));
        assert_eq!(unpacked.map(|tree| tree.remove().unwrap()).map_err(|error| error.code()).err(), expected);
        assert_eq!(files(folder.path()), [""; 0]);
    };
    let many =
        |count: usize| (0..count).fold(Tarball::new(), |tar, number| tar.file(&format!("f{number}"), b""));
    check(many(10), None);
    check(many(11), Some("too-large"));
    check(Tarball::new().file("a/b/c/d/e/f/g/h/i/file", b""), None);
    check(Tarball::new().file("a/b/c/d/e/f/g/h/i/j/file", b""), Some("too-large"));
}

fn path() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("up"), Just(".."), Just("."), Just(""), Just("canary")];
    proptest::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
}

fn entry() -> impl Strategy<Value = (u8, String, String)> {
    let kind = prop_oneof![Just(b'0'), Just(b'5'), Just(b'2'), Just(b'2'), Just(b'1'), Just(b'3')];
    (kind, path(), path())
}

/// Every link of what was unpacked, followed by the kernel, ends inside or nowhere.
fn check_links(folder: &Path, root: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if let Ok(end) = std::fs::canonicalize(entry.path()) {
            assert!(end.starts_with(root), "{} ends at {}", entry.path().display(), end.display());
        }
        if entry.file_type().unwrap().is_dir() {
            check_links(&entry.path(), root);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_archive_nothing_is_made_outside(entries in proptest::collection::vec(entry(), 1..12)) {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
        std::fs::write(root.join("canary"), "alive").unwrap();
        let tar = entries.iter().fold(Tarball::new(), |tar, (kind, path, link)| {
            let content: &[u8] = if *kind == b'0' { b"dead" } else { b"" };
            tar.entry(EntryType::new(*kind), path.as_bytes(), link.as_bytes(), 0o7777, content)
        });
        let unpacked = unpack(&tar.end(), &root.join("tree"));
        prop_assert_eq!(std::fs::read(root.join("canary")).unwrap(), b"alive");
        match unpacked {
            Ok(_) => {
                prop_assert_eq!(files(&root), ["canary", "tree"]);
                check_links(&root.join("tree"), &root.join("tree"));
            }
            Err(_) => prop_assert_eq!(files(&root), ["canary"]),
        }
    }

    #[test]
    fn bytes_that_are_nearly_an_archive_are_no_danger(at in 0usize..3000, with: u8, cut in 0usize..6000) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = Tarball::new().folder("d", 0o755).pax("path", "d/f").file("x", b"content").symlink("l", "d/f").end();
        bytes.truncate(bytes.len().max(1024).min(cut.max(512)));
        let length = bytes.len();
        bytes[at % length] = with;
        let unpacked = unpack(&bytes, &folder.path().join("tree"));
        let expected: &[&str] = if unpacked.is_ok() { &["tree"] } else { &[] };
        prop_assert_eq!(files(folder.path()), expected);
    }
}
