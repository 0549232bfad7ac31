//! The container engine, asked over its socket without anything of the product: what is really there.
//!
//! Its answers are asked for in HTTP/1.0, so that they end with the connection and need no unpacking.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Answer;
use crate::namespace::skip;

/// Where an engine is on this machine, if it has one.
const SOCKET: &str = "/var/run/docker.sock";
/// It is busy when tests run side by side.
const DEADLINE: Duration = Duration::from_secs(60);

/// An engine that answers.
#[derive(Debug, Clone)]
pub struct Engine {
    socket: PathBuf,
}

impl Engine {
    /// That of this machine. `None`, and a word to the reader of the tests, where there is none.
    #[track_caller]
    pub fn of_this_machine(test: &str) -> Option<Self> {
        let engine = Self::at(Path::new(SOCKET));
        if !engine.answers() {
            skip(test, "a container engine at /var/run/docker.sock (Debian: docker.io)");
            return None;
        }
        Some(engine)
    }

    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    pub fn answers(&self) -> bool {
        self.ask("GET", "/_ping", &[], b"").is_ok_and(|answer| answer.status == 200)
    }

    /// One request.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Length: {}\r\n", body.len())?;
        for (name, value) in headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        stream.write_all(b"\r\n")?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer { status: status.ok_or(std::io::ErrorKind::InvalidData)?, body: body.to_owned() })
    }

    /// A request that has to succeed, or find what it asks for done already.
    #[track_caller]
    pub fn does(&self, method: &str, path: &str) -> Answer {
        let answer = self.ask(method, path, &[("Content-Type", "application/json")], b"").unwrap();
        assert!(matches!(answer.status, 200..=204 | 304), "{method} {path}: {answer:?}");
        answer
    }

    /// Every container of an agent, running or not.
    #[track_caller]
    pub fn containers_of(&self, agent: &str) -> Vec<Value> {
        self.labelled(&[format!("cardcage.agent={agent}")]).unwrap()
    }

    /// Every container of one deployment.
    #[track_caller]
    pub fn containers_for(&self, agent: &str, uuid: &str) -> Vec<Value> {
        self.labelled(&[format!("cardcage.agent={agent}"), format!("cardcage.uuid={uuid}")]).unwrap()
    }

    fn labelled(&self, labels: &[String]) -> std::io::Result<Vec<Value>> {
        let filters = percent(&json!({ "label": labels }).to_string());
        let answer = self.ask("GET", &format!("/containers/json?all=1&filters={filters}"), &[], b"")?;
        Ok(serde_json::from_str(&answer.body)?)
    }

    #[track_caller]
    pub fn inspect(&self, id: &str) -> Value {
        self.does("GET", &format!("/containers/{id}/json")).json()
    }

    /// Something is done to a container behind the agent's back: `pause`, `unpause`, `kill`, `stop?t=0`.
    #[track_caller]
    pub fn act(&self, id: &str, verb: &str) {
        self.does("POST", &format!("/containers/{id}/{verb}"));
    }

    /// Loads an image archive.
    #[track_caller]
    pub fn load(&self, archive: &[u8]) {
        let headers = [("Content-Type", "application/x-tar")];
        let answer = self.ask("POST", "/images/load?quiet=1", &headers, archive).unwrap();
        assert!(answer.status == 200 && answer.body.contains("Loaded image"), "{answer:?}");
    }

    /// Removes every container of an agent; what cannot be removed is left.
    pub(crate) fn clear(&self, agent: &str) {
        for container in self.labelled(&[format!("cardcage.agent={agent}")]).unwrap_or_default() {
            let id = container["Id"].as_str().unwrap_or_default();
            let _gone = self.ask("DELETE", &format!("/containers/{id}?force=1&v=1"), &[], b"");
        }
    }
}

/// As it is written in a query.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
