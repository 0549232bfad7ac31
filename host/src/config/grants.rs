//! `[plugins.grants.NAME]`: what the operator gives to one plugin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cardcage_manifest::Origin;
use cardcage_signature::PublicKey;
use serde::Deserialize;

use super::require;
use crate::capability::native;

/// What one plugin is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grant {
    /// Folders and files that it may read.
    pub files: Vec<PathBuf>,
    /// By library, the functions of it that may be called; `"*"` for all that the plugin requests of that library.
    pub native: BTreeMap<String, Vec<String>>,
    /// Where it may send HTTP requests, as `https://host`, `host:port` or `host`. By name: whom the board's resolver finds.
    pub http: Vec<Origin>,
    /// Certificates that it trusts there, as a PEM file; default: the system's.
    pub http_ca: Option<PathBuf>,
    /// Certificates that it trusts as they are, in place of those, as `sha256:` and 64 hexadecimal digits.
    pub http_pin: Vec<Pin>,
    /// Only the file with this SHA-256 may use the grant.
    pub sha256: Option<String>,
    /// Only a file that this key signed may use the grant.
    #[serde(deserialize_with = "key")]
    pub signer: Option<PublicKey>,
    /// Repositories that it may fetch from, as `host` or `host:port`; `"*"` for any.
    pub artifacts: Option<Vec<String>>,
    /// The container engine.
    pub containers: Option<Containers>,
    /// Programs on the board itself.
    pub processes: Option<Processes>,
}

/// Bounds of what a container may be given. A privileged one is never made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Containers {
    /// Folders of the board, and volumes of the engine, that may be mounted: exactly these. What is below a folder is not
    /// granted apart from it: whoever can write there could put a link in its place.
    pub mounts: Vec<String>,
    /// Networks that may be asked for, `host` among them if the operator wants that. `bridge` and `none` always may.
    pub networks: Vec<String>,
    /// Ports of the board that may be published, such as `"8000-8999,9443"`.
    pub ports: Ports,
}

/// Bounds of what a program may be given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Processes {
    /// Users that programs may run as; with this set, a program must name one of them. Default: any user.
    pub users: Option<Vec<String>>,
}

impl Default for Containers {
    fn default() -> Self {
        Self { mounts: Vec::new(), networks: Vec::new(), ports: Ports(vec![(1024, u16::MAX)]) }
    }
}

/// The SHA-256 of a certificate, as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// Colons between the bytes, as `openssl x509 -fingerprint -sha256` prints them, may stay.
    fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.strip_prefix("sha256:")?.bytes().filter(|byte| *byte != b':').collect();
        let mut pin = [0; 32];
        if digits.len() != 2 * pin.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in pin.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(pin))
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{text:?} is not the SHA-256 of a certificate: \"sha256:\" and 64 hexadecimal digits, as \
                 `openssl x509 -noout -fingerprint -sha256` prints"
            ))
        })
    }
}

/// Ranges of ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(Vec<(u16, u16)>);

impl Ports {
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }

    fn parse(text: &str) -> Option<Self> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first > 0 && first <= last).then_some((first, last))
        };
        parts.map(range).collect::<Option<_>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || {
            serde::de::Error::custom(format!("{text:?} is not a list of ports such as \"8000-8999,9443\""))
        };
        Self::parse(&text).ok_or_else(wrong)
    }
}

fn key<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<PublicKey>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}")))
}

impl Grant {
    pub(super) fn check(&self, plugin: &str) -> Result<(), String> {
        for path in &self.files {
            absolute(path, || format!("plugins.grants.{plugin}.files"))?;
            require(path != Path::new("/") && !path.starts_with("/proc"), || {
                format!(
                    "plugins.grants.{plugin}.files names {path:?}, which is never given; facts of /proc come with cardcage:host/kernel"
                )
            })?;
        }
        for (library, symbols) in &self.native {
            let key = format!("plugins.grants.{plugin}.native");
            require(cardcage_manifest::is_library(library), || {
                format!(
                    "{key} names {library:?}; a library is a file name such as libacme.so.1, or an absolute path without . and .."
                )
            })?;
            let wrong = symbols.iter().find(|symbol| !native::is_given(symbol));
            require(!symbols.is_empty() && wrong.is_none(), || {
                format!(
                    "{key}.{library:?} is {:?}; it lists names of C functions, or \"*\" for all that the plugin requests",
                    wrong.into_iter().collect::<Vec<_>>()
                )
            })?;
        }
        if let Some(path) = &self.http_ca {
            absolute(path, || format!("plugins.grants.{plugin}.http_ca"))?;
        }
        let mounts = self.containers.iter().flat_map(|containers| &containers.mounts);
        for mount in mounts.filter(|mount| !is_volume(mount)) {
            absolute(Path::new(mount), || format!("plugins.grants.{plugin}.containers.mounts"))?;
        }
        let hex = |digest: &String| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        require(self.sha256.as_ref().is_none_or(hex), || {
            format!(
                "plugins.grants.{plugin}.sha256 is not a SHA-256: 64 hexadecimal digits, as `sha256sum` prints"
            )
        })
    }
}

/// Whether a mount's source is the name of a volume.
pub fn is_volume(source: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    source.starts_with(|c: char| c.is_ascii_alphanumeric()) && source.chars().all(plain)
}

fn absolute(path: &Path, key: impl Fn() -> String) -> Result<(), String> {
    let plain = path.to_str().is_some_and(|text| !text.split('/').any(|part| part == "." || part == ".."));
    require(path.is_absolute() && plain, || {
        format!("{} names {path:?}; a path is absolute, without . and ..", key())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_the_digest_of_a_certificate() {
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(Pin::parse(&format!("sha256:{digits}")).unwrap().0[..2], [0x01, 0x23]);
        let colons: Vec<_> =
            digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
        assert_eq!(
            Pin::parse(&format!("sha256:{}", colons.join(":"))),
            Pin::parse(&format!("sha256:{digits}"))
        );
        for wrong in [digits.clone(), format!("sha256:{}", &digits[1..]), format!("sha256:é{}", &digits[2..])]
        {
            assert_eq!(Pin::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ports_are_ranges() {
        let ports = Ports::parse("8000-8999, 9443").unwrap();
        assert!(ports.contains(8000) && ports.contains(8999) && ports.contains(9443));
        assert!(!ports.contains(7999) && !ports.contains(9000));
        for wrong in ["0", "2-1", "70000", "a"] {
            assert_eq!(Ports::parse(wrong), None, "{wrong}");
        }
        assert!(!Containers::default().ports.contains(443));
    }
}
