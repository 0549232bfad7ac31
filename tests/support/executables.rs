//! The products under test, built beside the test executable.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the profile that the tests were built in: `target/debug`.
pub(crate) fn folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/cases-0123456789abcdef
    test.ancestors().nth(2).unwrap().to_owned()
}

/// One of them by name.
#[track_caller]
pub fn executable(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(
        path.is_file(),
        "{} is not built; `cargo xtask test` builds it and runs the tests",
        path.display()
    );
    path
}

/// A copy of one of them in a folder, which is made.
#[track_caller]
pub(crate) fn install(name: &str, folder: &Path) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    // By another process: a file that this one had open for writing could not be started, as long as some child of
    // another test still has the handle. And all of it at once.
    let (new, installed) = (folder.join(format!(".{name}")), folder.join(name));
    let copied = Command::new("cp").arg(executable(name)).arg(&new).status().unwrap();
    assert!(copied.success(), "{name} cannot be copied");
    std::fs::rename(new, &installed).unwrap();
    installed
}
