//! A response over HTTP, as it is recorded.

use bytes::Bytes;
use hyper::Response;
use hyper::http::response::Parts;
use serde::{Deserialize, Serialize};

/// Headers whose values are secrets of the board's owner. They are recorded as being there.
const SECRET: [&str; 2] = ["set-cookie", "x-auth-token"];
/// What stands for them.
pub const REDACTED: &str = "redacted";

/// What has one of these in its name is a secret: a setting, or a parameter of an address.
const SECRETS: [&str; 9] =
    ["password", "passwd", "passphrase", "secret", "token", "credential", "api_key", "apikey", "community"];

pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|secret| name.contains(secret))
}

/// An address without the secrets in its parameters.
pub fn shown(address: &str) -> String {
    let Some((place, parameters)) = address.split_once('?') else { return address.to_owned() };
    let shown = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={REDACTED}"),
        _ => parameter.to_owned(),
    };
    let parameters: Vec<String> = parameters.split('&').map(shown).collect();
    format!("{place}?{}", parameters.join("&"))
}

/// The answer to one request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

/// Text, where it is text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Body {
    Text(String),
    Bytes(Vec<u8>),
}

impl Exchange {
    pub fn new(head: &Parts, body: &Bytes) -> Self {
        let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            let value = match SECRET.contains(&name.as_str()) {
                true => REDACTED.into(),
                false => String::from_utf8_lossy(value.as_bytes()),
            };
            (name.to_string(), value.into_owned())
        };
        let text = String::from_utf8(body.to_vec());
        Self {
            status: head.status.as_u16(),
            headers: head.headers.iter().map(header).collect(),
            body: text.map_or_else(|error| Body::Bytes(error.into_bytes()), Body::Text),
        }
    }

    /// # Errors
    /// A recording that somebody wrote by hand.
    pub fn response(self) -> Result<Response<Bytes>, hyper::http::Error> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(match self.body {
            Body::Text(text) => text.into(),
            Body::Bytes(bytes) => bytes.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_an_address_are_not_shown() {
        assert_eq!(shown("http://a/b"), "http://a/b");
        assert_eq!(shown("http://a/b?x=1&Access_Token=abc&y"), "http://a/b?x=1&Access_Token=redacted&y");
    }
}
