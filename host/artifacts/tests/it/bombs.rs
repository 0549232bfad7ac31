//! Small files that come to gigabytes.

use std::io::Read as _;
use std::sync::atomic::AtomicBool;

use cardcage_artifacts::Limits;
use tar::EntryType;

use crate::bench::{Bench, files, limits};
use crate::tarball::{Tarball, gzip};

const LIMIT: u64 = 1 << 20;
const HUGE: u64 = 4 << 30;

/// A tar that begins with a file of four gigabytes.
fn start() -> Vec<u8> {
    let tar = Tarball::new().header(EntryType::Regular, b"huge", b"", 0o644, HUGE).end();
    tar[..512].to_vec()
}

/// Window, then blocks. An RLE block is four bytes and comes to 128 KiB.
fn frame(window: u8, first: &[u8], blocks: usize) -> Vec<u8> {
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, window];
    let header =
        |kind: usize, size: usize, last: bool| ((size << 3) | (kind << 1) | usize::from(last)).to_le_bytes();
    bytes.extend(&header(0, first.len(), blocks == 0)[..3]);
    bytes.extend(first);
    for block in 1..=blocks {
        bytes.extend(&header(1, 128 << 10, block == blocks)[..3]);
        bytes.push(0);
    }
    bytes
}

fn check(bytes: &[u8]) {
    assert!(bytes.len() < 1 << 20, "{} bytes are no small file", bytes.len());
    let (bench, artifact) = Bench::with(Limits { unpacked: LIMIT, ..limits() }, bytes);
    let mut out = Vec::new();
    let error = artifact.tar_reader().unwrap().read_to_end(&mut out).unwrap_err();
    assert!(out.len() as u64 == LIMIT && error.to_string().contains("1048576"), "{} {error}", out.len());
    let folder = tempfile::tempdir().unwrap();
    let error = artifact.unpack(&folder.path().join("tree"), &AtomicBool::new(false)).unwrap_err();
    assert_eq!(error.code(), "too-large", "{error}");
    assert_eq!(files(folder.path()), [""; 0]);
    assert_eq!(artifact.read("other").unwrap_err().code(), "too-large");
    drop(bench);
}

#[test]
fn gzip_stops_at_the_limit() {
    let member = gzip(&vec![0; 64 << 20]);
    check(&[gzip(&start()), member.clone(), member].concat());
}

#[test]
fn zstd_stops_at_the_limit() {
    // A window of 128 KiB, then 4 GiB.
    check(&frame(7 << 3, &start(), 32 << 10));
}

#[test]
fn zstd_may_not_ask_for_more_than_128_mebibytes_at_once() {
    let window = |log: u8| frame((log - 10) << 3, &start(), 8);
    let code = |bytes: &[u8]| {
        let (_bench, artifact) = Bench::with(limits(), bytes);
        artifact.read("other").unwrap_err().to_string()
    };
    assert!(code(&window(27)).contains("ends within"), "{}", code(&window(27)));
    for log in [28, 31, 41] {
        // So it is no archive that anyone here reads.
        assert!(code(&window(log)).contains("not a tar archive"), "{}", code(&window(log)));
    }
    let second = [&*frame(7 << 3, &start(), 0), &*window(31)].concat();
    assert!(code(&second).contains("damaged"), "{}", code(&second));
}

#[test]
fn sizes_beyond_any_disk_end_at_the_limit_too() {
    let mut header = tar::Header::new_gnu();
    header.set_path("huge").unwrap();
    header.set_size(u64::MAX);
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_cksum();
    let tar = [header.as_bytes().to_vec(), vec![0; 4096]].concat();
    let (_bench, artifact) = Bench::with(limits(), &tar);
    let folder = tempfile::tempdir().unwrap();
    let error = artifact.unpack(&folder.path().join("tree"), &AtomicBool::new(false)).unwrap_err();
    assert_eq!(error.code(), "invalid", "{error}");
    assert_eq!(artifact.read("other").unwrap_err().code(), "invalid");
}
