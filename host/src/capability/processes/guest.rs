//! The guest side: asks the grant, puts on the owner and the limits, calls the crate on a thread that may block.

use std::path::PathBuf;

use cardcage_processes as real;
use wasmtime::component::Resource;

use super::Refusal;
use crate::capability::artifacts::guest::Tree;
use crate::capability::deploys::{Call, Deploys, blocking};
use crate::deploy::steps::step;
use crate::plugin::bindings::cardcage::types::errors::Error;
use crate::plugin::bindings::deploy::cardcage::host::processes as wit;
use crate::plugin::bindings::deploy::cardcage::types::deployment::Usage;

/// A handle of a guest: the program of the call's deployment.
#[derive(Debug)]
pub struct Process {
    uuid: String,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new("denied", refusal.to_string())
    }
}

impl From<real::Error> for Error {
    fn from(error: real::Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl Call {
    /// Does something with the programs, on a thread that may block.
    async fn programs<T: Send + 'static>(
        &self,
        work: impl FnOnce(&real::Processes) -> Result<T, real::Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.grants.processes.ask(self.backend.as_str())?;
        if let Err(reason) = &self.mechanisms.processes {
            return Err(Error::new("unavailable", reason.clone()));
        }
        let mechanisms = std::sync::Arc::clone(&self.mechanisms);
        let done = blocking(move || match &mechanisms.processes {
            Ok(processes) => work(processes).map_err(Error::from),
            Err(reason) => Err(Error::new("unavailable", reason.clone())),
        });
        done.await?
    }

    fn process_limits(&self) -> Result<real::Limits, Error> {
        let (allocation, cores) =
            self.work()?.cell.with(|record| (record.allocation.clone(), record.order.requirements.cores));
        Ok(real::Limits {
            cores: allocation.cores,
            shares: allocation.shared.then_some(cores),
            memory: allocation.memory,
            gpus: allocation.gpus.into_iter().map(|gpu| (gpu.index, gpu.device)).collect(),
        })
    }
}

impl Call {
    async fn create_process(&self, folder: PathBuf, program: wit::Program) -> Result<String, Error> {
        self.grants.processes.ask_user(self.backend.as_str(), program.user.as_deref())?;
        let owner = self.owner()?;
        let uuid = owner.uuid.clone();
        let owner = real::Owner {
            uuid: owner.uuid,
            instance_id: owner.instance_id,
            backend: owner.backend,
            order: owner.order,
            record: owner.record,
        };
        let (program, limits) = (into_real(program)?, self.process_limits()?);
        step("process create: before");
        let created = self
            .programs(move |programs| programs.create(&owner, &program, &limits, &folder).map(|_| ()))
            .await;
        step("process create: done");
        created.map(|()| uuid)
    }

    /// This deployment's, if it is this plugin's.
    async fn find_process(&self, uuid: &str) -> Result<Option<real::Info>, Error> {
        let (uuid, backend) = (uuid.to_owned(), self.backend.to_string());
        self.programs(move |programs| {
            let owner = programs.owner(&uuid)?;
            match owner.is_some_and(|owner| owner.backend == backend) {
                true => programs.info(&uuid),
                false => Ok(None),
            }
        })
        .await
    }

    /// Ends and removes what the backend left of the deployment; how many.
    pub(crate) async fn remove_programs(&self) -> Result<usize, Error> {
        let uuid = self.work()?.cell.with(|record| record.order.uuid.clone());
        if self.find_process(&uuid).await?.is_none() {
            return Ok(0);
        }
        self.programs(move |programs| programs.stop(&uuid).and_then(|()| programs.remove(&uuid))).await?;
        Ok(1)
    }

    async fn survey_processes(&self) -> Result<Vec<wit::Info>, Error> {
        let backend = self.backend.to_string();
        let found = self.programs(move |programs| {
            let found = programs.survey(&backend)?;
            let record =
                |info: &real::Info| programs.owner(&info.uuid).ok().flatten().map(|owner| owner.record);
            Ok(found.into_iter().map(|info| (record(&info), info)).collect::<Vec<_>>())
        });
        let mut infos = Vec::new();
        for (record, info) in found.await? {
            if let Some(record) = record {
                self.seen.add(&info.uuid, &record);
            }
            infos.push(from_real(info));
        }
        Ok(infos)
    }
}

fn into_real(program: wit::Program) -> Result<real::Program, Error> {
    Ok(real::Program {
        name: program.name,
        command: program.command,
        environment: program.environment,
        user: program.user,
        stop_signal: program.stop_signal,
        stop_grace: program.stop_grace,
        restart: program.restart.parse().map_err(|error: real::Error| Error::from(error))?,
        health: program.health.map(|health| real::Health {
            command: health.command,
            every: health.every,
            timeout: health.timeout,
            retries: health.retries,
        }),
    })
}

fn from_real(info: real::Info) -> wit::Info {
    let real::Usage { cpu_load, memory_used, memory_limit } = info.usage;
    wit::Info {
        uuid: info.uuid,
        order: info.order,
        pid: info.pid.into(),
        name: info.name,
        state: info.state.word().to_owned(),
        exit_code: info.exit_code,
        signal: info.signal,
        error: info.error,
        restarts: info.restarts,
        usage: Usage { cpu_load, memory_used, memory_limit, network_rx: None, network_tx: None },
    }
}

impl wit::Host for Deploys {
    async fn create(
        &mut self,
        folder: Resource<Tree>,
        program: wit::Program,
    ) -> Result<Resource<Process>, Error> {
        let folder = self.get(&folder)?.tree.path().to_owned();
        let created = self.call()?.create_process(folder, program).await;
        self.breathe();
        self.hand_out(Process { uuid: created? })
    }

    async fn find(&mut self) -> Result<Option<Resource<Process>>, Error> {
        let call = self.call()?;
        let uuid = call.work()?.cell.with(|record| record.order.uuid.clone());
        let there = call.find_process(&uuid).await;
        self.breathe();
        match there? {
            None => Ok(None),
            Some(_) => self.hand_out(Process { uuid }).map(Some),
        }
    }

    async fn survey(&mut self) -> Result<Vec<wit::Info>, Error> {
        let all = self.call()?.survey_processes().await;
        self.breathe();
        all
    }
}

impl wit::HostProcess for Deploys {
    async fn info(&mut self, process: Resource<Process>) -> Result<wit::Info, Error> {
        let uuid = self.get(&process)?.uuid.clone();
        let there = self.call()?.find_process(&uuid).await;
        self.breathe();
        there?.map(from_real).ok_or_else(|| Error::new("absent", format!("the program of {uuid} is gone")))
    }

    async fn start(&mut self, process: Resource<Process>) -> Result<(), Error> {
        let uuid = self.get(&process)?.uuid.clone();
        step("process start: before");
        let started = self.call()?.programs(move |programs| programs.start(&uuid).map(|_| ())).await;
        step("process start: done");
        self.breathe();
        started
    }

    async fn stop(&mut self, process: Resource<Process>) -> Result<(), Error> {
        let uuid = self.get(&process)?.uuid.clone();
        step("process stop: before");
        let stopped = self.call()?.programs(move |programs| programs.stop(&uuid)).await;
        step("process stop: done");
        self.breathe();
        stopped
    }

    async fn remove(&mut self, process: Resource<Process>) -> Result<(), Error> {
        let uuid = self.get(&process)?.uuid.clone();
        step("process remove: before");
        let removed = self.call()?.programs(move |programs| programs.remove(&uuid)).await;
        step("process remove: done");
        self.breathe();
        removed
    }

    async fn drop(&mut self, process: Resource<Process>) -> wasmtime::Result<()> {
        self.table.delete(process)?;
        Ok(())
    }
}
