//! One conversation with a registry: its scheme, who asks, and GETs that are tried again.
//!
//! Credentials go to the registry, or to where it says that tokens are made, and nowhere else: an address that a redirect
//! leads to gets none ([`Url::join`]). They go in the clear only where that was asked for: whoever takes a port of the
//! loopback while the registry is down would else learn them.

use std::io::Read as _;
use std::thread;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::http::{HeaderMap, HeaderValue, header};

use super::challenge::Challenge;
use super::error::PullError;
use super::reference::Reference;
use crate::http::{Answer, Client, Failure};
use crate::url::{Url, basic};

/// Requests that bring nothing, before it is given up.
const TRIES: u32 = 3;
/// Before the second; doubled before the third.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest answer with a token, in bytes.
const TOKEN: u64 = 64 << 10;

/// Who asks.
#[derive(Clone)]
pub struct Credentials {
    /// Without a colon.
    pub username: String,
    /// Anything.
    pub password: String,
}

pub(super) struct Session<'a> {
    client: Client<'a>,
    reference: &'a Reference,
    credentials: Option<&'a Credentials>,
    /// Whether everything may be said in the clear.
    plain_http: bool,
    base: Url,
    /// What the registry was told, once it asked.
    authorization: Option<String>,
}

/// What one request brought.
enum Brought {
    Whole(Vec<u8>),
    /// More than may be.
    Longer,
    Refused(u16, Vec<Challenge>),
}

impl<'a> Session<'a> {
    pub(super) fn open(
        client: Client<'a>,
        reference: &'a Reference,
        credentials: Option<&'a Credentials>,
        plain_http: bool,
    ) -> Result<Self, PullError> {
        let plain = reference.address("http")?;
        let in_the_clear = plain_http || plain.is_loopback() && speaks_http(&client, &plain);
        if in_the_clear && !plain_http && credentials.is_some() {
            return Err(PullError::InTheClear { registry: reference.registry().to_owned() });
        }
        let base = if in_the_clear { plain } else { reference.address("https")? };
        Ok(Self { client, reference, credentials, plain_http, base, authorization: None })
    }

    pub(super) fn address(&self, path: &str) -> Url {
        self.base.with_path(&format!("/v2/{}/{path}", self.reference.repository()))
    }

    /// All of an answer, if it is no longer than that.
    pub(super) fn get(&mut self, path: &str, accept: &str, limit: u64) -> Result<Vec<u8>, PullError> {
        let url = self.address(path);
        let mut headers = HeaderMap::new();
        if let Ok(accept) = HeaderValue::try_from(accept) {
            headers.insert(header::ACCEPT, accept);
        }
        loop {
            let asked_as = url.authorized(self.authorization.clone());
            match self.ask(&asked_as, &headers, limit)? {
                Brought::Whole(bytes) => return Ok(bytes),
                Brought::Longer => {
                    let reason = format!("more than {limit} bytes, which is the most that is taken");
                    return Err(PullError::Size { what: url.to_string(), reason });
                }
                Brought::Refused(401, challenges)
                    if self.authorization.is_none() && !challenges.is_empty() =>
                {
                    self.authorization = Some(self.answer(&challenges)?);
                }
                Brought::Refused(status, _) => return Err(self.refused(&url, status)),
            }
        }
    }

    fn refused(&self, url: &Url, status: u16) -> PullError {
        let (what, registry) = (url.to_string(), self.reference.registry().to_owned());
        match status {
            401 | 403 if self.credentials.is_none() => PullError::WhoAsks { registry },
            401 | 403 => PullError::Refused { what, status, registry },
            404 | 410 => PullError::Absent { what },
            _ => PullError::Status { what, status },
        }
    }

    /// One request, tried again while that may help.
    fn ask(&self, url: &Url, headers: &HeaderMap, limit: u64) -> Result<Brought, PullError> {
        let mut pause = PAUSE;
        for last in (0..TRIES).map(|number| number + 1 == TRIES) {
            let reason = match self.once(url, headers, limit) {
                Ok(Brought::Refused(status @ (408 | 425 | 429 | 500 | 502..=504), _)) if !last => {
                    format!("answered with {status}")
                }
                Ok(brought) => return Ok(brought),
                Err(Failure::Final(error)) => return Err(error.into()),
                Err(Failure::Again(reason)) => reason,
            };
            if last {
                let reason = format!("{reason} (tried {TRIES} times)");
                return Err(crate::Error::Unreachable { what: url.to_string(), reason }.into());
            }
            thread::sleep(pause);
            pause *= 2;
        }
        // There is at least one try.
        Err(PullError::Absent { what: url.to_string() })
    }

    fn once(&self, url: &Url, headers: &HeaderMap, limit: u64) -> Result<Brought, Failure> {
        let Answer { response, hops } = self.client.get(url, headers)?;
        if response.status() != 200 {
            // Where a redirect led, nobody is told who asks, nor where tokens are made.
            let registry = hops
                .last()
                .is_some_and(|(host, port)| (host.as_str(), *port) == (self.base.host(), self.base.port()));
            let lines = response.headers().get_all(header::WWW_AUTHENTICATE).iter().filter(|_| registry);
            let challenges = lines.filter_map(|line| line.to_str().ok()).flat_map(Challenge::read).collect();
            return Ok(Brought::Refused(response.status().as_u16(), challenges));
        }
        let mut bytes = Vec::new();
        let read = response.into_body().into_reader().take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| self.client.failure(url, &error.into()))?;
        Ok(if bytes.len() as u64 > limit { Brought::Longer } else { Brought::Whole(bytes) })
    }

    /// What the registry is told.
    fn answer(&self, challenges: &[Challenge]) -> Result<String, PullError> {
        let offered = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        match (offered("bearer"), offered("basic"), self.credentials) {
            (Some(bearer), ..) => self.token(bearer),
            (None, Some(_), Some(credentials)) => self.basic(credentials),
            (None, Some(_), None) => Err(PullError::WhoAsks { registry: self.registry() }),
            (None, None, _) => Err(self.strange("refuses with 401 and offers neither Bearer nor Basic")),
        }
    }

    /// Where the registry says that tokens are made. The token is for reading this repository, whatever else the registry
    /// asks for: it may not be the only one that trusts that place.
    fn token(&self, bearer: &Challenge) -> Result<String, PullError> {
        let realm = bearer.parameter("realm").ok_or_else(|| self.strange("offers Bearer without a realm"))?;
        let realm = Url::parse(realm)?.authorized(None);
        // On the loopback only for a registry that is there and speaks like this itself.
        let beside = realm.is_loopback() && self.base.is_loopback() && !self.base.is_https();
        if !realm.is_https() && !self.plain_http && !beside {
            return Err(
                self.strange("wants tokens to be asked for in the clear, which --plain-http would allow")
            );
        }
        let scope = format!("repository:{}:pull", self.reference.repository());
        let service = bearer.parameter("service").map(|service| ("service", service));
        let query = service.into_iter().chain([("scope", scope.as_str())]);
        let realm = query.fold(realm, |realm, (name, value)| {
            realm.with_parameter(name, &utf8_percent_encode(value, NON_ALPHANUMERIC).to_string())
        });
        let credentials = self.credentials.map(|credentials| self.basic(credentials)).transpose()?;
        match self.ask(&realm.authorized(credentials), &HeaderMap::new(), TOKEN)? {
            Brought::Whole(answer) => {
                read_token(&answer).ok_or_else(|| self.strange("is vouched for by what makes no tokens"))
            }
            Brought::Longer => Err(self.strange("is vouched for by what makes tokens that are too long")),
            Brought::Refused(status, _) => Err(self.refused(&realm, status)),
        }
    }

    fn basic(&self, credentials: &Credentials) -> Result<String, PullError> {
        let Credentials { username, password } = credentials;
        basic(username.as_bytes().to_vec(), password.as_bytes()).map_err(|reason| self.strange(reason))
    }

    fn registry(&self) -> String {
        self.reference.registry().to_owned()
    }

    fn strange(&self, reason: &str) -> PullError {
        PullError::Challenge { registry: self.registry(), reason: reason.to_owned() }
    }
}

/// Asked in the clear, where nobody else can hear it. One that speaks TLS says something else, or nothing.
fn speaks_http(client: &Client<'_>, base: &Url) -> bool {
    let answer = client.get_once(&base.with_path("/v2/"), &HeaderMap::new());
    answer.is_ok_and(|response| matches!(response.status().as_u16(), 200 | 401))
}

/// `{"token": …}`, which some call `access_token`.
fn read_token(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Token {
        token: Option<String>,
        access_token: Option<String>,
    }
    let Token { token, access_token } = serde_json::from_slice(answer).ok()?;
    let token = token.or(access_token)?;
    let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| format!("Bearer {token}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_what_fits_into_a_header() {
        let read = |answer: &str| read_token(answer.as_bytes());
        assert_eq!(read(r#"{"token": "a.b-c", "expires_in": 60}"#).unwrap(), "Bearer a.b-c");
        assert_eq!(read(r#"{"access_token": "x"}"#).unwrap(), "Bearer x");
        for wrong in ["", "{}", "[]", r#"{"token": ""}"#, r#"{"token": "a\r\nX: y"}"#, r#"{"token": 1}"#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
