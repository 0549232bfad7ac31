//! `[deploy]`: what of the board is given to instances, and where they come from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use super::require;

/// What deploys may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deploy {
    /// Cores that one instance has for itself. Default: all that the agent may run on, less the shared ones.
    pub cores: Option<Cores>,
    /// Cores for the instances that ask to share.
    pub shared_cores: Cores,
    /// How many times each shared core may be promised.
    pub shared_overcommit: u32,
    /// Memory for all instances together. Default: the board's.
    #[serde(deserialize_with = "optional_size")]
    pub memory: Option<u64>,
    /// Where the container engine listens. Default: the first one that is there.
    pub engine: Option<String>,
    /// Longest file that is fetched.
    #[serde(deserialize_with = "size")]
    pub artifact_limit: u64,
    /// Most that an archive may become.
    #[serde(deserialize_with = "size")]
    pub unpacked_limit: u64,
    /// What fetched files may take on disk.
    #[serde(deserialize_with = "size")]
    pub cache_limit: u64,
    /// What is kept of the output of one program.
    #[serde(deserialize_with = "size")]
    pub log_limit: u64,
    /// Certificates that repositories are trusted by, beside the system's. PEM.
    pub ca: Option<PathBuf>,
    /// By host and port: who the engine says it is.
    pub registries: BTreeMap<String, Registry>,
}

/// Credentials for one registry. No plugin sees them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    pub username: String,
    pub password_file: PathBuf,
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            cores: None,
            shared_cores: Cores::default(),
            shared_overcommit: 16,
            memory: None,
            engine: None,
            artifact_limit: 4 << 30,
            unpacked_limit: 16 << 30,
            cache_limit: 8 << 30,
            log_limit: 8 << 20,
            ca: None,
            registries: BTreeMap::new(),
        }
    }
}

impl Deploy {
    pub(super) fn check(&self) -> Result<(), String> {
        let limits = [
            ("artifact_limit", self.artifact_limit),
            ("unpacked_limit", self.unpacked_limit),
            ("cache_limit", self.cache_limit),
            ("log_limit", self.log_limit),
        ];
        for (key, limit) in limits {
            require(limit >= 64 << 10, || format!("deploy.{key} is less than 64KiB"))?;
        }
        require((1..=1024).contains(&self.shared_overcommit), || {
            "deploy.shared_overcommit must be between 1 and 1024".into()
        })?;
        let engine = self.engine.as_deref().unwrap_or("unix:///");
        require(["unix:///", "http://", "tcp://"].iter().any(|scheme| engine.starts_with(scheme)), || {
            format!("deploy.engine is {engine:?}; it is an address such as \"unix:///var/run/docker.sock\"")
        })
    }
}

/// Numbers of logical cores, written as the kernel writes them: `"0-3,8"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cores(BTreeSet<u32>);

impl Cores {
    pub fn contains(&self, core: &u32) -> bool {
        self.0.contains(core)
    }

    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    fn parse(text: &str) -> Option<Self> {
        /// More than any board has.
        const HIGHEST: u32 = 65_535;
        let mut cores = BTreeSet::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            if first > last || last > HIGHEST {
                return None;
            }
            cores.extend(first..=last);
        }
        Some(Self(cores))
    }
}

impl<'de> Deserialize<'de> for Cores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("{text:?} is not a list of cores such as \"0-3,8\""));
        Self::parse(&text).ok_or_else(wrong)
    }
}

/// Bytes: a number, or a text such as `"512MiB"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Bytes(u64),
    Text(String),
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let wrong = |what: &str| serde::de::Error::custom(format!("{what} is not a size such as \"512MiB\""));
    match Size::deserialize(deserializer).map_err(|_| wrong("the value"))? {
        Size::Bytes(bytes) => Ok(bytes),
        Size::Text(text) => parse_size(&text).ok_or_else(|| wrong(&format!("{text:?}"))),
    }
}

fn optional_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    size(deserializer).map(Some)
}

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" | "K" => 10,
        "MiB" | "M" => 20,
        "GiB" | "G" => 30,
        "TiB" | "T" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_written_as_the_kernel_writes_them() {
        let cores = |text| Cores::parse(text).map(|cores| cores.iter().collect::<Vec<_>>());
        assert_eq!(cores("0-2, 5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(cores(""), Some(vec![]));
        for wrong in ["a", "3-1", "-1", "0-99999999", "1-2-3"] {
            assert_eq!(cores(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("512MiB"), Some(512 << 20));
        assert_eq!(parse_size(" 2 G "), Some(2 << 30));
        assert_eq!(parse_size("77"), Some(77));
        for wrong in ["", "MiB", "-1", "5MB", "99999999999TiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
