//! What carries deploys out: the crates behind the capabilities of backends, opened once for the agent.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use cardcage_artifacts::Store;
use cardcage_containers::{Config as EngineConfig, Credentials, Engine};
use cardcage_daemon::trusted::{self, Readers};
use cardcage_processes::Processes;
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::config::{Config, Registry};
use crate::model::Digest;

/// How long one file may take to fetch: a large image over a slow link.
const FETCH: Duration = Duration::from_secs(60 * 60);
/// Longest password.
const PASSWORD: usize = 4096;

/// What carries deploys out. One of each for the agent.
pub struct Mechanisms {
    pub artifacts: Result<Store, String>,
    pub engine: Engine,
    pub processes: Result<Processes, String>,
    /// Where archives are unpacked.
    unpacked: PathBuf,
}

impl Mechanisms {
    /// Opens what can be opened. What cannot says why when it is asked for; only what the operator wrote wrongly is an
    /// error here.
    pub fn open(config: &Config, agent: &str) -> anyhow::Result<Self> {
        let folder = config.state_dir.join("deploys");
        let unpacked = folder.join("unpacked");
        let made = make(&config.state_dir, &folder, &unpacked);
        let deploy = &config.deploy;
        let limits = cardcage_artifacts::Limits {
            artifact: deploy.artifact_limit,
            unpacked: deploy.unpacked_limit,
            quota: deploy.cache_limit,
            total: FETCH,
            ..cardcage_artifacts::Limits::default()
        };
        let artifacts = made.as_ref().map_err(ToString::to_string).and_then(|()| {
            Store::open(&folder.join("artifacts"), limits, deploy.ca.as_deref())
                .map_err(|error| error.to_string())
        });
        let programs = folder.join("programs");
        let processes = shim().and_then(|shim| {
            Processes::open(&programs, &shim, agent, deploy.log_limit).map_err(|error| error.to_string())
        });
        for reason in [artifacts.as_ref().err(), processes.as_ref().err()].into_iter().flatten() {
            warn!(reason, "some deploys will not work");
        }
        let mut registries = BTreeMap::new();
        for (host, registry) in &deploy.registries {
            registries.insert(host.clone(), credentials(host, registry)?);
        }
        let engine = Engine::new(EngineConfig {
            address: deploy.engine.clone(),
            agent: agent.to_owned(),
            registries,
            state_dir: folder,
        });
        Ok(Self { artifacts, engine, processes, unpacked })
    }

    /// Where the archive of a deployment is unpacked.
    pub(crate) fn unpacked(&self, uuid: &str) -> PathBuf {
        self.unpacked.join(Digest::of(uuid.as_bytes()).to_string())
    }

    /// Removes what was unpacked for a deployment and nothing was made of.
    pub async fn clear(&self, uuid: &str) {
        let folder = self.unpacked(uuid);
        let removed = spawn_blocking(move || match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                warn!(folder = %folder.display(), %error, "what was unpacked cannot be removed");
            }
            _ => {}
        });
        // It ends when the agent stops; the next start removes it.
        let _stopping = removed.await.is_err();
    }
}

/// Who a registry is told that asks.
pub(crate) fn credentials(host: &str, registry: &Registry) -> anyhow::Result<Credentials> {
    let password = trusted::read(&registry.password_file, Readers::Ourselves, PASSWORD)
        .with_context(|| format!("deploy.registries.{host:?}.password_file cannot be used"))?;
    let password = String::from_utf8(password.trim_ascii().to_vec())
        .with_context(|| format!("deploy.registries.{host:?}.password_file is not text"))?;
    Ok(Credentials { username: registry.username.clone(), password })
}

/// The folders. Programs may run as other users, who must come through to their own folder and see nothing on the way.
fn make(state_dir: &Path, folder: &Path, unpacked: &Path) -> std::io::Result<()> {
    if nix::unistd::geteuid().is_root() {
        std::fs::set_permissions(state_dir, Permissions::from_mode(0o711))?;
    }
    let new = |mode| {
        let mut folder = DirBuilder::new();
        folder.recursive(true).mode(mode);
        folder
    };
    new(0o711).create(folder)?;
    // Nothing was made of what is left there, and nothing is under way yet.
    match std::fs::remove_dir_all(unpacked) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    new(0o700).create(unpacked)
}

/// The supervisor of programs is installed beside the agent.
pub(crate) fn shim() -> Result<PathBuf, String> {
    let agent = std::env::current_exe().map_err(|error| error.to_string())?;
    let shim = agent.with_file_name("cardcage-shim");
    match shim.is_file() {
        true => Ok(shim),
        false => Err(format!(
            "the supervisor of programs {} is not there: it is installed beside the agent",
            shim.display()
        )),
    }
}

impl std::fmt::Debug for Mechanisms {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Mechanisms").field("unpacked", &self.unpacked).finish_non_exhaustive()
    }
}
