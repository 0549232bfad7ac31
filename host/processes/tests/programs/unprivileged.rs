//! An agent that may not put limits on: it looks at programs and says why it cannot start any.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use cardcage_processes::Processes;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

use crate::support::{limits, owner, sh, shim, skipped, world};

const NOBODY: u32 = 65534;

/// Does something as nobody, on a thread that ends with it: to the kernel, users are those of threads.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        work()
    };
    std::thread::scope(|scope| scope.spawn(inside).join().unwrap())
}

/// A folder of nobody's, and in it a supervisor that nobody may start.
fn corner() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // By another process: what this one has open for writing could not be started.
    let copied = Command::new("cp").arg(shim()).arg(folder.path().join("shim")).status().unwrap();
    assert!(copied.success());
    for path in ["state", "state/package"] {
        fs::create_dir(folder.path().join(path)).unwrap();
        std::os::unix::fs::chown(folder.path().join(path), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    folder
}

fn look(folder: &Path) -> (String, String, String) {
    let processes =
        Processes::open(&folder.join("state/programs"), &folder.join("shim"), "nobodys", 1024).unwrap();
    assert!(processes.survey("backend").unwrap().is_empty());
    let package = folder.join("state/package");
    let mut program = sh("exit 0");
    program.user = Some("root".to_owned());
    let given = processes.create(&owner("two"), &program, &limits(), &package).unwrap_err();
    // What was refused was moved in already; the next attempt begins with a package again.
    fs::create_dir_all(&package).unwrap();
    program.user = None;
    processes.create(&owner("one"), &program, &limits(), &package).unwrap();
    let started = processes.start("one").unwrap_err();
    let state = processes.info("one").unwrap().unwrap().state;
    processes.remove("one").unwrap();
    (given.code().to_owned(), started.code().to_owned(), state.to_string())
}

#[test]
fn an_agent_without_rights_opens_and_says_that_limits_are_unavailable() {
    // The groups of this process are settled by it, where that is needed, before somebody without rights looks.
    let Some(_world) = world() else { return };
    if nix::unistd::User::from_name("nobody").unwrap().is_none_or(|user| user.uid.as_raw() != NOBODY) {
        return skipped("there is no user nobody with the usual number");
    }
    let folder = corner();
    let (given, started, state) = as_nobody(|| look(folder.path()));
    assert_eq!((given.as_str(), started.as_str()), ("unavailable", "unavailable"));
    assert!(state == "exited" || state == "created", "{state}");
}
