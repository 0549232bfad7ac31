//! Archives that are as they should be.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use cardcage_artifacts::{Error, Limits, Tree, remove_leftovers};
use tar::EntryType;

use crate::bench::{Bench, files, limits, noise, skip};
use crate::tarball::{Tarball, gzip, zstd};

pub fn unpack_with(limits: Limits, bytes: &[u8], dest: &Path) -> Result<Tree, Error> {
    let (_bench, artifact) = Bench::with(limits, bytes);
    artifact.unpack(dest, &AtomicBool::new(false))
}

pub fn unpack(bytes: &[u8], dest: &Path) -> Result<Tree, Error> {
    unpack_with(limits(), bytes, dest)
}

fn sample() -> Vec<u8> {
    Tarball::new()
        .folder("./", 0o500)
        .file("bar.toml", b"name = \"bar\"")
        .entry(EntryType::Regular, b"bin/app", b"", 0o6755, &noise(100_000))
        .folder("bin", 0o1570)
        .folder("bin/", 0o550)
        .symlink("lib/app", "../bin/app")
        .symlink("current", "lib")
        .symlink("dangling", "lib/nothing")
        .hardlink("bin/again", "./bin/app")
        .entry(EntryType::XGlobalHeader, b"pax", b"", 0, b"19 comment=abcdefg\n")
        .file("empty", b"")
        .end()
}

#[test]
fn files_folders_and_links_come_out_of_every_packing() {
    for bytes in [sample(), gzip(&sample()), zstd(&sample())] {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("tree");
        let tree = unpack(&bytes, &dest).unwrap();
        assert_eq!(tree.path(), dest);
        assert_eq!(files(folder.path()), ["tree"]);
        assert_eq!(files(&dest), ["bar.toml", "bin", "current", "dangling", "empty", "lib"]);
        let mode = |path: &str| std::fs::symlink_metadata(dest.join(path)).unwrap().mode() & 0o7777;
        assert_eq!(
            [mode("bar.toml"), mode("bin/app"), mode("bin"), mode("lib"), mode("")],
            [0o644, 0o755, 0o750, 0o755, 0o700]
        );
        assert_eq!(std::fs::read(dest.join("bin/app")).unwrap(), noise(100_000));
        let inode = |path: &str| std::fs::metadata(dest.join(path)).unwrap().ino();
        assert_eq!(inode("bin/again"), inode("bin/app"));
        assert_eq!(tree.read("current/app", 1 << 20).unwrap(), noise(100_000));
        assert_eq!(tree.read("./bin/../bar.toml", 100).unwrap(), b"name = \"bar\"");
        let code = |path: &str| tree.read(path, 100).unwrap_err().code();
        assert_eq!(
            [code("dangling"), code("none"), code("bin"), code(""), code("bar.toml/x")],
            ["absent"; 5]
        );
        assert_eq!(
            [code("bin/app"), code("/etc/passwd"), code("../x"), code("bin/../../x")],
            ["too-large", "invalid", "invalid", "invalid"]
        );
        tree.remove().unwrap();
        assert_eq!(files(folder.path()), [""; 0]);
    }
}

#[test]
fn a_folder_that_exists_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine"), "mine").unwrap();
    assert_eq!(unpack(&sample(), folder.path()).unwrap_err().code(), "io");
    assert_eq!(files(folder.path()), ["mine"]);
    assert_eq!(unpack(&sample(), &folder.path().join("no/such")).unwrap_err().code(), "io");
}

#[test]
fn the_mode_does_not_depend_on_the_order_and_a_closed_folder_can_be_filled() {
    let folder = tempfile::tempdir().unwrap();
    let tar = Tarball::new().folder("closed", 0o000).file("closed/file", b"x").end();
    unpack(&tar, &folder.path().join("tree")).unwrap();
    let about = std::fs::metadata(folder.path().join("tree/closed")).unwrap();
    assert_eq!(about.permissions().mode() & 0o7777, 0o700);
}

/// A process changes its folder after it was unpacked; reading still does not leave it.
#[test]
fn links_of_a_process_do_not_lead_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    let tree = unpack(&sample(), &folder.path().join("tree")).unwrap();
    for (name, target) in
        [("up", "../secret"), ("abs", "/etc/hostname"), ("over", "lib/../../secret"), ("a", "b"), ("b", "a")]
    {
        symlink(target, tree.path().join(name)).unwrap();
        assert_eq!(
            tree.read(name, 100).unwrap_err().code(),
            if name == "a" { "absent" } else { "invalid" },
            "{name}"
        );
    }
    assert_eq!(tree.read("a", 100).unwrap_err().code(), "invalid");
    symlink("bin/../lib/../bar.toml", tree.path().join("fine")).unwrap();
    assert_eq!(tree.read("fine", 100).unwrap(), b"name = \"bar\"");
    // A pipe would block whoever opens it.
    let made = std::process::Command::new("mkfifo").arg(tree.path().join("pipe")).status().unwrap();
    assert!(made.success());
    assert_eq!(tree.read("pipe", 100).unwrap_err().code(), "absent");
}

#[test]
fn an_owner_gets_all_of_it_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    std::fs::write(&outside, "x").unwrap();
    let tree = unpack(&sample(), &folder.path().join("tree")).unwrap();
    symlink("../outside", tree.path().join("out")).unwrap();
    let me = std::fs::metadata(&outside).unwrap();
    if me.uid() != 0 {
        return skip("only root gives files away");
    }
    tree.chown(4711, 4712).unwrap();
    let owner = |path: &str| {
        let about = std::fs::symlink_metadata(tree.path().join(path)).unwrap();
        (about.uid(), about.gid())
    };
    for path in ["", "bin", "bin/app", "lib/app", "current", "empty", "out"] {
        assert_eq!(owner(path), (4711, 4712), "{path}");
    }
    assert_eq!(std::fs::metadata(&outside).unwrap().uid(), 0);
}

#[test]
fn who_gives_up_gets_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (_bench, artifact) = Bench::with(limits(), &sample());
    let error = artifact.unpack(&folder.path().join("tree"), &AtomicBool::new(true)).unwrap_err();
    assert_eq!(error.code(), "cancelled");
    assert_eq!(files(folder.path()), [""; 0]);
}

#[test]
fn leftovers_of_a_killed_process_are_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("tree.new-7-8-9/bin")).unwrap();
    std::fs::create_dir(folder.path().join("tree")).unwrap();
    std::fs::write(folder.path().join("file.new-1"), "x").unwrap();
    remove_leftovers(folder.path()).unwrap();
    assert_eq!(files(folder.path()), ["file.new-1", "tree"]);
}
