//! Compiled plugins, by content. A plugin is compiled once, by a child process under limits, into a file that is named
//! after the plugin, the engine, and its own content:
//!
//! ```text
//! <sha-256 of the .wasm>-<engine and settings>-<sha-256 of the compiled code>.cwasm
//! ```
//! A file whose content does not match its name, or that does not load, is removed and made anew. Nothing else is ever
//! mapped: compiled code from outside is native code of unknown origin.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cardcage_compile::{ENGINE, EXECUTABLE, PLUGIN_LIMIT, REFUSED};
use nix::errno::Errno;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{info, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::map::{Vouched, map};
use super::package::{Package, PackageError};
use crate::error::brief;
use crate::model::Digest;

/// Longest compilation by the wall clock; the child has a limit of its own for processor time.
const DEADLINE: Duration = Duration::from_secs(300);
/// Compilations at once: each uses all cores for most of its time.
const AT_ONCE: usize = 2;
/// Compiled plugins that are kept although their plugins are gone: who goes back to an earlier version does not wait.
const LATELY: usize = 16;
const LATELY_BYTES: u64 = 32 << 20;
/// The same in a person's own cache, where a plugin is tried again and again: one that brings an interpreter has tens of MiB.
const TRIED_BYTES: u64 = 512 << 20;
/// What is kept of a child's complaint, in bytes.
const COMPLAINT: u64 = 2048;

/// The folder of compiled plugins, and the way to fill it.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    compiler: PathBuf,
    turn: Semaphore,
}

/// Why a plugin cannot be had compiled.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("the cache {folder} cannot be used")]
    Folder {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "the cache {0} must belong to the agent's user, and nobody else may write to it: remove it, it is made anew"
    )]
    Unsafe(PathBuf),
    #[error("the plugin's file changed since it was looked at")]
    Changed,
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error("the compiler {compiler} cannot be run; it is installed beside the agent")]
    Compiler {
        compiler: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("does not compile: {0}")]
    Rejected(String),
    #[error("the compiler ended early, by {0}; its limits are a plugin's worth of memory and time")]
    Ended(std::process::ExitStatus),
    #[error("the compiler could not do its work: {0}")]
    Unable(String),
    #[error("compiling took longer than {DEADLINE:?}")]
    Deadline,
    #[error("compiled, but does not load")]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Whose fault it is that a plugin cannot be had compiled, and so whether another try makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It will never compile.
    Plugin,
    /// It used up what a compilation may use. Perhaps the machine was short of it; another try costs as much.
    Exhausted,
    /// The machine's: a full disk, a compiler that is not there. It passes, or somebody mends it.
    Machine,
}

impl CacheError {
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Changed | Self::Package(_) | Self::Rejected(_) => Fault::Plugin,
            Self::Deadline | Self::Ended(_) => Fault::Exhausted,
            Self::Folder { .. }
            | Self::Unsafe(_)
            | Self::Compiler { .. }
            | Self::Unable(_)
            | Self::Load(_) => Fault::Machine,
        }
    }
}

impl Cache {
    /// The cache of a state directory. The compiler lies beside the agent's executable.
    pub fn open(state_dir: &Path) -> Result<Self, CacheError> {
        let folder = state_dir.join("compiled");
        let failed = |source| CacheError::Folder { folder: folder.clone(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        Self::check(state_dir)?;
        let agent = std::env::current_exe().map_err(failed)?;
        let compiler = agent.with_file_name(EXECUTABLE);
        Ok(Self { folder, compiler, turn: Semaphore::new(AT_ONCE) })
    }

    /// That of whoever runs this, below `XDG_CACHE_HOME` or `HOME`, where nobody else can put code.
    pub fn of_user() -> Option<Self> {
        let below = |name: &str, more: &str| {
            let folder = std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute())?;
            let is_ours = folder.metadata().is_ok_and(|about| is_own(&about));
            is_ours.then(|| folder.join(more))
        };
        let folder = below("XDG_CACHE_HOME", "cardcage").or_else(|| below("HOME", ".cache/cardcage"));
        let cache = Self::open(&folder?).ok()?;
        cache.keep_lately(&BTreeSet::new(), TRIED_BYTES);
        Some(cache)
    }

    /// Whether the cache of a state directory, if there is one, is the agent's alone.
    pub fn check(state_dir: &Path) -> Result<(), CacheError> {
        let folder = state_dir.join("compiled");
        match folder.symlink_metadata() {
            Ok(about) if about.is_dir() && is_own(&about) => Ok(()),
            Ok(_) => Err(CacheError::Unsafe(folder)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(CacheError::Folder { folder, source }),
        }
    }

    /// The compiled plugin, mapped; compiles it if need be.
    pub async fn load(&self, engine: &Engine, package: &Package) -> Result<Component, CacheError> {
        if let Some(component) = self.look_up(engine, package) {
            return Ok(component);
        }
        // Nobody closes the semaphore.
        let _turn = self.turn.acquire().await;
        self.compile(package).await?;
        self.look_up(engine, package).ok_or_else(|| CacheError::Load("the engine's settings differ".into()))
    }

    /// Removes what belongs to plugins that are not there any more, except for some that were there lately and may come
    /// back, and what a killed agent left unfinished.
    pub fn prune(&self, used: &BTreeSet<Digest>) {
        self.keep_lately(used, LATELY_BYTES);
    }

    fn keep_lately(&self, used: &BTreeSet<Digest>, mut room: u64) {
        let kept: BTreeSet<String> = used.iter().map(ToString::to_string).collect();
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        let mut old = Vec::new();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_under_way(&name) || name.split_once('-').is_some_and(|(digest, _)| kept.contains(digest)) {
                continue;
            }
            let about = entry.metadata().ok().filter(|_| name.ends_with(".cwasm"));
            let (size, made) = about.map_or((u64::MAX, None), |about| (about.len(), about.modified().ok()));
            old.push((made, size, name));
        }
        old.sort();
        for (index, (_, size, name)) in old.into_iter().rev().enumerate() {
            match room.checked_sub(size).filter(|_| index < LATELY) {
                Some(left) => room = left,
                None => {
                    info!(entry = name, "compiled plugin is not needed any more");
                    let _ = std::fs::remove_file(self.folder.join(name));
                }
            }
        }
    }

    fn prefix(package: &Package) -> String {
        format!("{}-{ENGINE}-", package.digest)
    }

    fn look_up(&self, engine: &Engine, package: &Package) -> Option<Component> {
        let prefix = Self::prefix(package);
        let entries = std::fs::read_dir(&self.folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let named =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
        for path in entries.filter(named) {
            match self
                .examine(&path, &prefix)
                .and_then(|()| map(engine, &Vouched(&path)).map_err(|error| error.to_string()))
            {
                Ok(component) => return Some(component),
                Err(reason) => {
                    info!(plugin = %package.name, reason, "compiled plugin does not load, it is made anew");
                    let _ = std::fs::remove_file(&path);
                }
            }
        }
        None
    }

    /// Whether this user made it, nobody else can change it, and the content is what the name says. A name alone proves
    /// nothing: whoever could once write to the folder could name a file after its content.
    fn examine(&self, path: &Path, prefix: &str) -> Result<(), String> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(O_NOFOLLOW | O_NONBLOCK)
            .open(path)
            .map_err(|error| error.to_string())?;
        let about = file.metadata().map_err(|error| error.to_string())?;
        if !about.is_file() || !is_own(&about) || about.len() > 8 * PLUGIN_LIMIT {
            return Err("another user made it, or can change it".into());
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(|error| error.to_string())?;
        let expected = format!("{prefix}{}.cwasm", Digest::of(&content));
        match path == self.folder.join(expected) {
            true => Ok(()),
            false => Err("its content is not what its name says".into()),
        }
    }

    async fn compile(&self, package: &Package) -> Result<(), CacheError> {
        let bytes = package.source.bytes()?;
        if Digest::of(&bytes) != package.digest {
            return Err(CacheError::Changed);
        }
        let began = std::time::Instant::now();
        let output = self.folder.join(unfinished(&package.digest.to_string(), std::process::id()));
        let _ = std::fs::remove_file(&output);
        let compiled =
            timeout(DEADLINE, self.run_compiler(&bytes, &output)).await.unwrap_or(Err(CacheError::Deadline));
        let kept = match compiled {
            Ok(()) => self.keep(package, &output),
            Err(error) => Err(error),
        };
        let _ = std::fs::remove_file(&output);
        kept?;
        info!(plugin = %package.name, took = ?began.elapsed(), "plugin compiled");
        Ok(())
    }

    /// Runs the child to its end. It is killed if nobody waits for it any more.
    async fn run_compiler(&self, plugin: &[u8], output: &Path) -> Result<(), CacheError> {
        let failed = |source| CacheError::Compiler { compiler: self.compiler.clone(), source };
        let mut child = Command::new(&self.compiler)
            .arg(output)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let input = child.stdin.take();
        let feed = async {
            if let Some(mut input) = input {
                // A child that refuses the plugin early closes its end; what it says about it counts.
                let _ = input.write_all(plugin).await;
            }
        };
        let complaint = child.stderr.take();
        let listen = async {
            let mut said = Vec::new();
            if let Some(complaint) = complaint {
                // The rest is not waited for: the pipe is closed, and the child ends.
                let _ = complaint.take(COMPLAINT).read_to_end(&mut said).await;
            }
            brief(&String::from_utf8_lossy(&said))
        };
        let ((), complaint, ended) = tokio::join!(feed, listen, child.wait());
        let ended = ended.map_err(failed)?;
        match ended.code() {
            Some(0) => Ok(()),
            Some(code) if code == i32::from(REFUSED) => Err(CacheError::Rejected(complaint)),
            Some(_) => Err(CacheError::Unable(complaint)),
            None => Err(CacheError::Ended(ended)),
        }
    }

    /// Gives the output its name, and removes what other engines made of the same plugin.
    fn keep(&self, package: &Package, output: &Path) -> Result<(), CacheError> {
        let failed = |source| CacheError::Folder { folder: self.folder.clone(), source };
        let content = std::fs::read(output).map_err(failed)?;
        let entry = format!("{}{}.cwasm", Self::prefix(package), Digest::of(&content));
        std::fs::rename(output, self.folder.join(&entry)).map_err(failed)?;
        std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        let of_plugin = package.digest.to_string();
        for other in std::fs::read_dir(&self.folder).map_err(failed)?.filter_map(Result::ok) {
            let name = other.file_name().to_string_lossy().into_owned();
            let outdated = name.starts_with(&of_plugin) && name != entry && !is_under_way(&name);
            if outdated && let Err(error) = std::fs::remove_file(other.path()) {
                warn!(entry = name, %error, "old compiled plugin cannot be removed");
            }
        }
        Ok(())
    }
}

/// Whether it belongs to this user, and nobody else can change it.
fn is_own(about: &std::fs::Metadata) -> bool {
    about.uid() == nix::unistd::geteuid().as_raw() && about.mode() & 0o022 == 0
}

/// Name of what a process compiles. Its own, so that an agent and a person who tries a plugin do not disturb each other.
fn unfinished(plugin: &str, process: u32) -> String {
    format!(".{plugin}.{process}.new")
}

/// Whether an entry of the folder is being made by a process that lives; what a killed one left behind is not.
fn is_under_way(entry: &str) -> bool {
    let process = entry.strip_prefix('.').and_then(|rest| rest.strip_suffix(".new")?.rsplit_once('.'));
    process.and_then(|(_, process)| process.parse().ok()).is_some_and(|process: i32| {
        process > 0 && nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), None) != Err(Errno::ESRCH)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_living_process_makes_is_left_alone() {
        assert!(is_under_way(&unfinished("abc", std::process::id())));
        // No process has this id: it is beyond the largest.
        for entry in
            [&unfinished("abc", 0x7fff_fffe), ".abc.new", ".abc.0.new", ".abc.-1.new", "abc.cwasm", ""]
        {
            assert!(!is_under_way(entry), "{entry}");
        }
    }
}
