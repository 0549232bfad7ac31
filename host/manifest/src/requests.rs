//! Parameters of the capabilities that a plugin imports. `log` and `kernel` need none.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::{ManifestError, is_plain, wrong};

/// What a plugin asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requests {
    /// For `cardcage:host/files`: folders and files, absolute.
    pub files: Vec<PathBuf>,
    /// For HTTP: where to.
    pub http: Vec<Origin>,
    /// For native libraries: the functions of each. A library is a file name, or an absolute path.
    pub native: BTreeMap<String, Vec<String>>,
}

impl Requests {
    /// Most paths, and most origins.
    const MOST: usize = 64;
    /// Most native libraries.
    const LIBRARIES: usize = 16;
    /// Most functions of all of them.
    const SYMBOLS: usize = 256;

    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        let most = |key: &str, count: usize, most: usize| match count <= most {
            true => Ok(()),
            false => Err(wrong(format!("requests.{key}"), count, format!("at most {most}"))),
        };
        most("files", self.files.len(), Self::MOST)?;
        most("http", self.http.len(), Self::MOST)?;
        most("native", self.native.len(), Self::LIBRARIES)?;
        most("native", self.native.values().map(Vec::len).sum(), Self::SYMBOLS)?;
        if let Some(path) = self.files.iter().find(|path| !is_absolute(path)) {
            return Err(wrong("requests.files", path.display(), "absolute paths without . and .."));
        }
        for (library, symbols) in &self.native {
            if !is_library(library) {
                let rule = "a file name such as libacme.so.1, or an absolute path without . and ..";
                return Err(wrong("requests.native", format!("{library:?}"), rule));
            }
            let key = || format!("requests.native.{library:?}");
            if symbols.is_empty() {
                return Err(wrong(key(), "empty", "a list of the functions that are called"));
            }
            if let Some(symbol) = symbols.iter().find(|symbol| !is_symbol(symbol)) {
                return Err(wrong(
                    key(),
                    format!("{symbol:?}"),
                    "names of C functions, at most 128 bytes each",
                ));
            }
        }
        Ok(())
    }
}

fn is_absolute(path: &Path) -> bool {
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    path.is_absolute() && path.components().all(plain)
}

/// A name of a shared library: `libacme.so.1` is looked for where the loader looks; a path with a slash that is not absolute would depend on where
/// the agent was started.
pub fn is_library(library: &str) -> bool {
    let named = !library.contains('/') && !matches!(library, "." | "..");
    (1..=256).contains(&library.len()) && is_plain(library) && (named || is_absolute(Path::new(library)))
}

/// The name of a C function.
pub fn is_symbol(symbol: &str) -> bool {
    let mut bytes = symbol.bytes();
    symbol.len() <= 128
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Where HTTP requests go: `bmc.local`, `10.0.0.5:8443`, `https://[fe80::1]:8443`, or `*` where an operator's setting says
/// where to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// `http` or `https`; either where there is none.
    pub scheme: Option<Scheme>,
    /// A name or an address in lower case, an IPv6 address in brackets; `*` for any.
    pub host: String,
    /// Any where there is none and no scheme; with a scheme, its own.
    pub port: Option<u16>,
}

/// How HTTP is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As in an address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Where no port is said.
    pub const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Origin {
    /// `None` if it is none: a path, a user, white space, a port that is no number.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(Scheme::Http), rest),
            Some(("https", rest)) => (Some(Scheme::Https), rest),
            Some(_) => return None,
            None => (None, text),
        };
        let end = rest.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match rest.get(end..)?.rfind(':') {
            Some(colon) => (rest.get(..end + colon)?, Some(number(rest.get(end + colon + 1..)?)?)),
            None => (rest, None),
        };
        let host = host.to_ascii_lowercase();
        is_host(&host).then_some(Self { scheme, host, port })
    }

    /// Whether this address is meant by it. The host is as in an address, an IPv6 address in brackets.
    pub fn covers(&self, scheme: Scheme, host: &str, port: u16) -> bool {
        let scheme_port = self.scheme.map(Scheme::port);
        self.scheme.is_none_or(|of| of == scheme)
            && (self.host == "*" || self.host.eq_ignore_ascii_case(host))
            && self.port.or(scheme_port).is_none_or(|of| of == port || self.is_any_port())
    }

    /// `https://*`: whichever host and port, over TLS.
    fn is_any_port(&self) -> bool {
        self.host == "*" && self.port.is_none()
    }
}

fn number(port: &str) -> Option<u16> {
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    port.parse().ok().filter(|port| digits && *port != 0)
}

fn is_host(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(plain)
    };
    match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host == "*" || host.len() <= 253 && host.split('.').all(label),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(formatter, "{}://", scheme.as_str())?;
        }
        formatter.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let shown: String = text.chars().take(64).collect();
            D::Error::custom(format!(
                "{shown:?} is not where HTTP goes, such as \"bmc.local\", \"10.0.0.5:8443\" or \"https://bmc.local\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Manifest;

    fn requests(text: &str) -> Result<Requests, String> {
        let text = format!("name = \"a\"\nversion = \"1\"\n[requests]\n{text}");
        Manifest::parse(&text).map(|manifest| manifest.requests).map_err(|error| error.to_string())
    }

    #[test]
    fn requests_are_files_hosts_and_functions() {
        let requests = requests(
            "files = [\"/sys/class/hwmon\"]\nhttp = [\"BMC.local\", \"https://[fe80::1]:8443\"]\n\
             [requests.native]\n\"libnvidia-ml.so.1\" = [\"nvmlInit_v2\"]",
        );
        let requests = requests.unwrap();
        let hosts: Vec<_> = requests.http.iter().map(Origin::to_string).collect();
        assert_eq!(hosts, ["bmc.local", "https://[fe80::1]:8443"]);
        assert_eq!(requests.native["libnvidia-ml.so.1"], ["nvmlInit_v2"]);
    }

    #[test]
    fn what_cannot_be_asked_for_is_named() {
        for (text, says) in [
            ("http = [\"http://a/b\"]", "requests.http[0]: \"http://a/b\" is not where HTTP goes"),
            ("http = [\"ftp://a\"]", "requests.http[0]"),
            ("http = [\"a:b@c\"]", "requests.http[0]"),
            ("http = [\"a:0\"]", "requests.http[0]"),
            ("http = [\"a:70000\"]", "requests.http[0]"),
            ("http = [\"\"]", "requests.http[0]"),
            (
                "native = { \"lib/a.so\" = [\"f\"] }",
                "requests.native is \"lib/a.so\"; it must be a file name",
            ),
            ("native = { \"/lib/../a.so\" = [\"f\"] }", "requests.native"),
            ("native = { \"a.so\" = [] }", "requests.native.\"a.so\" is empty"),
            ("native = { \"a.so\" = [\"1f\"] }", "requests.native.\"a.so\" is \"1f\""),
            ("sensors = []", "requests.sensors: unknown field `sensors`"),
        ] {
            let error = requests(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let symbols = "\"f\",".repeat(257);
        assert!(requests(&format!("native = {{ a = [{symbols}] }}")).unwrap_err().contains("at most 256"));
    }

    #[test]
    fn an_origin_covers_what_it_says_and_no_more() {
        let covers = |origin: &str, scheme, host: &str, port| {
            Origin::parse(origin).unwrap().covers(scheme, host, port)
        };
        assert!(covers("bmc", Scheme::Http, "BMC", 8080) && covers("bmc:80", Scheme::Https, "bmc", 80));
        assert!(!covers("bmc:80", Scheme::Http, "bmc", 81) && !covers("bmc", Scheme::Http, "bmc.evil", 80));
        assert!(covers("https://bmc", Scheme::Https, "bmc", 443));
        assert!(!covers("https://bmc", Scheme::Https, "bmc", 8443));
        assert!(!covers("https://bmc", Scheme::Http, "bmc", 443));
        assert!(covers("https://*", Scheme::Https, "any", 8443) && covers("*", Scheme::Http, "any", 1));
        assert!(!covers("https://*", Scheme::Http, "any", 80) && !covers("*:80", Scheme::Http, "any", 81));
    }

    proptest! {
        #[test]
        fn what_is_an_origin_is_the_same_when_it_is_read_again(text in "(https?://)?[a-zA-Z0-9.:*\\[\\]-]{0,20}") {
            if let Some(origin) = Origin::parse(&text) {
                prop_assert_eq!(Origin::parse(&origin.to_string()), Some(origin));
            }
        }
    }
}
