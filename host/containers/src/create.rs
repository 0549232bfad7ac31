//! A specification in the engine's words.
//!
//! What the deployment was admitted with is put on the container here, beside what every container gets: a bounded number of
//! processes, a log that does not fill the disk, no new privileges. What the engine would have to be told to give away (privileges, capabilities, other
//! namespaces) is never said.
//!
//! A create whose answer was lost is made again by the caller, with the same order; so a container that has the name already
//! is looked at before it is a conflict.

use std::collections::{BTreeMap, HashMap};

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount as EngineMount, MountBindOptions, MountType,
    PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::CreateContainerOptionsBuilder;

use crate::connection::Live;
use crate::engine::{AGENT, REQUEST, label};
use crate::gpus::{Handed, Roots, hand_over};
use crate::{Engine, Error, Limits, Mount, Owner, Spec};

pub(crate) const UUID: &str = "cardcage.uuid";
pub(crate) const INSTANCE_ID: &str = "cardcage.instance_id";
pub(crate) const BACKEND: &str = "cardcage.backend";
pub(crate) const ORDER: &str = "cardcage.order";
pub(crate) const RECORD: &str = "cardcage.record";
/// The addresses of its accelerators; for messages.
pub(crate) const GPUS: &str = "cardcage.gpus";

const PROCESSES: i64 = 4096;
/// A log file, and how many of them.
const LOG_SIZE: &str = "10m";
const LOG_FILES: &str = "3";
/// The engine's weight of one core.
const SHARES: i64 = 1024;
/// The kernel's limit of a weight.
const SHARES_MOST: i64 = 262_144;

impl Engine {
    /// Makes a container and does not start it. Its id.
    pub async fn create(&self, owner: &Owner, spec: &Spec, limits: &Limits) -> Result<String, Error> {
        owner.check()?;
        spec.check()?;
        limits.check()?;
        let live = self.live().await?;
        let what = format!("create container {} of {}", spec.name, spec.image);
        let handed = hand_over(&Roots::default(), &limits.gpus, live.is_podman)
            .map_err(|reason| Error::failed(&*what, reason))?;
        let body = self.body(owner, spec, limits, handed, live.is_podman);
        match self.try_create(&what, &live, spec, body).await {
            Err(error) if is_taken(&error) => self.taken(owner, spec, error).await,
            result => result,
        }
    }

    async fn try_create(
        &self,
        what: &str,
        live: &Live,
        spec: &Spec,
        mut body: ContainerCreateBody,
    ) -> Result<String, Error> {
        let created = self.post(what, &live.docker, spec, body.clone()).await;
        if !created.as_ref().is_err_and(is_without_init) {
            return created;
        }
        // Some installations of podman come without the init program. Stopping then may take the whole grace.
        if let Some(host) = &mut body.host_config {
            host.init = None;
        }
        self.post(what, &live.docker, spec, body).await
    }

    async fn post(
        &self,
        what: &str,
        docker: &Docker,
        spec: &Spec,
        body: ContainerCreateBody,
    ) -> Result<String, Error> {
        let options = CreateContainerOptionsBuilder::default().name(&spec.name).build();
        let asked = docker.create_container(Some(options), body);
        Ok(self.connection.finish(what, REQUEST, asked).await?.id)
    }

    /// The name is taken: by what an earlier call of the same kind made, or by somebody else.
    async fn taken(&self, owner: &Owner, spec: &Spec, error: Error) -> Result<String, Error> {
        let what = format!("create container {}", spec.name);
        let Some(there) = self.details(&spec.name).await? else { return Err(error) };
        let has = |name: &str, value: &String| label(&there, name) == Some(value);
        let is_ours = has(AGENT, &self.agent) && has(UUID, &owner.uuid) && has(BACKEND, &owner.backend);
        match there.id.clone() {
            Some(id) if is_ours && has(ORDER, &owner.order) => Ok(id),
            _ if is_ours => {
                let reason =
                    "the deployment has a container of another order under that name; remove it first";
                Err(Error::Conflict { what, reason: reason.into() })
            }
            _ => Err(Error::Conflict { what, reason: "another container has that name".into() }),
        }
    }

    fn body(
        &self,
        owner: &Owner,
        spec: &Spec,
        limits: &Limits,
        handed: Handed,
        is_podman: bool,
    ) -> ContainerCreateBody {
        let ports = ports(spec);
        ContainerCreateBody {
            image: Some(spec.image.clone()),
            cmd: (!spec.command.is_empty()).then(|| spec.command.clone()),
            env: Some(spec.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            labels: Some(self.labels(owner, limits)),
            exposed_ports: Some(ports.keys().cloned().collect()),
            host_config: Some(HostConfig {
                port_bindings: Some(ports.into_iter().collect()),
                mounts: Some(spec.mounts.iter().map(|given| mount(given, is_podman)).collect()),
                network_mode: spec.network.clone(),
                restart_policy: Some(RestartPolicy {
                    name: Some(restart(&spec.restart)),
                    maximum_retry_count: None,
                }),
                devices: Some(handed.devices),
                device_requests: Some(handed.requests),
                init: spec.init.then_some(true),
                ..confined(limits)
            }),
            ..ContainerCreateBody::default()
        }
    }

    fn labels(&self, owner: &Owner, limits: &Limits) -> HashMap<String, String> {
        let gpus: Vec<&str> = limits.gpus.iter().map(|gpu| gpu.device.as_str()).collect();
        [
            (AGENT, self.agent.clone()),
            (UUID, owner.uuid.clone()),
            (INSTANCE_ID, owner.instance_id.clone()),
            (BACKEND, owner.backend.clone()),
            (ORDER, owner.order.clone()),
            (RECORD, owner.record.clone()),
            (GPUS, gpus.join(",")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

fn confined(limits: &Limits) -> HostConfig {
    let cores: Vec<String> = limits.cores.iter().map(u32::to_string).collect();
    let weight = |cores: u32| i64::from(cores.max(1)).saturating_mul(SHARES).min(SHARES_MOST);
    let memory = i64::try_from(limits.memory).ok();
    HostConfig {
        cpuset_cpus: (!cores.is_empty()).then(|| cores.join(",")),
        cpu_shares: limits.shares.map(weight),
        memory,
        memory_swap: memory,
        pids_limit: Some(PROCESSES),
        security_opt: Some(vec!["no-new-privileges".into()]),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(
                [("max-size", LOG_SIZE), ("max-file", LOG_FILES)]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
        }),
        ..HostConfig::default()
    }
}

fn ports(spec: &Spec) -> BTreeMap<String, Option<Vec<PortBinding>>> {
    let mut ports: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    for port in &spec.ports {
        let binding = PortBinding { host_ip: None, host_port: Some(port.host.to_string()) };
        let key = format!("{}/{}", port.container, port.protocol);
        ports.entry(key).or_default().get_or_insert_default().push(binding);
    }
    ports
}

/// As a mount and not as a bind, since binds make a folder where there is none.
fn mount(given: &Mount, is_podman: bool) -> EngineMount {
    let is_bind = given.source.starts_with('/');
    // Podman takes this option only from version 5 on, and never makes the folder.
    let options = MountBindOptions { create_mountpoint: Some(false), ..MountBindOptions::default() };
    EngineMount {
        typ: Some(if is_bind { MountType::BIND } else { MountType::VOLUME }),
        source: Some(given.source.clone()),
        target: Some(given.target.clone()),
        read_only: Some(given.read_only),
        bind_options: (is_bind && !is_podman).then_some(options),
        ..EngineMount::default()
    }
}

/// `always` is said as `unless-stopped`: a container that was stopped by order has to stay so when the engine restarts.
fn restart(word: &str) -> RestartPolicyNameEnum {
    match word {
        "always" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        _ => RestartPolicyNameEnum::NO,
    }
}

/// Podman says it with other words and other statuses.
fn is_taken(error: &Error) -> bool {
    match error {
        Error::Conflict { .. } => true,
        Error::Failed { reason, .. } => {
            reason.contains("already in use") || reason.contains("name is in use")
        }
        _ => false,
    }
}

fn is_without_init(error: &Error) -> bool {
    matches!(error, Error::Failed { reason, .. } if reason.contains("init binary") || reason.contains("catatonit"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Port;

    #[test]
    fn cores_and_memory_are_put_on_it() {
        let limits = Limits { cores: vec![2, 5], shares: None, memory: 64 << 20, gpus: Vec::new() };
        let host = confined(&limits);
        assert_eq!(host.cpuset_cpus.as_deref(), Some("2,5"));
        assert_eq!(host.cpu_shares, None);
        assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
        assert_eq!(confined(&Limits { shares: Some(2), ..limits }).cpu_shares, Some(2048));
    }

    #[test]
    fn it_is_confined_whatever_is_asked_for() {
        let host = confined(&Limits::default());
        assert_eq!(host.privileged, None);
        assert_eq!(host.cap_add, None);
        assert_eq!(host.pids_limit, Some(PROCESSES));
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));
    }

    #[test]
    fn two_ports_of_the_board_can_lead_to_one_of_the_container() {
        let port = |host| Port { host, container: 80, protocol: "tcp".into() };
        let spec = Spec { ports: vec![port(1), port(2)], ..Spec::default() };
        let ports = ports(&spec);
        assert_eq!(ports.get("80/tcp").and_then(Option::as_ref).map(Vec::len), Some(2));
    }
}
