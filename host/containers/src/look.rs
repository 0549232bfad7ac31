//! Find, survey, inspect.
//!
//! A survey comes with every heartbeat, so it is one question to the engine however many containers there are. What the
//! list does not say (how it ended, its process) is asked for once and kept until the list or the kernel shows a change:
//!
//! ```text
//! list ─▶ known, same state, same status ─────────────────────────────▶ as known
//!     └─▶ known, running, its first process still lives ──────────────▶ as known  ("Up 5 minutes" became "Up 6 minutes")
//!     └─▶ otherwise ──inspect──▶ known
//! ```

use std::collections::{HashMap, HashSet};

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerSummary};
use bollard::query_parameters::ListContainersOptionsBuilder;
use futures_util::stream::{self, StreamExt as _};
use tracing::warn;

use crate::between::of_list;
use crate::create::{BACKEND, INSTANCE_ID, ORDER, RECORD, UUID};
use crate::engine::{AGENT, REQUEST, label, lock};
use crate::error::clean;
use crate::usage::{Measured, Process};
use crate::{Engine, Error, Usage};

/// Questions to the engine at a time.
const AT_ONCE: usize = 8;

/// A container of this agent as the engine sees it.
#[derive(Debug, Clone, Default)]
pub struct Info {
    /// The deployment.
    pub uuid: String,
    /// The business instance that it belongs to.
    pub instance_id: String,
    /// The plugin that made it.
    pub backend: String,
    /// Digest of the order that it was made for.
    pub order: String,
    /// What the agent noted when it was made.
    pub record: String,
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `created`, `running`, `paused`, `restarting`, `exited`, `dead`, `removing`.
    pub state: String,
    /// How it ended.
    pub exit_code: Option<i32>,
    /// Whether it ended because it used more memory than it may.
    pub out_of_memory: bool,
    /// What the engine says of a start that failed.
    pub error: Option<String>,
    /// When it was started last, as RFC 3339; absent if it never was.
    pub started_at: Option<String>,
    /// What it uses, where it runs.
    pub usage: Usage,
}

/// A container that was inspected.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) info: Info,
    /// The list's words when it was inspected. Absent when it was not inspected because of a list.
    status: Option<String>,
    process: Option<Process>,
}

impl Engine {
    /// The containers of a deployment, newest first.
    pub async fn find(&self, uuid: &str, backend: &str) -> Result<Vec<Info>, Error> {
        let mut listed = self.list(backend, Some(uuid)).await?;
        listed.sort_by_key(|summary| std::cmp::Reverse(summary.created));
        let ids = listed.into_iter().filter_map(|summary| summary.id);
        let looked: Vec<Result<Option<Info>, Error>> = stream::iter(ids)
            .map(|id| async move { self.inspect(&id, backend).await })
            .buffered(AT_ONCE)
            .collect()
            .await;
        looked.into_iter().filter_map(Result::transpose).collect()
    }

    /// One container; `None` if it is gone, or not this plugin's.
    pub async fn inspect(&self, id: &str, backend: &str) -> Result<Option<Info>, Error> {
        let Some(known) = self.look_at(id, backend, None).await? else { return Ok(None) };
        let mut infos = vec![known];
        self.measure(&mut infos).await;
        Ok(infos.pop().map(|known| known.info))
    }

    /// Every container that the plugin made on this board.
    pub async fn survey(&self, backend: &str) -> Result<Vec<Info>, Error> {
        let listed = self.list(backend, None).await?;
        let measured = self.meters.measure(self.processes(&listed)).await;
        let (mut kept, changed) = self.sort_out(listed, &measured);
        let mut fresh: Vec<Known> = Vec::new();
        let mut looks = stream::iter(changed)
            .map(|summary| async move { self.look_at_listed(summary, backend).await })
            .buffer_unordered(AT_ONCE);
        while let Some(looked) = looks.next().await {
            fresh.extend(looked?);
        }
        drop(looks);
        self.measure(&mut fresh).await;
        self.ask_for_usage(&mut kept, &measured).await;
        kept.append(&mut fresh);
        let there: HashSet<String> = kept.iter().map(|known| known.info.id.clone()).collect();
        self.forget_all_but(backend, &there);
        self.meters.keep_only(self.known_ids());
        Ok(kept.into_iter().map(|known| known.info).collect())
    }

    pub(crate) async fn list(
        &self,
        backend: &str,
        uuid: Option<&str>,
    ) -> Result<Vec<ContainerSummary>, Error> {
        let docker = self.docker().await?;
        let mut labels = vec![format!("{AGENT}={}", self.agent), format!("{BACKEND}={backend}")];
        labels.extend(uuid.map(|uuid| format!("{UUID}={uuid}")));
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed =
            self.connection.finish("list containers", REQUEST, docker.list_containers(Some(options))).await?;
        // Engines differ in what a filter with signs in it means.
        let is = |summary: &ContainerSummary, name: &str, value: &str| {
            summary.labels.as_ref().and_then(|labels| labels.get(name)).is_some_and(|found| found == value)
        };
        let is_meant = |summary: &ContainerSummary| {
            is(summary, AGENT, &self.agent)
                && is(summary, BACKEND, backend)
                && uuid.is_none_or(|uuid| is(summary, UUID, uuid))
        };
        Ok(listed.into_iter().filter(is_meant).collect())
    }

    /// Inspects it, and keeps what was found.
    async fn look_at(&self, id: &str, backend: &str, status: Option<String>) -> Result<Option<Known>, Error> {
        let Some(details) = self.details(id).await? else { return Ok(None) };
        let is = |name: &str, value: &str| label(&details, name).is_some_and(|found| found == value);
        if !is(AGENT, &self.agent) || !is(BACKEND, backend) {
            return Ok(None);
        }
        let known = Known { process: process(&details), info: info(details), status };
        lock(&self.known).insert(known.info.id.clone(), known.clone());
        Ok(Some(known))
    }

    /// The same for one of the list. If the engine cannot inspect it, what the list says has to do: one sick container must
    /// not hide the others.
    async fn look_at_listed(&self, summary: ContainerSummary, backend: &str) -> Result<Option<Known>, Error> {
        let id = summary.id.clone().unwrap_or_default();
        match self.look_at(&id, backend, summary.status.clone()).await {
            Err(error) if !error.is_unreachable() => {
                warn!(container = %id, %error, "container not inspected; only what the list says is known");
                Ok(Some(Known { info: info(of_list(summary)), status: None, process: None }))
            }
            result => result,
        }
    }

    /// The first processes of what runs and is known.
    fn processes(&self, listed: &[ContainerSummary]) -> Vec<Process> {
        let known = lock(&self.known);
        let ids = listed.iter().filter_map(|summary| summary.id.as_ref());
        ids.filter_map(|id| known.get(id)?.process.clone()).collect()
    }

    /// What is as it was, with its usage, and what has to be inspected.
    fn sort_out(
        &self,
        listed: Vec<ContainerSummary>,
        measured: &HashMap<String, Measured>,
    ) -> (Vec<Known>, Vec<ContainerSummary>) {
        let known = lock(&self.known);
        let (mut kept, mut changed) = (Vec::new(), Vec::new());
        for summary in listed {
            let Some(id) = &summary.id else { continue };
            let state = summary.state.map(|state| word(state.as_ref())).unwrap_or_default();
            let now = measured.get(id);
            let is_same = |known: &&Known| {
                let is_seen_alive = matches!(now, Some(Measured::Alive(_)));
                let is_seen_dead = matches!(now, Some(Measured::Gone));
                known.info.state == state
                    && (is_seen_alive || (!is_seen_dead && known.status == summary.status))
            };
            match known.get(id).filter(is_same) {
                Some(known) => {
                    let mut known = known.clone();
                    if let Some(Measured::Alive(usage)) = now {
                        known.info.usage = usage.clone();
                    }
                    kept.push(known);
                }
                None => changed.push(summary),
            }
        }
        (kept, changed)
    }

    /// Puts the usage to what runs.
    async fn measure(&self, looked: &mut [Known]) {
        let processes = looked.iter().filter_map(|known| known.process.clone()).collect();
        let measured = self.meters.measure(processes).await;
        for known in looked.iter_mut() {
            if let Some(Measured::Alive(usage)) = measured.get(&known.info.id) {
                known.info.usage = usage.clone();
            }
        }
        self.ask_for_usage(looked, &measured).await;
    }

    /// Of what runs where this process cannot see it, the engine knows the usage.
    async fn ask_for_usage(&self, looked: &mut [Known], measured: &HashMap<String, Measured>) {
        let is_elsewhere = |id: &String| matches!(measured.get(id), Some(Measured::Elsewhere));
        let ids: Vec<String> =
            looked.iter().map(|known| known.info.id.clone()).filter(is_elsewhere).collect();
        let asked: HashMap<String, Option<Usage>> = stream::iter(ids)
            .map(|id| async move { (id.clone(), self.ask_usage_of(&id).await) })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for known in looked.iter_mut() {
            if let Some(Some(usage)) = asked.get(&known.info.id) {
                known.info.usage = usage.clone();
            }
        }
    }

    fn known_ids(&self) -> HashSet<String> {
        lock(&self.known).keys().cloned().collect()
    }
}

fn process(details: &ContainerInspectResponse) -> Option<Process> {
    let state = details.state.as_ref()?;
    let pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)?;
    let network = details.host_config.as_ref().and_then(|host| host.network_mode.as_deref());
    let has_network = !network.is_some_and(|mode| mode == "host" || mode.starts_with("container:"));
    Some(Process { id: details.id.clone()?, pid, has_network })
}

fn info(details: ContainerInspectResponse) -> Info {
    let text = |name: &str| label(&details, name).cloned().unwrap_or_default();
    let none = ContainerState::default();
    let state = details.state.as_ref().unwrap_or(&none);
    let word = word(&state.status.map(|status| status.to_string()).unwrap_or_default());
    let has_ended = matches!(word.as_str(), "exited" | "dead" | "restarting");
    Info {
        uuid: text(UUID),
        instance_id: text(INSTANCE_ID),
        backend: text(BACKEND),
        order: text(ORDER),
        record: text(RECORD),
        id: details.id.clone().unwrap_or_default(),
        name: details.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
        exit_code: state.exit_code.filter(|_| has_ended).and_then(|code| i32::try_from(code).ok()),
        out_of_memory: has_ended && state.oom_killed.unwrap_or(false),
        error: state.error.as_deref().map(clean).filter(|error| !error.is_empty()),
        // The zero of the engine's clock stands for never.
        started_at: state.started_at.clone().filter(|at| !at.is_empty() && !at.starts_with("0001-01-01")),
        state: word,
        usage: Usage::default(),
    }
}

/// One set of words, whichever engine says them. What is being stopped still runs.
fn word(state: &str) -> String {
    match state {
        "stopping" => "running",
        "" | "configured" | "initialized" => "created",
        "stopped" => "exited",
        other => other,
    }
    .to_owned()
}
