//! The products under test, built beside the test executable.

use std::path::PathBuf;

/// The folder of the profile that the tests were built in: `target/debug`.
pub(crate) fn folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/cases-0123456789abcdef
    test.ancestors().nth(2).unwrap().to_owned()
}

/// One of them by name.
#[track_caller]
pub(crate) fn executable(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(
        path.is_file(),
        "{} is not built; `cargo xtask test` builds it and runs the tests",
        path.display()
    );
    path
}
