//! What an artifact is, and files out of its archive.

use std::io::Read as _;

use cardcage_artifacts::{Error, Format};
use tar::EntryType;

use crate::bench::{Bench, limits, noise};
use crate::tarball::{Tarball, gzip, zstd};

fn sample() -> Vec<u8> {
    let long = format!("{}/long.txt", "folder".repeat(30));
    Tarball::new()
        .folder("./", 0o755)
        .file("./bar.toml", b"name = \"bar\"")
        .file("bin/app", &noise(100_000))
        .symlink("link", "bar.toml")
        .pax("path", &long)
        .file("short", b"by pax")
        .entry(EntryType::GNULongName, b"././@LongLink", b"", 0, format!("{long}.gnu\0").as_bytes())
        .file("short", b"by gnu")
        .file("bar.toml", b"the second")
        .end()
}

fn packed() -> [(Format, Vec<u8>); 3] {
    [(Format::Tar, sample()), (Format::TarGzip, gzip(&sample())), (Format::TarZstd, zstd(&sample()))]
}

#[test]
fn the_format_is_in_the_content() {
    for (format, bytes) in packed() {
        assert_eq!(Bench::with(limits(), &bytes).1.format().unwrap(), format);
    }
    let others: [&[u8]; 8] = [
        b"",
        b"\x1f\x8b",
        b"PK\x03\x04",
        &[0; 10240],
        &gzip(b"no tar"),
        &zstd(&noise(2000)),
        &noise(5000),
        &sample()[..511],
    ];
    for bytes in others {
        let (_bench, artifact) = Bench::with(limits(), bytes);
        assert_eq!(artifact.format().unwrap(), Format::Other);
        assert_eq!(artifact.tar_reader().map(drop).unwrap_err().code(), "invalid");
    }
    let mut bent = sample();
    bent[0] ^= 1;
    assert_eq!(Bench::with(limits(), &bent).1.format().unwrap(), Format::Other);
}

#[test]
fn the_plain_tar_comes_out_of_every_packing() {
    for (_, bytes) in packed() {
        let mut plain = Vec::new();
        Bench::with(limits(), &bytes).1.tar_reader().unwrap().read_to_end(&mut plain).unwrap();
        assert!(plain == sample());
    }
}

/// As parallel packers write them: members one after the other, and frames to be skipped.
#[test]
fn members_and_frames_follow_one_another() {
    let plain = sample();
    let (front, back) = plain.split_at(3333);
    let skipped = [&[0x5a, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"12345"].concat();
    let frames = [&*skipped, &*zstd(front), &*skipped, &*zstd(back), &*skipped].concat();
    for (format, bytes) in [(Format::TarGzip, [gzip(front), gzip(back)].concat()), (Format::TarZstd, frames)]
    {
        let (_bench, artifact) = Bench::with(limits(), &bytes);
        assert_eq!(artifact.format().unwrap(), format);
        let mut out = Vec::new();
        artifact.tar_reader().unwrap().read_to_end(&mut out).unwrap();
        assert!(out == plain, "{format:?}");
    }
}

#[test]
fn files_are_read_by_their_path() {
    for (format, bytes) in packed() {
        let (_bench, artifact) = Bench::with(limits(), &bytes);
        let read = |path: &str| artifact.read(path).map_err(|error| error.code());
        assert_eq!(read("bar.toml").unwrap(), b"name = \"bar\"", "{format:?}");
        assert_eq!(read("./bin/app").unwrap(), noise(100_000));
        let long = format!("{}/long.txt", "folder".repeat(30));
        assert_eq!(read(&long).unwrap(), b"by pax");
        assert_eq!(read(&format!("{long}.gnu")).unwrap(), b"by gnu");
        for path in ["absent", "bin", "link", "short", ""] {
            assert_eq!(read(path), Err("absent"), "{path}");
        }
        for path in ["../bar.toml", "/bar.toml", "a\0"] {
            assert_eq!(read(path), Err("invalid"), "{path:?}");
        }
    }
}

#[test]
fn a_file_of_more_than_a_megabyte_is_not_read() {
    let tar = Tarball::new().file("large", &noise((1 << 20) + 1)).file("fits", &noise(1 << 20)).end();
    let (_bench, artifact) = Bench::with(limits(), &tar);
    assert_eq!(artifact.read("large").unwrap_err().code(), "too-large");
    assert_eq!(artifact.read("fits").unwrap().len(), 1 << 20);
}

#[test]
fn damage_is_said_and_not_taken_for_an_end() {
    for (format, bytes) in packed() {
        let (_bench, artifact) = Bench::with(limits(), &bytes[..bytes.len() / 2]);
        let error: Error = artifact.read("absent").unwrap_err();
        assert_eq!(error.code(), "invalid", "{format:?}: {error}");
    }
}
