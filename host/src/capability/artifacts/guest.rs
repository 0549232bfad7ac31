//! The guest side: asks the grant, calls the crate, counts the progress.

use std::sync::Arc;

use cardcage_artifacts as real;
use wasmtime::component::Resource;

use crate::capability::deploys::{Call, Deploys, blocking};
use crate::deploy::steps::step;
use crate::plugin::bindings::cardcage::types::errors::Error;
use crate::plugin::bindings::deploy::cardcage::host::artifacts as wit;

/// A handle of a guest.
#[derive(Debug)]
pub struct Artifact(pub(crate) real::Artifact);

/// The same, of an unpacked archive.
#[derive(Debug)]
pub struct Tree {
    pub(crate) tree: Arc<real::Tree>,
}

impl Call {
    fn store(&self) -> Result<real::Store, Error> {
        self.mechanisms.artifacts.clone().map_err(|reason| Error::new("unavailable", reason))
    }

    async fn fetch(&self, url: String, sha256: Option<String>) -> Result<real::Artifact, Error> {
        let store = self.store()?;
        let (grant, cancelled) = (self.grants.artifacts.clone(), self.cancelled());
        let progress = self.work()?.progress.clone();
        let name = url.rsplit('/').next().unwrap_or_default().to_owned();
        step("fetch: before");
        let fetched = blocking(move || {
            let allowed = |host: &str, port: u16| grant.allows(host, port);
            let request = real::Request {
                url: &url,
                sha256: sha256.as_deref(),
                allowed: &allowed,
                cancelled: &cancelled,
            };
            let fetched = store.fetch(&request, &mut |now| progress.set(Some(fetching(&name, now))));
            progress.set(None);
            fetched
        });
        let fetched = fetched.await?.map_err(|error| self.explain(&error));
        step("fetch: done");
        fetched
    }

    async fn is_registry(&self, url: String) -> Result<bool, Error> {
        let store = self.store()?;
        self.work()?;
        let (grant, cancelled) = (self.grants.artifacts.clone(), self.cancelled());
        let asked =
            blocking(move || store.is_registry(&url, &|host, port| grant.allows(host, port), &cancelled))
                .await;
        asked?.map_err(|error| self.explain(&error))
    }

    async fn unpack(&self, artifact: real::Artifact) -> Result<real::Tree, Error> {
        let uuid = self.work()?.cell.with(|record| record.order.uuid.clone());
        let folder = self.mechanisms.unpacked(&uuid);
        let cancelled = self.cancelled();
        step("unpack: before");
        let unpacked = blocking(move || {
            // Left by an attempt that was cut short: nothing was made of it.
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::new("io", format!("{}: {error}", folder.display())));
                }
                _ => {}
            }
            artifact.unpack(&folder, &cancelled).map_err(|error| from_real(&error))
        });
        let tree = unpacked.await?;
        step("unpack: done");
        tree
    }

    /// A host that is not granted is named with what would grant it.
    fn explain(&self, error: &real::Error) -> Error {
        match error {
            real::Error::Denied { what, host } => Error::new(
                "denied",
                format!(
                    "{what}: {host} is not granted; grant it with [plugins.grants.{}] artifacts = [\"{host}\"]",
                    self.backend
                ),
            ),
            error => from_real(error),
        }
    }
}

fn fetching(name: &str, now: real::Progress) -> String {
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    match now.total {
        Some(total) => format!("fetching {name}: {} of {} MiB", mebibytes(now.received), mebibytes(total)),
        None => format!("fetching {name}: {} MiB", mebibytes(now.received)),
    }
}

/// A repository that does not answer is a failure; `unreachable` is kept for what runs instances.
fn from_real(error: &real::Error) -> Error {
    let code = match (error, error.code()) {
        // The repository wants other credentials; no grant of ours would help.
        (real::Error::Status { .. }, "denied") => "artifact",
        (_, "unreachable") => "no-answer",
        (_, code) => code,
    };
    Error::new(code, error.to_string())
}

impl wit::Host for Deploys {
    async fn fetch(&mut self, url: String, sha256: Option<String>) -> Result<Resource<Artifact>, Error> {
        let fetched = self.call()?.fetch(url, sha256).await;
        self.breathe();
        self.hand_out(Artifact(fetched?))
    }

    async fn is_registry(&mut self, url: String) -> Result<bool, Error> {
        let asked = self.call()?.is_registry(url).await;
        self.breathe();
        asked
    }
}

impl wit::HostArtifact for Deploys {
    async fn digest(&mut self, artifact: Resource<Artifact>) -> String {
        self.get(&artifact).map(|artifact| artifact.0.digest().to_string()).unwrap_or_default()
    }

    async fn size(&mut self, artifact: Resource<Artifact>) -> u64 {
        self.get(&artifact).map(|artifact| artifact.0.size()).unwrap_or_default()
    }

    async fn format(&mut self, artifact: Resource<Artifact>) -> String {
        let Ok(artifact) = self.get(&artifact).map(|artifact| artifact.0.clone()) else {
            return "other".to_owned();
        };
        let format = blocking(move || artifact.format()).await;
        self.breathe();
        // What cannot be read is no archive.
        let format = format.ok().and_then(Result::ok).unwrap_or(real::Format::Other);
        format.name().to_owned()
    }

    async fn read(&mut self, artifact: Resource<Artifact>, path: String) -> Result<Vec<u8>, Error> {
        let artifact = self.get(&artifact)?.0.clone();
        let content = blocking(move || artifact.read(&path)).await;
        self.breathe();
        content?.map_err(|error| from_real(&error))
    }

    async fn unpack(&mut self, artifact: Resource<Artifact>) -> Result<Resource<Tree>, Error> {
        let artifact = self.get(&artifact)?.0.clone();
        let tree = self.call()?.unpack(artifact).await;
        self.breathe();
        self.hand_out(Tree { tree: Arc::new(tree?) })
    }

    async fn drop(&mut self, artifact: Resource<Artifact>) -> wasmtime::Result<()> {
        self.table.delete(artifact)?;
        Ok(())
    }
}

impl wit::HostTree for Deploys {
    async fn read(&mut self, tree: Resource<Tree>, path: String) -> Result<Vec<u8>, Error> {
        let tree = Arc::clone(&self.get(&tree)?.tree);
        let content = blocking(move || tree.read(&path, real::READ_LIMIT)).await;
        self.breathe();
        content?.map_err(|error| from_real(&error))
    }

    async fn drop(&mut self, tree: Resource<Tree>) -> wasmtime::Result<()> {
        self.table.delete(tree)?;
        Ok(())
    }
}
