//! An agent that deploys, and a manager's side of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use super::engine::Engine;
use super::supply::{FILE, Supply};
use crate::answer::{GROUP, Manager};
use crate::load::connect;
use crate::process::{Process, Programs, free_port, wait_for};

/// The agent replies within five minutes.
const REPLY: Duration = Duration::from_secs(330);
/// Seconds between the request to end and the end.
pub const GRACE: u32 = 10;
/// What a shell and its program run with.
pub const MEBIBYTES: usize = 32;

/// See the module.
pub struct Board {
    state: TempDir,
    pub process: Process,
    service: SocketAddr,
    /// Asks for reports.
    pub manager: Manager,
    /// The agent's id.
    pub id: String,
}

/// A reply of `POST /deploy`.
#[derive(Debug)]
pub struct Reply {
    pub result: i64,
    pub message: String,
    pub id: Value,
}

impl Reply {
    pub fn done(self) -> Result<Self> {
        ensure!(self.result == 0, "{self:?}");
        Ok(self)
    }
}

impl Board {
    /// Starts it and waits until it serves containers. Whoever is deployed here shares all cores, so that this machine's
    /// number of them says nothing about how many there can be.
    pub fn start(programs: &Programs, deploy: &str) -> Result<Self> {
        let state = tempfile::tempdir()?;
        let config = state.path().join("agent.toml");
        let service = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let manager = Manager::start()?;
        std::fs::write(
            &config,
            format!(
                "state_dir = {:?}\n[discovery]\ninterfaces = [\"127.0.0.2\"]\ngroup = \"{GROUP}\"\nport = {}\n\
                 [service]\nlisten = \"{service}\"\n\
                 [deploy]\nshared_cores = \"{}\"\nshared_overcommit = 1024\n{deploy}",
                state.path().join("state"),
                manager.group_port,
                cores()?,
            ),
        )?;
        let process =
            Process::start(&programs.agent, ["run".as_ref(), "--config".as_ref(), config.as_os_str()])?;
        wait_for("the backend of containers", || is_ready(service).unwrap_or(false))?;
        let id = std::fs::read_to_string(state.path().join("state/agent_id"))?.trim().to_owned();
        Ok(Self { state, process, service, manager, id })
    }

    /// Ends it, and removes what it made.
    pub async fn end(self, engine: &mut Engine) -> Result<()> {
        let Self { state, process, id, .. } = self;
        drop(process);
        engine.clear(&id).await?;
        Ok(state.close()?)
    }

    /// Orders a start, with this many MiB for it.
    pub async fn order(
        &self,
        uuid: &str,
        supply: &Supply,
        options: &Value,
        mebibytes: usize,
    ) -> Result<Reply> {
        let mut all = json!({"cpu": "shared", "grace": GRACE});
        if let (Some(all), Some(options)) = (all.as_object_mut(), options.as_object()) {
            all.extend(options.clone());
        }
        self.post(&json!({
            "mode": "start", "type": "docker", "uuid": uuid, "name": format!("{}-{uuid}", self.id),
            "url": supply.url(), "file": FILE, "options": all,
            "require": {"cpu": 1, "memory": mebibytes << 20, "gpu": 0},
        }))
        .await
    }

    /// Orders a stop.
    pub async fn stop(&self, uuid: &str, id: &Value) -> Result<Reply> {
        self.post(&json!({"mode": "stop", "type": "docker", "uuid": uuid, "id": id})).await
    }

    /// `GET /deployments`.
    pub async fn deployments(&self) -> Result<Vec<Value>> {
        let request = Request::get("/deployments").header("Host", "agent").body(Full::default())?;
        Ok(serde_json::from_value(self.ask(request).await?)?)
    }

    async fn post(&self, data: &Value) -> Result<Reply> {
        let body = json!({"api_version": 1, "data": data}).to_string();
        let request = Request::post("/deploy").header("Host", "agent").body(Full::from(body))?;
        let answer = self.ask(request).await?;
        let data = answer.get("data").context("a reply has data")?;
        Ok(Reply {
            result: data
                .get("result")
                .and_then(Value::as_i64)
                .with_context(|| format!("no result in {answer}"))?,
            message: data.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
            id: data.get("id").cloned().unwrap_or_default(),
        })
    }

    /// On a connection of its own, as managers do.
    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Value> {
        let asked = async {
            let mut connection = connect(self.service).await?;
            let answer = connection.send_request(request).await?.into_body().collect().await?.to_bytes();
            anyhow::Ok(serde_json::from_slice(&answer)?)
        };
        timeout(REPLY, asked).await.context("the agent does not reply in time")?
    }
}

/// The cores that this process may run on, and so the agent.
fn cores() -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok(list.context("/proc/self/status has no Cpus_allowed_list")?.trim().to_owned())
}

fn is_ready(service: SocketAddr) -> Result<bool> {
    let answer = crate::sample::get(service, "/plugins")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer has a body")?;
    let plugins: Vec<Value> = serde_json::from_str(body)?;
    let has = |plugin: &Value, key: &str, value: &str| plugin.get(key).is_some_and(|found| found == value);
    Ok(plugins.iter().any(|plugin| has(plugin, "name", "deploy-docker") && has(plugin, "state", "ready")))
}
