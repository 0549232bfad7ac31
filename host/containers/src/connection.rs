//! The socket, who listens there, the deadlines.
//!
//! Nothing is connected before the first question. Every request is a connection of its own, so an engine that restarts is
//! noticed by what fails meanwhile and by nothing afterwards. What is kept between requests is which engine it is; after a
//! question that was not answered that is asked again, since another one may come back in its place.
//!
//! The client names no version of the API in what it asks, so every engine answers in the newest one that it speaks, and
//! what it does not know yet it leaves out. All that is asked for here is in version 1.41.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as Answer;
use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper::header::HeaderValue;
use tokio::time::timeout;

use crate::Error;
use crate::error::clean;

/// Where engines listen when the configuration names none: the first that is there is taken.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];
/// What the client would wait for at most; every request has a shorter deadline of its own.
const CLIENT: u64 = 2 * 60 * 60;
/// For the first question.
const GREETING: Duration = Duration::from_secs(10);

/// An engine that has answered.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) docker: Docker,
    /// It takes some arguments without doing what they say.
    pub(crate) is_podman: bool,
}

/// Where the engine is, and whether it has answered.
pub(crate) struct Connection {
    address: Option<String>,
    live: Mutex<Option<Live>>,
}

impl Connection {
    pub(crate) fn new(address: Option<String>) -> Self {
        Self { address, live: Mutex::new(None) }
    }

    /// The engine, asked for its version if that is not known.
    pub(crate) async fn live(&self) -> Result<Live, Error> {
        if let Some(live) = self.slot().clone() {
            return Ok(live);
        }
        let docker = self.open()?;
        let version = self.finish("ask the engine who it is", GREETING, docker.version()).await?;
        let live = Live { docker, is_podman: is_podman(&version) };
        *self.slot() = Some(live.clone());
        Ok(live)
    }

    /// Waits for an answer until the deadline, and puts it into words.
    pub(crate) async fn finish<T>(
        &self,
        what: &str,
        deadline: Duration,
        answer: impl Future<Output = Result<T, Answer>>,
    ) -> Result<T, Error> {
        let error = match timeout(deadline, answer).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(answer)) => self.explain(what, &answer),
            Err(_) => self.silent(what, deadline),
        };
        Err(error)
    }

    pub(crate) fn explain(&self, what: &str, answer: &Answer) -> Error {
        let error = Error::of(&self.address(), what, answer);
        if error.is_unreachable() {
            *self.slot() = None;
        }
        error
    }

    pub(crate) fn silent(&self, what: &str, deadline: Duration) -> Error {
        *self.slot() = None;
        let reason = format!("{what}: no answer within {} s", deadline.as_secs());
        Error::Unreachable { engine: self.address(), reason }
    }

    fn open(&self) -> Result<Docker, Error> {
        let address = self.address();
        let opened = if address.starts_with("unix://") {
            Docker::connect_with_unix(&address, CLIENT, API_DEFAULT_VERSION)
        } else if address.starts_with("tcp://") || address.starts_with("http://") {
            Docker::connect_with_http(&address, CLIENT, API_DEFAULT_VERSION)
        } else {
            let reason = "an address is unix:///path, tcp://host:port or http://host:port";
            return Err(Error::invalid(format!("container engine {}", clean(&address)), reason));
        };
        Ok(opened.map_err(|answer| self.explain("connect", &answer))?.with_request_modifier(for_urls))
    }

    fn address(&self) -> String {
        let found = || SOCKETS.into_iter().find(|path| Path::new(path).exists()).unwrap_or(SOCKETS[0]);
        self.address.clone().unwrap_or_else(|| format!("unix://{}", found()))
    }

    // Taken for a clone or an assignment, never while something waits.
    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_podman(version: &SystemVersion) -> bool {
    let components = version.components.iter().flatten();
    components.into_iter().any(|component| component.name.to_ascii_lowercase().contains("podman"))
}

/// Credentials in the alphabet that engines read. The client writes them in the other one, and an engine takes what it
/// cannot read for no credentials.
fn for_urls(mut request: BollardRequest) -> BollardRequest {
    if let Some(value) = request.headers_mut().get_mut("x-registry-auth") {
        let bytes: Vec<u8> = value.as_bytes().iter().map(|byte| url_safe(*byte)).collect();
        if let Ok(safe) = HeaderValue::from_bytes(&bytes) {
            *value = safe;
            value.set_sensitive(true);
        }
    }
    request
}

fn url_safe(byte: u8) -> u8 {
    match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => other,
    }
}

/// Credentials as the engine takes them.
pub(crate) fn credentials(username: &str, password: &str, host: &str) -> DockerCredentials {
    let server = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
    DockerCredentials {
        username: Some(username.to_owned()),
        password: Some(password.to_owned()),
        serveraddress: Some(server.to_owned()),
        ..DockerCredentials::default()
    }
}
