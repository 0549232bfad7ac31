//! Addresses: http and https, and where a redirect leads.
//!
//! A small reader of its own: a general one brings the tables of international names, and takes more than may be wanted
//! here. Credentials (`user:password@`) are kept apart from what is shown, stored and compared.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;

use crate::{Digest, Error};

/// Longest address, in bytes.
const LIMIT: usize = 4096;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    https: bool,
    host: String,
    port: u16,
    /// With its query, without its fragment.
    path: String,
    /// The value of an `Authorization` header.
    credentials: Option<String>,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|reason| Error::invalid(shown(text), reason))
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.len() > LIMIT {
            return Err("an address of more than 4096 bytes");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
            return Err("the address has characters that must be percent-encoded");
        }
        let (scheme, rest) = text.split_once("://").ok_or("not an address; write http://… or https://…")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("only http and https are fetched"),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (userinfo, place) = match authority.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place, if https { 443 } else { 80 })?;
        let credentials = userinfo.map(from_userinfo).transpose()?;
        Ok(Self { https, host, port, path: tidy_path(path), credentials })
    }

    /// Where a `Location` leads. Credentials go along only to the place that they were given for.
    pub(crate) fn join(&self, location: &str) -> Result<Self, Error> {
        let origin = self.origin();
        let absolute = if location.contains("://") && !location.starts_with(['/', '?', '#']) {
            location.to_owned()
        } else if let Some(place) = location.strip_prefix("//") {
            format!("{}://{place}", self.scheme())
        } else if location.starts_with('/') {
            format!("{origin}{location}")
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let kept = match location.starts_with(['?', '#']) || location.is_empty() {
                true => path,
                false => path.rsplit_once('/').map_or("", |(folder, _)| folder),
            };
            let slash = if kept.len() == path.len() { "" } else { "/" };
            format!("{origin}{kept}{slash}{location}")
        };
        let mut next = Self::parse(&absolute)?;
        next.credentials = if next.origin() == origin { self.credentials.clone() } else { None };
        if self.https && !next.https {
            return Err(Error::invalid(
                self.to_string(),
                "redirects from https to http, which is not followed",
            ));
        }
        Ok(next)
    }

    /// The same place, another path.
    pub(crate) fn with_path(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// The same place, with that in its query; `value` is encoded.
    pub(crate) fn with_parameter(&self, name: &str, value: &str) -> Self {
        let between = if self.path.contains('?') { '&' } else { '?' };
        Self { path: format!("{}{between}{name}={value}", self.path), ..self.clone() }
    }

    /// The same place, asked by whoever this header speaks of.
    pub(crate) fn authorized(&self, header: Option<String>) -> Self {
        Self { credentials: header, ..self.clone() }
    }

    /// Whether nobody but this machine is asked.
    pub(crate) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn credentials(&self) -> Option<&str> {
        self.credentials.as_deref()
    }

    fn origin(&self) -> String {
        format!("{}://{}:{}", self.scheme(), self.host, self.port)
    }

    /// What is sent, without credentials.
    pub(crate) fn full(&self) -> String {
        format!("{}{}", self.origin(), self.path)
    }

    /// Names what belongs to this address on disk. Credentials are no part of it: whoever has other ones still has to
    /// show them to the repository, since what is kept by address is never used without asking there.
    pub(crate) fn key(&self, expected: Option<Digest>) -> Digest {
        let expected = expected.map(|digest| digest.to_string()).unwrap_or_default();
        Digest::of(format!("{}\n{expected}", self.full()).as_bytes())
    }
}

/// For people: no credentials, and no query, which may be one.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())?;
        write!(f, "://{}", self.host)?;
        if self.port != if self.https { 443 } else { 80 } {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(self.path.split('?').next().unwrap_or_default())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Something that could not be read, so nobody knows where its credentials are: only what stands before them.
fn shown(text: &str) -> String {
    let kept = match (text.split_once("://"), text.contains('@')) {
        (Some((scheme, _)), true) => format!("{scheme}://…"),
        (None, true) => "…".to_owned(),
        (_, false) => text.split('?').next().unwrap_or_default().to_owned(),
    };
    kept.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

fn host_and_port(place: &str, default: u16) -> Result<(String, u16), &'static str> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| "not an IPv6 address")?;
            (
                format!("[{address}]"),
                rest.strip_prefix(':').or(rest.is_empty().then_some("")).ok_or("not a port")?,
            )
        }
        None => {
            let (host, port) = place.split_once(':').unwrap_or((place, ""));
            if host.is_empty() || host.len() > 253 {
                return Err("the address has no host");
            }
            if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
                return Err("not a host name");
            }
            (host.to_ascii_lowercase(), port)
        }
    };
    let port = match port {
        "" => default,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| "not a port")?
        }
        _ => return Err("not a port"),
    };
    if port == 0 { Err("not a port") } else { Ok((host, port)) }
}

fn from_userinfo(userinfo: &str) -> Result<String, &'static str> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let password: Vec<u8> = percent_decode_str(password).collect();
    basic(percent_decode_str(user).collect(), &password)
}

/// The value of an `Authorization` header.
pub(crate) fn basic(user: Vec<u8>, password: &[u8]) -> Result<String, &'static str> {
    if user.contains(&b':') {
        return Err("a user name with a colon cannot be sent");
    }
    let mut clear = user;
    clear.push(b':');
    clear.extend(password);
    Ok(format!("Basic {}", BASE64_STANDARD.encode(clear)))
}

/// Without a fragment, without `.` and `..`.
fn tidy_path(text: &str) -> String {
    let text = text.split('#').next().unwrap_or_default();
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    let mut kept: Vec<&str> = Vec::new();
    let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    for (at, part) in parts.iter().enumerate() {
        let dots = matches!(*part, "." | "..");
        if *part == ".." {
            kept.pop();
        }
        if !dots {
            kept.push(part);
        } else if at + 1 == parts.len() {
            kept.push("");
        }
    }
    let mut tidy = format!("/{}", kept.join("/"));
    if let Some(query) = query {
        tidy.push('?');
        tidy.push_str(query);
    }
    tidy
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_secrets() {
        let url = Url::parse("HTTPS://joe:s%40cret@Repo.Example:8443/a/./b/../c.tar?token=1#x").unwrap();
        assert_eq!(url.full(), "https://repo.example:8443/a/c.tar?token=1");
        assert_eq!(url.to_string(), "https://repo.example:8443/a/c.tar");
        assert_eq!(url.credentials(), Some("Basic am9lOnNAY3JldA=="));
        assert!(!format!("{url:?}").contains("cret"));
        assert_eq!(Url::parse("http://[::1]:80/x").unwrap().to_string(), "http://[::1]/x");
    }

    #[test]
    fn what_is_not_an_address_is_refused_and_not_repeated() {
        for text in [
            "",
            "repo/x",
            "ftp://repo/x",
            "http://",
            "http://repo:0/",
            "http://repo:99999/",
            "http://re po/",
            "http://a\n/",
            "http://[::g]/",
            "http://[::1]x/",
            "http://repo:+80/",
            "http://ré/",
            "file:///etc/passwd",
            "http://a:b:c/",
        ] {
            assert_eq!(Url::parse(text).unwrap_err().code(), "invalid", "{text}");
        }
        let error = Url::parse("ftp://joe:hidden@repo/").unwrap_err().to_string();
        assert!(!error.contains("hidden"), "{error}");
        assert!(Url::parse(&format!("http://repo/{}", "a".repeat(LIMIT))).is_err());
    }

    #[test]
    fn only_this_machine_is_the_loopback() {
        let is = |host: &str| Url::parse(&format!("http://{host}:5000/")).unwrap().is_loopback();
        assert!(["localhost", "127.0.0.1", "127.9.9.9", "[::1]"].iter().all(|host| is(host)));
        let others =
            ["localhost.example", "127.0.0.1.example", "128.0.0.1", "[::2]", "[::ffff:127.0.0.1]", "0.0.0.0"];
        assert!(!others.iter().any(|host| is(host)));
    }

    #[test]
    fn redirects_lead_where_a_browser_would_go() {
        let base = Url::parse("https://u:p@repo.example/a/b?q").unwrap();
        for (location, expected) in [
            ("c", "https://repo.example:443/a/c"),
            ("../c", "https://repo.example:443/c"),
            ("/c?x=http://y/", "https://repo.example:443/c?x=http://y/"),
            ("?z", "https://repo.example:443/a/b?z"),
            ("//other/c", "https://other:443/c"),
            ("https://other:1/c", "https://other:1/c"),
        ] {
            let url = base.join(location).unwrap();
            assert_eq!(url.full(), expected);
            assert_eq!(url.credentials().is_some(), url.host() == "repo.example", "{location}");
        }
        assert_eq!(base.join("http://repo.example/c").unwrap_err().code(), "invalid");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_what_it_reads_is_stable(text in "(http://)?[a-z@:/?#.\\[\\]%é]{0,40}", next in "[a-z:/?#.]{0,20}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert_eq!(Url::parse(&url.full()).unwrap().full(), url.full());
                let _ = url.join(&next);
            }
        }
    }
}
