//! The manifest of a plugin: what it is called, how often it samples, and the parameters of the capabilities that it
//! imports. A vendor writes it as `plugin.toml`; packing puts that text into one custom section at the top level of the
//! component, so that a plugin is one file. The host reads only that section, before anything of the plugin runs.
//!
//! What a plugin asks for is the sum of its imports ([`Plugin::imports`]) and of [`Requests`]. Asking gives nothing: the
//! operator's grant must cover it.

mod section;
mod settings;

use std::collections::BTreeMap;
use std::path::{Component, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use section::{Plugin, SECTION, SectionError, pack};
pub use settings::{Setting, SettingKind, SettingsError};

/// Longest `plugin.toml`, in bytes.
pub const LIMIT: usize = 64 << 10;

/// The manifest.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Key of the plugin's settings and grants: lower-case letters, digits and hyphens, a letter first, at most 64.
    pub name: String,
    /// The plugin's version, for people.
    pub version: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// How it is sampled.
    #[serde(default)]
    pub probe: Probe,
    /// What it deploys; for backends.
    #[serde(default)]
    pub deploy: Option<Deploy>,
    /// Parameters of the capabilities that it imports.
    #[serde(default)]
    pub requests: Requests,
    /// What an operator may set, by name.
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
}

/// How a probe is sampled.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probe {
    /// Time between two samples, 100 ms to one day, such as `"2s"`.
    #[serde(deserialize_with = "duration")]
    pub every: Duration,
    /// Deadline of one call, at most two seconds, which is the default.
    #[serde(deserialize_with = "duration")]
    pub deadline: Duration,
}

impl Default for Probe {
    fn default() -> Self {
        Self { every: Duration::from_secs(2), deadline: Self::LONGEST_DEADLINE }
    }
}

impl Probe {
    /// No call of a probe may take longer.
    pub const LONGEST_DEADLINE: Duration = Duration::from_secs(2);
}

/// What a backend deploys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// The `type` of the orders that it serves: lower-case letters, digits and hyphens, a letter first, at most 64.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Parameters of capabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requests {
    /// For `cardcage:host/files`: folders and files, absolute.
    pub files: Vec<PathBuf>,
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Longer than [`LIMIT`].
    #[error("the manifest has {0} bytes, at most {LIMIT} are read")]
    TooLarge(usize),
    /// Not TOML, a missing or unknown key, a value of the wrong type.
    #[error("the manifest is not right: {0}")]
    Parse(String),
    /// A value out of its range.
    #[error("the manifest's {key} is {value}; it must be {rule}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        rule: &'static str,
    },
}

impl Manifest {
    /// Reads and checks a `plugin.toml`.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > LIMIT {
            return Err(ManifestError::TooLarge(text.len()));
        }
        let manifest: Self =
            toml::from_str(text).map_err(|error| ManifestError::Parse(error.message().to_owned()))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let rule = |key, value: String, rule, holds: bool| {
            holds.then_some(()).ok_or(ManifestError::Value { key, value, rule })
        };
        rule(
            "name",
            format!("{:?}", self.name),
            "1 to 64 lower-case letters, digits and hyphens, beginning with a letter",
            is_name(&self.name),
        )?;
        rule(
            "version",
            format!("{:?}", self.version),
            "1 to 64 bytes that can be shown",
            (1..=64).contains(&self.version.len()) && is_plain(&self.version),
        )?;
        rule(
            "description",
            format!("{} bytes", self.description.len()),
            "at most 256 bytes that can be shown",
            self.description.len() <= 256 && is_plain(&self.description),
        )?;
        let Probe { every, deadline } = self.probe;
        let day = Duration::from_secs(24 * 60 * 60);
        rule(
            "probe.every",
            format!("{every:?}"),
            "between 100ms and 24h",
            every >= Duration::from_millis(100) && every <= day,
        )?;
        rule(
            "probe.deadline",
            format!("{deadline:?}"),
            "between 10ms and 2s",
            deadline >= Duration::from_millis(10) && deadline <= Probe::LONGEST_DEADLINE,
        )?;
        if let Some(Deploy { kind }) = &self.deploy {
            rule(
                "deploy.type",
                format!("{kind:?}"),
                "1 to 64 lower-case letters, digits and hyphens, beginning with a letter",
                is_name(kind),
            )?;
        }
        rule(
            "settings",
            self.settings.len().to_string(),
            "at most 256 settings",
            self.settings.len() <= 256,
        )?;
        rule(
            "requests.files",
            self.requests.files.len().to_string(),
            "at most 64 paths",
            self.requests.files.len() <= 64,
        )?;
        for path in &self.requests.files {
            rule(
                "requests.files",
                path.display().to_string(),
                "absolute paths without . and ..",
                path.is_absolute()
                    && path
                        .components()
                        .all(|part| matches!(part, Component::RootDir | Component::Normal(_))),
            )?;
        }
        Ok(())
    }
}

/// Nothing that a terminal would obey.
fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 64
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// `"250ms"`, `"2s"`, `"10s"`, `"1m"`, `"24h"`.
fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        serde::de::Error::custom(format!("{text:?} is not a duration such as \"2s\": {error}"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PSU: &str = r#"
        name = "acme-psu"
        version = "1.2.0"
        [probe]
        every = "500ms"
        [requests]
        files = ["/sys/class/hwmon"]
        [settings.rail]
        type = "string"
        default = "12V"
    "#;

    #[test]
    fn a_manifest_says_name_cadence_requests_and_settings() {
        let manifest = Manifest::parse(PSU).unwrap();
        assert_eq!(manifest.name, "acme-psu");
        assert_eq!(manifest.probe.every, Duration::from_millis(500));
        assert_eq!(manifest.probe.deadline, Duration::from_secs(2));
        assert_eq!(manifest.requests.files, [PathBuf::from("/sys/class/hwmon")]);
        assert!(manifest.settings.contains_key("rail"));
    }

    #[test]
    fn what_cannot_work_is_refused_by_the_name_of_its_key() {
        let refused = |from: &str, to: &str| Manifest::parse(&PSU.replace(from, to)).unwrap_err().to_string();
        assert!(refused("acme-psu", "Acme PSU").contains("name"));
        assert!(refused("acme-psu", "../etc").contains("name"));
        assert!(refused("500ms", "1ms").contains("probe.every"));
        assert!(refused("500ms", "soon").contains("duration"));
        assert!(refused("/sys/class/hwmon", "/sys/../proc").contains("requests.files"));
        assert!(refused("/sys/class/hwmon", "sys").contains("requests.files"));
        assert!(refused("version", "versoin").contains("versoin"));
        assert!(refused("1.2.0", "").contains("version"));
        // What a terminal would obey never gets as far as a list of plugins.
        assert!(refused("1.2.0", "1\\u001b[2J").contains("version"));
        let described = format!("description = \"a\\u0007\"\n{PSU}");
        assert!(Manifest::parse(&described).unwrap_err().to_string().contains("description"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = Manifest::parse(&text);
        }
    }
}
