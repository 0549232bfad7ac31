//! One GET, along its redirects. Each hop is asked for before anything is sent to it.
//!
//! No proxy, whatever the environment says: a grant names the host that is reached. No content is decoded: what is
//! hashed is what the repository has.

mod connection;
mod resolver;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::{Connector as _, RustlsConnector, TcpConnector};
use ureq::{Agent, Body};

use crate::url::Url;
use crate::{Error, roots};

const REDIRECTS: usize = 5;
/// Of the answer's headers, in bytes.
const HEADERS: usize = 64 << 10;

/// Host and port of a request.
pub(crate) type Hop = (String, u16);

/// Why there is no answer.
pub(crate) enum Failure {
    /// Trying again changes nothing.
    Final(Error),
    /// It may: what went wrong.
    Again(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

pub(crate) struct Client<'a> {
    pub(crate) connect: Duration,
    pub(crate) idle: Duration,
    pub(crate) deadline: Instant,
    pub(crate) ca: Option<&'a Path>,
    pub(crate) allowed: &'a dyn Fn(&str, u16) -> bool,
    pub(crate) cancelled: &'a Arc<AtomicBool>,
}

pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    pub(crate) hops: Vec<Hop>,
}

impl Client<'_> {
    /// Any status but a redirect.
    pub(crate) fn get(&self, url: &Url, headers: &HeaderMap) -> Result<Answer, Failure> {
        let mut here = url.clone();
        let mut hops = Vec::new();
        for _ in 0..=REDIRECTS {
            let response = self.get_once(&here, headers)?;
            hops.push((here.host().to_owned(), here.port()));
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(Answer { response, hops });
            }
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let Some(location) = location else {
                return Err(
                    Error::invalid(url.to_string(), "a redirect that leads nowhere (no Location)").into()
                );
            };
            here = here.join(location)?;
        }
        Err(Error::invalid(url.to_string(), format!("more than {REDIRECTS} redirects")).into())
    }

    /// One request, to a place that is asked for first. Redirects are not followed.
    pub(crate) fn get_once(&self, url: &Url, headers: &HeaderMap) -> Result<Response<Body>, Failure> {
        if !(self.allowed)(url.host(), url.port()) {
            let host = format!("{}:{}", url.host(), url.port());
            return Err(Error::Denied { what: url.to_string(), host }.into());
        }
        let mut request = self.agent(url)?.get(url.full());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(credentials) = url.credentials() {
            request = request.header(header::AUTHORIZATION, credentials);
        }
        request.call().map_err(|error| self.failure(url, &error))
    }

    /// A client of its own for each request: its connection is not kept, and carries the flag of this caller.
    fn agent(&self, url: &Url) -> Result<Agent, Failure> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .max_response_header_size(HEADERS)
            .user_agent(concat!("cardcage-agent/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_global(Some(self.deadline.saturating_duration_since(Instant::now())))
            .timeout_resolve(Some(self.connect))
            .timeout_connect(Some(self.connect))
            .timeout_recv_response(Some(self.idle))
            .timeout_per_read(Some(self.idle))
            .timeout_per_write(Some(self.idle));
        let config = if url.is_https() { config.tls_config(self.tls()?) } else { config };
        let connector = TcpConnector::default()
            .chain(connection::Watch { cancelled: Arc::clone(self.cancelled) })
            .chain(RustlsConnector::default());
        let resolver = resolver::Names { cancelled: Arc::clone(self.cancelled) };
        Ok(Agent::with_parts(config.build(), connector, resolver))
    }

    fn tls(&self) -> Result<TlsConfig, Failure> {
        let roots = roots::load(self.ca)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = RootCerts::new_with_certs(&roots);
        Ok(TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build())
    }

    /// What a failed transfer means: the caller's end, the deadline, or the network's fault.
    pub(crate) fn failure(&self, url: &Url, error: &ureq::Error) -> Failure {
        let what = url.to_string();
        if self.cancelled.load(Ordering::Relaxed) {
            return Failure::Final(Error::Cancelled { what });
        }
        if Instant::now() >= self.deadline {
            let reason = "not finished within the deadline for a whole transfer".to_owned();
            return Failure::Final(Error::Unreachable { what, reason });
        }
        let reason = match error {
            ureq::Error::Timeout(which) => format!("no answer in time ({which})"),
            other => other.to_string(),
        };
        if is_distrust(error) {
            let reason = format!(
                "{reason}; if the repository is right, name its certificate authority in the configuration ([deploy] ca)"
            );
            return Failure::Final(Error::Unreachable { what, reason });
        }
        Failure::Again(reason)
    }
}

/// A certificate that is not trusted now is not trusted in a second.
fn is_distrust(error: &ureq::Error) -> bool {
    let rustls = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        _ => None,
    };
    matches!(rustls, Some(rustls::Error::InvalidCertificate(_)))
}
