//! The guest side: asks the grant, puts on the owner and the limits, calls the crate.

use std::io::{self, Read};

use cardcage_containers as real;
use wasmtime::component::Resource;

use super::Refusal;
use crate::capability::artifacts::guest::Artifact;
use crate::capability::deploys::{Call, Deploys};
use crate::deploy::steps::step;
use crate::plugin::bindings::cardcage::types::errors::Error;
use crate::plugin::bindings::deploy::cardcage::host::containers as wit;
use crate::plugin::bindings::deploy::cardcage::types::deployment::Usage;

/// A handle of a guest: only this agent makes one, for a container of the call's deployment.
#[derive(Debug)]
pub struct Container {
    id: String,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Source(_) => "invalid",
            _ => "denied",
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<real::Error> for Error {
    fn from(error: real::Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl Call {
    fn engine(&self) -> Result<&real::Engine, Error> {
        self.grants.containers.ask(self.backend.as_str())?;
        Ok(&self.mechanisms.engine)
    }

    /// The request in the crate's words, every part of it granted.
    fn spec(&self, spec: wit::Spec) -> Result<real::Spec, Error> {
        let (grant, plugin) = (&self.grants.containers, self.backend.as_str());
        spec.ports.iter().try_for_each(|port| grant.ask_port(plugin, port.host))?;
        spec.network.iter().try_for_each(|network| grant.ask_network(plugin, network))?;
        let mount = |mount: wit::Mount| {
            let source = grant.ask_mount(plugin, &mount.source)?;
            Ok::<_, Refusal>(real::Mount { source, target: mount.target, read_only: mount.read_only })
        };
        let port = |port: wit::Port| real::Port {
            host: port.host,
            container: port.container,
            protocol: port.protocol,
        };
        Ok(real::Spec {
            image: spec.image,
            name: spec.name,
            command: spec.command,
            environment: spec.environment,
            ports: spec.ports.into_iter().map(port).collect(),
            mounts: spec.mounts.into_iter().map(mount).collect::<Result<_, _>>()?,
            network: spec.network,
            restart: spec.restart,
            init: spec.init,
        })
    }

    fn container_limits(&self) -> Result<real::Limits, Error> {
        let (allocation, cores) =
            self.work()?.cell.with(|record| (record.allocation.clone(), record.order.requirements.cores));
        let gpu =
            |gpu: crate::deploy::Gpu| real::Gpu { index: gpu.index, device: gpu.device, vendor: gpu.vendor };
        Ok(real::Limits {
            shares: allocation.shared.then_some(cores),
            cores: allocation.cores,
            memory: allocation.memory,
            gpus: allocation.gpus.into_iter().map(gpu).collect(),
        })
    }
}

impl Call {
    async fn create(&self, spec: wit::Spec) -> Result<String, Error> {
        let engine = self.engine()?;
        let owner = self.owner()?;
        let owner = real::Owner {
            uuid: owner.uuid,
            instance_id: owner.instance_id,
            backend: owner.backend,
            order: owner.order,
            record: owner.record,
        };
        let (spec, limits) = (self.spec(spec)?, self.container_limits()?);
        step("container create: before");
        let created = engine.create(&owner, &spec, &limits).await;
        step("container create: done");
        Ok(created?)
    }

    async fn load(&self, artifact: cardcage_artifacts::Artifact) -> Result<Vec<String>, Error> {
        let work = self.work()?;
        let engine = self.engine()?;
        let digest = artifact.digest().to_string();
        // Called where it may block, and twice: the archive is looked through before it is handed over.
        let open = move || match artifact.tar_reader() {
            Ok(reader) => Ok(Box::new(reader) as Box<dyn Read + Send>),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        work.progress.set(Some("loading the image".to_owned()));
        step("load: before");
        let loaded = tokio::select! {
            loaded = engine.load(&digest, open) => loaded.map_err(Error::from),
            () = work.cancelled.cancelled() => Err(cancelled()),
        };
        step("load: done");
        work.progress.set(None);
        loaded
    }

    async fn pull(&self, reference: &str) -> Result<String, Error> {
        let work = self.work()?;
        let engine = self.engine()?;
        work.progress.set(Some(format!("pulling {reference}")));
        step("pull: before");
        let pulled = tokio::select! {
            pulled = engine.pull(reference) => pulled.map_err(Error::from),
            () = work.cancelled.cancelled() => Err(cancelled()),
        };
        step("pull: done");
        work.progress.set(None);
        pulled
    }

    async fn find_containers(&self) -> Result<Vec<String>, Error> {
        let uuid = self.work()?.cell.with(|record| record.order.uuid.clone());
        let found = self.engine()?.find(&uuid, self.backend.as_str()).await?;
        Ok(found.into_iter().map(|info| info.id).collect())
    }

    /// Ends and removes what the backend left of the deployment; how many.
    pub(crate) async fn remove_containers(&self) -> Result<usize, Error> {
        let left = self.find_containers().await?;
        for id in &left {
            self.engine()?.stop(id, 0).await?;
            self.engine()?.remove(id).await?;
        }
        Ok(left.len())
    }

    async fn survey_containers(&self) -> Result<Vec<wit::Info>, Error> {
        let found = self.engine()?.survey(self.backend.as_str()).await?;
        found.iter().for_each(|info| self.seen.add(&info.uuid, &info.record));
        Ok(found.into_iter().map(info).collect())
    }

    async fn look_at_container(&self, id: &str) -> Result<wit::Info, Error> {
        let found = self.engine()?.inspect(id, self.backend.as_str()).await?;
        found.map(info).ok_or_else(|| Error::new("absent", format!("container {id} is gone")))
    }
}

fn cancelled() -> Error {
    Error::new("cancelled", "it was stopped while it was being started")
}

fn info(info: real::Info) -> wit::Info {
    let real::Usage { cpu_load, memory_used, memory_limit, network_rx, network_tx } = info.usage;
    wit::Info {
        uuid: info.uuid,
        order: info.order,
        id: info.id,
        name: info.name,
        state: info.state,
        exit_code: info.exit_code,
        out_of_memory: info.out_of_memory,
        error: info.error,
        usage: Usage { cpu_load, memory_used, memory_limit, network_rx, network_tx },
    }
}

impl wit::Host for Deploys {
    async fn load(&mut self, archive: Resource<Artifact>) -> Result<Vec<String>, Error> {
        let artifact = self.get(&archive)?.0.clone();
        let loaded = self.call()?.load(artifact).await;
        self.breathe();
        loaded
    }

    async fn pull(&mut self, reference: String) -> Result<String, Error> {
        let pulled = self.call()?.pull(&reference).await;
        self.breathe();
        pulled
    }

    async fn create(&mut self, spec: wit::Spec) -> Result<Resource<Container>, Error> {
        let created = self.call()?.create(spec).await;
        self.breathe();
        self.hand_out(Container { id: created? })
    }

    async fn find(&mut self) -> Result<Vec<Resource<Container>>, Error> {
        let found = self.call()?.find_containers().await;
        self.breathe();
        found?.into_iter().map(|id| self.hand_out(Container { id })).collect()
    }

    async fn survey(&mut self) -> Result<Vec<wit::Info>, Error> {
        let surveyed = self.call()?.survey_containers().await;
        self.breathe();
        surveyed
    }
}

impl wit::HostContainer for Deploys {
    async fn info(&mut self, container: Resource<Container>) -> Result<wit::Info, Error> {
        let id = self.get(&container)?.id.clone();
        let info = self.call()?.look_at_container(&id).await;
        self.breathe();
        info
    }

    async fn start(&mut self, container: Resource<Container>) -> Result<(), Error> {
        let (id, call) = (self.get(&container)?.id.clone(), self.call()?);
        let engine = call.engine()?;
        step("container start: before");
        let started = engine.start(&id).await;
        step("container start: done");
        self.breathe();
        Ok(started?)
    }

    async fn stop(&mut self, container: Resource<Container>, grace: u32) -> Result<(), Error> {
        let (id, call) = (self.get(&container)?.id.clone(), self.call()?);
        let engine = call.engine()?;
        step("container stop: before");
        let stopped = engine.stop(&id, grace).await;
        step("container stop: done");
        self.breathe();
        Ok(stopped?)
    }

    async fn remove(&mut self, container: Resource<Container>) -> Result<(), Error> {
        let (id, call) = (self.get(&container)?.id.clone(), self.call()?);
        let engine = call.engine()?;
        step("container remove: before");
        let removed = engine.remove(&id).await;
        step("container remove: done");
        self.breathe();
        Ok(removed?)
    }

    async fn drop(&mut self, container: Resource<Container>) -> wasmtime::Result<()> {
        self.table.delete(container)?;
        Ok(())
    }
}
