//! A full disk: a small one in memory, mounted for the test. Needs root.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use cardcage_artifacts::{Limits, Store};

use crate::bench::{Bench, fetch, fetch_with, files, limits, noise, skip};
use crate::server::{Server, send};
use crate::tarball::Tarball;

struct Small {
    folder: tempfile::TempDir,
}

impl Small {
    /// Two megabytes; none where that is not allowed.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(folder.path()).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self { folder });
        }
        skip("a small disk cannot be mounted; run as root");
        None
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.folder.path()).status());
    }
}

#[test]
fn a_full_disk_is_said_and_nothing_is_left() {
    let Some(small) = Small::mount() else { return };
    let store = Store::open(small.path(), limits(), None).unwrap();
    let announced = Server::of(&noise(3 << 20));
    let chunked = Server::start(|_, _, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while send(stream, b"400\r\n") && send(stream, &noise(1024)) && send(stream, b"\r\n") {}
    });
    for server in [announced, chunked] {
        let error = fetch(&store, &server.url("/a"), None).unwrap_err();
        assert_eq!(error.code(), "no-space", "{error}");
        assert_eq!(files(&small.path().join("partial")), [""; 0]);
    }
    // What is announced is refused before a byte of it is taken.
    let mut steps = 0;
    let announced = Server::of(&noise(3 << 20));
    let refused = fetch_with(&store, &announced.url("/a"), None, &Default::default(), &mut |_| steps += 1);
    assert_eq!((refused.unwrap_err().code(), steps), ("no-space", 0));
    // And it works on, with what fits.
    let fits = Server::of(&noise(1 << 20));
    fetch(&store, &fits.url("/a"), None).unwrap();
}

#[test]
fn what_nobody_holds_makes_room() {
    let Some(small) = Small::mount() else { return };
    let store = Store::open(small.path(), limits(), None).unwrap();
    let [one, two] = [1u8, 2].map(|first| Server::of(&[vec![first], noise(1_200_000)].concat()));
    let held = fetch(&store, &one.url("/"), None).unwrap();
    assert_eq!(fetch(&store, &two.url("/"), None).unwrap_err().code(), "no-space");
    assert!(held.path().exists());
    drop(held);
    fetch(&store, &two.url("/"), None).unwrap();
    assert_eq!(files(&small.path().join("sha256")).len(), 1);
}

#[test]
fn an_archive_that_does_not_fit_leaves_nothing() {
    let Some(small) = Small::mount() else { return };
    let tar = Tarball::new().file("a", &noise(1 << 20)).file("b", &noise(2 << 20)).end();
    let (_bench, artifact) = Bench::with(Limits { ..limits() }, &tar);
    let error = artifact.unpack(&small.path().join("tree"), &AtomicBool::new(false)).unwrap_err();
    assert_eq!(error.code(), "no-space", "{error}");
    assert_eq!(files(small.path()), [""; 0]);
}
