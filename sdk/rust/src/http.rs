//! Requests to hosts, such as a management controller that speaks Redfish (cargo feature `http`).
//!
//! The manifest requests where to, or `*` where a setting of the operator says it, and the operator grants it:
//!
//! ```toml
//! [requests]
//! http = ["*"]
//! ```
//!
//! ```toml
//! [plugins.grants.acme-bmc]
//! http = ["https://10.0.0.5"]
//! http_pin = ["sha256:…"]     # or http_ca = "/etc/acme/ca.pem"
//! ```
//!
//! One request is one connection, and ends before the call does in which it was made: a probe with more to ask than fits
//! into one call asks in turn, and keeps what it knows. A redirect is returned like any other response, not followed.
//!
//! ```no_run
//! # use cardcage_sdk::{Error, http::{Client as _, Network, Request}};
//! # #[derive(serde::Deserialize)]
//! # struct Root {}
//! # fn main() -> Result<(), Error> {
//! let request = Request::get("https://10.0.0.5/redfish/v1/")?.basic_auth("monitor", "secret");
//! let root: Root = Network.send(&request)?.ok()?.json()?;
//! # Ok(())
//! # }
//! ```

mod bindings;
mod error;
mod send;
mod text;

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::de::DeserializeOwned;

pub use error::{Fault, HttpError};

/// The longest body of a request that the host sends.
pub const LONGEST_REQUEST: usize = 64 << 10;
/// The longest body of a response that the host takes.
pub const LONGEST_RESPONSE: usize = 4 << 20;
/// What a response may have where nothing else is said: [`Request::at_most`].
const USUAL_RESPONSE: usize = 1 << 20;

/// Who answers requests: the [`Network`], or a function in a test.
///
/// ```
/// use cardcage_sdk::http::{Client, HttpError, Request, Response};
///
/// fn version(bmc: &impl Client) -> Result<String, HttpError> {
///     let response = bmc.send(&Request::get("http://bmc/version")?)?.ok()?;
///     Ok(String::from_utf8_lossy(&response.body).into_owned())
/// }
///
/// let bmc = |request: &Request| {
///     assert_eq!(request.path(), "/version");
///     Ok(Response { body: b"1.2".to_vec(), ..Response::new(200) })
/// };
/// assert_eq!(version(&bmc).unwrap(), "1.2");
/// ```
pub trait Client {
    /// Sends a request and waits for all of its response.
    fn send(&self, request: &Request) -> Result<Response, HttpError>;
}

impl<F: Fn(&Request) -> Result<Response, HttpError>> Client for F {
    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        self(request)
    }
}

/// The hosts that were granted, through the capability.
#[derive(Debug, Clone, Copy, Default)]
pub struct Network;

impl Client for Network {
    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        send::send(request)
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes or does something.
    Post,
    /// Changes some of it.
    Patch,
    /// Removes, such as a session.
    Delete,
}

/// A request that can be sent again and again.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    method: Method,
    tls: bool,
    authority: String,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    most: usize,
    timeout: Option<Duration>,
}

impl Request {
    /// Reads what is at an address, `http://host/path` or `https://host:port/path`.
    pub fn get(url: &str) -> Result<Self, HttpError> {
        Self::new(Method::Get, url)
    }

    /// Any request.
    pub fn new(method: Method, url: &str) -> Result<Self, HttpError> {
        let text::Parts { tls, authority, path } = text::parts(url).ok_or_else(|| {
            HttpError::new(Fault::Request, format!("{url:?} is no address such as https://host/path"))
        })?;
        let (authority, path) = (authority.to_owned(), path.to_owned());
        let (headers, body) = (Vec::new(), Vec::new());
        Ok(Self { method, tls, authority, path, headers, body, most: USUAL_RESPONSE, timeout: None })
    }

    /// Adds a header. Those that belong to the connection are the host's.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// Says who asks.
    #[must_use]
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        let credentials = text::base64(format!("{user}:{password}").as_bytes());
        self.header("authorization", &format!("Basic {credentials}"))
    }

    /// Sends this, which is JSON, along. At most [`LONGEST_REQUEST`].
    #[must_use]
    pub fn json(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self.header("content-type", "application/json") }
    }

    /// Takes a response of so many bytes; one mebibyte, if nothing is said, and never more than [`LONGEST_RESPONSE`].
    #[must_use]
    pub fn at_most(self, bytes: usize) -> Self {
        Self { most: bytes.min(LONGEST_RESPONSE), ..self }
    }

    /// Gives up a connection, an answer, or a pause in it that takes longer than this. The host has a bound of its own.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// What is asked for.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Of what: path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whom: host, and port where there is one.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The whole address.
    pub fn url(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.path)
    }
}

/// Without headers and body, which have passwords in them.
impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, url) = (self.method, self.url());
        formatter.debug_struct("Request").field("method", &method).field("url", &url).finish_non_exhaustive()
    }
}

/// What was answered, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// `200` and its like.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// All of it.
    pub body: Vec<u8>,
    /// Who answered, for what is said of it later.
    pub url: String,
}

impl Response {
    /// An empty one, for tests.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), url: "a response".to_owned() }
    }

    /// A header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| core::str::from_utf8(value).ok())
    }

    /// The response, if its status says that it worked; else an error that names the status.
    pub fn ok(self) -> Result<Self, HttpError> {
        match self.status {
            200..=299 => Ok(self),
            status => Err(HttpError::new(Fault::Status(status), format!("{} answers {status}", self.url))),
        }
    }

    /// Reads a body that is JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        let read = serde_json::from_slice(&self.body);
        read.map_err(|error| {
            HttpError::new(Fault::Content, format!("{} is not as expected: {error}", self.url))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, code};

    #[test]
    fn a_request_says_where_it_goes() {
        let request = Request::get("https://[fe80::1]:8443/redfish/v1?a=b").unwrap();
        assert_eq!((request.authority(), request.path()), ("[fe80::1]:8443", "/redfish/v1?a=b"));
        assert_eq!(request.url(), "https://[fe80::1]:8443/redfish/v1?a=b");
        assert_eq!(Request::get("http://bmc").unwrap().path(), "/");
        for wrong in
            ["bmc/redfish", "ftp://bmc/", "http://", "http://a@bmc/", "http://b mc/", "http://bmc/#a"]
        {
            let error = Request::get(wrong).unwrap_err();
            assert!(error.fault == Fault::Request && error.detail.contains(wrong), "{error:?}");
        }
    }

    #[test]
    fn a_user_is_one_header() {
        let request = Request::get("http://bmc").unwrap().basic_auth("Aladdin", "open sesame");
        let expected = ("authorization".to_owned(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_vec());
        assert_eq!(request.headers, [expected]);
        assert!(!format!("{request:?}").contains("QWxh"), "{request:?}");
    }

    #[test]
    fn what_did_not_work_is_an_error_of_the_probe() {
        let error = Error::from(Response::new(401).ok().unwrap_err());
        assert_eq!((error.code.as_str(), error.detail.as_str()), (code::DENIED, "a response answers 401"));
        let garbage = Response { body: b"<html>".to_vec(), ..Response::new(200) };
        let error = Error::from(garbage.json::<bool>().unwrap_err());
        assert!(error.is(code::INVALID), "{error:?}");
        assert_eq!(Response { body: b"true".to_vec(), ..Response::new(200) }.json(), Ok(true));
    }
}
