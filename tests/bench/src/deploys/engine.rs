//! The container engine, called over one kept connection: create, start, one look; stop, remove. No client of it does less
//! for the same.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::time::timeout;

const SOCKET: &str = "/var/run/docker.sock";
const DEADLINE: Duration = Duration::from_secs(60);

pub struct Engine {
    connection: SendRequest<Full<Bytes>>,
}

/// What a container is made from.
#[derive(Debug, Clone)]
pub struct Template {
    body: Value,
}

impl Template {
    /// That of a container that is there. Whatever it has (limits, network, labels), the next one gets; but it is marked as
    /// another agent's, who would look after it otherwise.
    pub fn of(container: &Value, agent: &str) -> Result<Self> {
        let part = |pointer: &str| {
            container.pointer(pointer).cloned().with_context(|| format!("{pointer} of a container"))
        };
        let mut labels = part("/Config/Labels")?;
        let label = labels.get_mut("cardcage.agent").context("a container of an agent says whose it is")?;
        *label = agent.into();
        let body = json!({
            "Image": part("/Config/Image")?,
            "Env": part("/Config/Env")?,
            "Labels": labels,
            "HostConfig": part("/HostConfig")?,
        });
        Ok(Self { body })
    }
}

impl Engine {
    pub async fn connect() -> Result<Self> {
        let stream = UnixStream::connect(Path::new(SOCKET)).await.context(SOCKET)?;
        let (connection, rest) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(rest);
        let mut engine = Self { connection };
        engine.does("GET", "/_ping", None).await?;
        Ok(engine)
    }

    /// Creates, starts, and looks at it once. Its id.
    pub async fn run(&mut self, name: &str, template: &Template) -> Result<String> {
        let path = format!("/containers/create?name={name}");
        let created = self.does("POST", &path, Some(&template.body)).await?;
        let id = created.pointer("/Id").and_then(Value::as_str).context("a container has an id")?.to_owned();
        self.does("POST", &format!("/containers/{id}/start"), None).await?;
        let seen = self.inspect(&id).await?;
        ensure!(seen.pointer("/State/Running") == Some(&Value::Bool(true)), "{name} does not run: {seen}");
        Ok(id)
    }

    /// Stops and removes.
    pub async fn end(&mut self, id: &str, grace: u32) -> Result<()> {
        self.does("POST", &format!("/containers/{id}/stop?t={grace}"), None).await?;
        self.does("DELETE", &format!("/containers/{id}?force=true&v=true"), None).await?;
        Ok(())
    }

    pub async fn inspect(&mut self, id: &str) -> Result<Value> {
        self.does("GET", &format!("/containers/{id}/json"), None).await
    }

    /// Those of an agent that run.
    pub async fn running(&mut self, agent: &str) -> Result<usize> {
        let all = self.containers(agent).await?;
        Ok(all.iter().filter(|one| one.get("State").is_some_and(|state| state == "running")).count())
    }

    /// Removes what there is of an agent.
    pub async fn clear(&mut self, agent: &str) -> Result<()> {
        for container in self.containers(agent).await? {
            let id = container.get("Id").and_then(Value::as_str).context("a container has an id")?;
            self.does("DELETE", &format!("/containers/{id}?force=true&v=true"), None).await?;
        }
        Ok(())
    }

    /// It may be gone already.
    pub async fn remove_image(&mut self, name: &str) -> Result<()> {
        let (status, answer) = self.ask("DELETE", &format!("/images/{name}?force=true"), None).await?;
        match status {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            _ => bail!("the image {name} cannot be removed: {answer}"),
        }
    }

    async fn containers(&mut self, agent: &str) -> Result<Vec<Value>> {
        // {"label":["cardcage.agent=…"]}
        let filters = format!("%7B%22label%22%3A%5B%22cardcage.agent%3D{agent}%22%5D%7D");
        let listed = self.does("GET", &format!("/containers/json?all=true&filters={filters}"), None).await?;
        Ok(serde_json::from_value(listed)?)
    }

    async fn does(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, answer) = self.ask(method, path, body).await?;
        ensure!(status.is_success(), "{method} {path}: {status} {answer}");
        Ok(answer)
    }

    async fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let asked = async {
            self.connection.ready().await?;
            let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
            let request = Request::builder().method(method).uri(path).header("Host", "engine");
            let request = request.header("Content-Type", "application/json").body(Full::new(bytes.into()))?;
            let response = self.connection.send_request(request).await?;
            let status = response.status();
            let answer = response.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, serde_json::from_slice(&answer).unwrap_or_default()))
        };
        timeout(DEADLINE, asked).await.with_context(|| format!("{method} {path}: no answer in time"))?
    }
}
