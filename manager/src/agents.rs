//! Requests to the agents of boards: deploys, what they list, what their instances print, plugins.
//!
//! ```text
//! connect ─▶ TLS, if it is configured ─▶ one request, with the token ─▶ status and a bounded body
//! ```
//! One connection for each request: they are rare. Redirects are not followed, so the token reaches nobody else. An agent
//! is not trusted to answer, to end or to be short: everything has a deadline and a length.

mod exchange;
mod tls;

use std::io::Read;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config;
pub use tls::BadTls;
use tls::Tls;

/// Longest time to a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest token that is read, in bytes.
const TOKEN_LIMIT: u64 = 4096;

/// How agents are reached.
pub struct Agents {
    token: Option<HeaderValue>,
    tls: Option<Tls>,
}

/// One request.
#[derive(Debug)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// The path and the query, escaped.
    pub path: String,
    /// JSON, or nothing; what is put is a plugin.
    pub body: Bytes,
    /// Longest time to the end of the answer, from the connection on.
    pub deadline: Duration,
    /// Longest body of the answer that is read, in bytes.
    pub limit: usize,
}

/// What an agent answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing was sent.
    #[error("no connection to the agent at {agent}: {reason}")]
    Connect {
        /// Where.
        agent: SocketAddrV4,
        /// Why.
        reason: String,
    },
    /// Nothing was sent, since the other end is not who it should be, or does not want us.
    #[error(
        "no TLS with the agent at {agent}: {reason}; compare [agents] of manager.toml with the agent's tls"
    )]
    Tls {
        /// Where.
        agent: SocketAddrV4,
        /// Why.
        reason: String,
    },
    /// It may have been received, and done.
    #[error("the agent at {agent} did not answer within {deadline:?}")]
    Late {
        /// Where.
        agent: SocketAddrV4,
        /// How long it had.
        deadline: Duration,
    },
    /// The same.
    #[error("the agent at {agent} broke off: {reason}")]
    Broken {
        /// Where.
        agent: SocketAddrV4,
        /// Why.
        reason: String,
    },
    /// The same.
    #[error("the agent at {agent} answers with more than {limit} bytes")]
    TooLong {
        /// Where.
        agent: SocketAddrV4,
        /// The limit.
        limit: usize,
    },
}

/// Why agents cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum BadAgents {
    /// The token.
    #[error("cannot read the agents' token {}: {source}; give the right file as agents.token_file", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is in it.
    #[error("the agents' token {} is empty or has a character that no header can have", .0.display())]
    NoToken(PathBuf),
    /// The certificates.
    #[error(transparent)]
    Tls(BadTls),
}

impl Agents {
    /// Reads the token and the certificates.
    pub fn new(config: &config::Agents) -> Result<Self, BadAgents> {
        let token = config.token_file.as_deref().map(token).transpose()?;
        let tls = if config.tls { Some(Tls::new(config).map_err(BadAgents::Tls)?) } else { None };
        Ok(Self { token, tls })
    }

    /// Asks one agent, with the token.
    pub async fn call(&self, agent: SocketAddrV4, call: Call) -> Result<Answer, NoAnswer> {
        self.ask(agent, self.token.as_ref(), call).await
    }

    /// Reads what an agent tells everybody: no reason to show it the token.
    pub async fn look(
        &self,
        agent: SocketAddrV4,
        path: &str,
        deadline: Duration,
        limit: usize,
    ) -> Result<Answer, NoAnswer> {
        let call = Call { method: Method::GET, path: path.to_owned(), body: Bytes::new(), deadline, limit };
        self.ask(agent, None, call).await
    }

    async fn ask(
        &self,
        agent: SocketAddrV4,
        token: Option<&HeaderValue>,
        call: Call,
    ) -> Result<Answer, NoAnswer> {
        let late = |deadline| move |_| NoAnswer::Late { agent, deadline };
        let no_connection = |reason: String| NoAnswer::Connect { agent, reason };
        let stream = timeout(CONNECT, TcpStream::connect(agent)).await;
        let stream = stream
            .map_err(|_| no_connection(format!("none within {CONNECT:?}")))?
            .map_err(|error| no_connection(error.to_string()))?;
        // What it changes is only how soon a request leaves.
        let _ = stream.set_nodelay(true);
        let deadline = call.deadline;
        match &self.tls {
            None => {
                let answer = exchange::exchange(agent, stream, token, call);
                timeout(deadline, answer).await.map_err(late(deadline))?
            }
            Some(tls) => {
                let failed = |reason: String| NoAnswer::Tls { agent, reason };
                let stream = timeout(CONNECT, tls.connect(*agent.ip(), stream)).await;
                let stream = stream
                    .map_err(|_| failed(format!("none within {CONNECT:?}")))?
                    .map_err(|error| failed(error.to_string()))?;
                let answer = exchange::exchange(agent, stream, token, call);
                timeout(deadline, answer).await.map_err(late(deadline))?
            }
        }
    }
}

fn token(path: &Path) -> Result<HeaderValue, BadAgents> {
    let failed = |source| BadAgents::Token { path: path.to_owned(), source };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(TOKEN_LIMIT).read_to_string(&mut text))
        .map_err(failed)?;
    let text = text.trim();
    let value = HeaderValue::from_str(&format!("Bearer {text}")).ok().filter(|_| !text.is_empty());
    let mut value = value.ok_or_else(|| BadAgents::NoToken(path.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A text as one part of a path, or as a value of a query.
pub fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_end_a_path_is_escaped() {
        assert_eq!(escaped("a-1.b_c~"), "a-1.b_c~");
        assert_eq!(escaped("../a b?c#d/节"), "..%2Fa%20b%3Fc%23d%2F%E8%8A%82");
    }

    #[test]
    fn a_token_without_a_text_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for (text, good) in [("secret\n", true), ("\n", false), ("a\u{1}b", false)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(token(&path).is_ok(), good, "{text:?}");
        }
        let error = token(&dir.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("agents.token_file"), "{error}");
    }
}
