//! The built-in plugins and the guests, compiled once for all tests: `cardcage-agent plugin warm` fills a folder beside
//! the executables, and every agent of a test starts with a copy. Entries are named by their content, so what is out of
//! date is not used.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::executables::{executable, folder};
use crate::guests::Guest;

/// Puts everything compiled into a state directory.
pub(crate) fn fill(state_dir: &Path) {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    let compiled = COMPILED.get_or_init(warm);
    let own = state_dir.join("compiled");
    DirBuilder::new().mode(0o700).recursive(true).create(&own).unwrap();
    for entry in std::fs::read_dir(compiled).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().starts_with('.') {
            std::fs::copy(entry.path(), own.join(entry.file_name())).unwrap();
        }
    }
}

fn warm() -> PathBuf {
    let (agent, state_dir) = (executable("cardcage-agent"), folder().join("cardcage-tests"));
    std::fs::create_dir_all(&state_dir).unwrap();
    // Another test process may be doing the same.
    let lock = File::create(state_dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let compiled = state_dir.join("compiled");
    let made = |path: &Path| path.metadata().and_then(|about| about.modified()).ok();
    // Another agent comes with other plugins; what the old ones were compiled to is of no use.
    if made(&compiled) < made(&agent) {
        let _absent = std::fs::remove_dir_all(&compiled);
    }
    let plugins = state_dir.join("plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    for (name, guest) in Guest::ALL {
        std::fs::write(plugins.join(name).with_extension("wasm"), guest.packed()).unwrap();
    }
    let config = state_dir.join("agent.toml");
    // What is not granted is not compiled.
    let all =
        |name| format!("[plugins.grants.{name}]\nartifacts = [\"*\"]\ncontainers = {{}}\nprocesses = {{}}\n");
    let grants = ["deploy-oneshot", "hostile-backend"].map(all).concat();
    let http = "[plugins.grants.asks-http]\nhttp = [\"*\"]\n\
                [plugins.settings.asks-http]\nurl = \"http://127.0.0.1\"\n";
    let native = "[plugins.grants.calls-natively.native]\n\"libc.so.6\" = [\"*\"]\n";
    std::fs::write(&config, format!("state_dir = {state_dir:?}\n{grants}{http}{native}")).unwrap();
    let warmed = Command::new(agent).args(["plugin", "warm", "--config"]).arg(config).output().unwrap();
    assert!(warmed.status.success(), "the plugins cannot be compiled: {warmed:?}");
    compiled
}
