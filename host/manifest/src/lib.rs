//! The manifest of a plugin: what it is called, how often it samples, and the parameters of the capabilities that it
//! imports. A vendor writes it as `plugin.toml`; packing puts that text into one custom section at the top level of the
//! component, so that a plugin is one file. The host reads only that section, before anything of the plugin runs.
//!
//! What a plugin asks for is the sum of its imports ([`Plugin::imports`]) and of [`Requests`]. Asking gives nothing: the
//! operator's grant must cover it.

mod arguments;
mod boards;
mod fit;
mod glob;
mod limits;
mod requests;
mod schema;
mod section;
mod settings;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

pub use arguments::{Arguments, ArgumentsError};
pub use boards::{Boards, Patterns};
pub use fit::SettingsError;
pub use glob::Glob;
pub use limits::Limits;
pub use requests::{Origin, Requests, Scheme, is_library, is_symbol};
pub use schema::{Others, Required, Schema, SettingKind};
pub use section::{Plugin, SECTION, SectionError, pack};

/// Longest `plugin.toml`, in bytes.
pub const LIMIT: usize = 64 << 10;

/// The format of manifests that is read.
pub const FORMAT: u32 = 1;

/// The manifest.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format that it is written in, [`FORMAT`]. A later one is refused by its number, whatever else is in it.
    #[serde(default = "format")]
    pub format: u32,
    /// Key of the plugin's settings and grants: lower-case letters, digits and hyphens, a letter first, at most 64.
    pub name: String,
    /// The plugin's version, for people.
    pub version: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// Who made it, for people.
    #[serde(default)]
    pub vendor: Option<String>,
    /// What it is called for. What the component exports says so too, and must agree: [`Manifest::agrees`].
    #[serde(default)]
    pub kind: Option<Kind>,
    /// The boards that it is for, any of them; every board where there is none.
    #[serde(default)]
    pub boards: Vec<Boards>,
    /// How it is sampled.
    #[serde(default)]
    pub probe: Probe,
    /// What it deploys; for backends.
    #[serde(default)]
    pub deploy: Option<Deploy>,
    /// How long its runs may take; for tasks.
    #[serde(default)]
    pub task: Task,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// Parameters of the capabilities that it imports.
    #[serde(default)]
    pub requests: Requests,
    /// What an operator may set, by name.
    #[serde(default)]
    pub settings: BTreeMap<String, Schema>,
}

/// What of a manifest is read before its format is known.
#[derive(Deserialize)]
struct Head {
    format: Option<i64>,
}

/// What a plugin is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It says how the board is.
    Probe,
    /// It starts and stops software of one type.
    Backend,
    /// It answers questions and carries out long tasks.
    Task,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Probe, Self::Backend, Self::Task];

    /// As in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Backend => "backend",
            Self::Task => "task",
        }
    }

    /// The interface that a plugin of this kind exports, without its version.
    pub const fn interface(self) -> &'static str {
        match self {
            Self::Probe => "cardcage:probe/sampler",
            Self::Backend => "cardcage:deploy/deployer",
            Self::Task => "cardcage:task/runner",
        }
    }

    /// Whether these exports are those of this kind.
    pub fn is_exported(self, exports: &[String]) -> bool {
        let interface =
            |export: &String| export.split_once('@').is_some_and(|(of, _)| of == self.interface());
        exports.iter().any(interface)
    }
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
    /// The most that it claims to know about a board; what it answers when it runs counts for no more.
    pub support: Option<Support>,
}

/// How well a probe knows a board. Where two give the same reading, the more specific one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Support {
    /// Any board of the kind.
    Generic,
    /// A family of boards.
    Family,
    /// Exactly one board.
    Board,
}

impl Default for Probe {
    fn default() -> Self {
        Self { every: Duration::from_secs(2), deadline: Self::LONGEST_DEADLINE, support: None }
    }
}

impl Probe {
    /// No call of a probe may take longer.
    pub const LONGEST_DEADLINE: Duration = Duration::from_secs(2);
}

/// How long the runs of a task plugin may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Task {
    /// A query, which somebody waits for: 100 ms to 30 s.
    #[serde(deserialize_with = "duration")]
    pub query: Duration,
    /// What takes long: a second to an hour.
    #[serde(deserialize_with = "duration")]
    pub long: Duration,
}

impl Default for Task {
    fn default() -> Self {
        Self { query: Duration::from_secs(5), long: Duration::from_secs(10 * 60) }
    }
}

/// What a backend deploys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// The `type` of the orders that it serves: lower-case letters, digits and hyphens, a letter first, at most 64.
    #[serde(rename = "type")]
    pub kind: String,
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
    /// In a format that came later, or never was.
    #[error("the manifest is of format {0}, and this agent reads format {FORMAT}: update the agent")]
    Format(i64),
    /// A value out of its range.
    #[error("the manifest's {key} is {value}; it must be {rule}")]
    Value {
        /// Which key.
        key: String,
        /// What it is.
        value: String,
        /// What it should be.
        rule: String,
    },
    /// A default or an example that its own schema refuses.
    #[error("the manifest's {key} does not fit its own schema")]
    Default {
        /// Which one.
        key: String,
        /// Why.
        source: SettingsError,
    },
    /// Another kind than the component's.
    #[error(
        "the manifest says kind = \"{}\", but the component exports {}: say \"{}\", or leave it out",
        said.as_str(), exported.interface(), exported.as_str()
    )]
    Kind {
        /// In the manifest.
        said: Kind,
        /// What the component exports.
        exported: Kind,
    },
}

pub(crate) fn wrong(key: impl ToString, value: impl ToString, rule: impl Into<String>) -> ManifestError {
    ManifestError::Value { key: key.to_string(), value: value.to_string(), rule: rule.into() }
}

impl Manifest {
    /// Reads and checks a `plugin.toml`.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > LIMIT {
            return Err(ManifestError::TooLarge(text.len()));
        }
        let toml = |error: toml::de::Error| ManifestError::Parse(error.message().to_owned());
        // Before its keys: those of another format say nothing here.
        if let Ok(Head { format: Some(format) }) = toml::from_str(text)
            && format != i64::from(FORMAT)
        {
            return Err(ManifestError::Format(format));
        }
        let manifest: Self = serde_path_to_error::deserialize(toml::Deserializer::parse(text).map_err(toml)?)
            .map_err(|error| match error.path().iter().next() {
                Some(_) => ManifestError::Parse(format!("{}: {}", error.path(), error.inner().message())),
                None => toml(error.into_inner()),
            })?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether what the component exports is what the manifest says it is.
    pub fn agrees(&self, exported: Kind) -> Result<(), ManifestError> {
        match self.kind.filter(|said| *said != exported) {
            Some(said) => Err(ManifestError::Kind { said, exported }),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), ManifestError> {
        let name = "1 to 64 lower-case letters, digits and hyphens, beginning with a letter";
        must("name", || format!("{:?}", self.name), name, is_name(&self.name))?;
        must(
            "version",
            || format!("{:?}", self.version),
            "1 to 64 bytes that can be shown",
            (1..=64).contains(&self.version.len()) && is_plain(&self.version),
        )?;
        let line = "at most 256 bytes that can be shown";
        for (key, text) in [("description", Some(&self.description)), ("vendor", self.vendor.as_ref())] {
            let fits = |text: &String| text.len() <= 256 && is_plain(text);
            let length = || format!("{} bytes", text.map_or(0, String::len));
            must(key, length, line, text.is_none_or(fits))?;
        }
        self.check_probe()?;
        self.check_task()?;
        if let Some(Deploy { kind }) = &self.deploy {
            must("deploy.type", || format!("{kind:?}"), name, is_name(kind))?;
            let said = self.kind.filter(|kind| *kind != Kind::Backend);
            let shown = || format!("{:?}", said.map_or("", Kind::as_str));
            must("kind", shown, "\"backend\" where there is [deploy]", said.is_none())?;
        }
        let (entries, most) = (self.boards.len(), boards::ENTRIES_LIMIT);
        must("boards", || entries.to_string(), "at most 32 entries", entries <= most)?;
        self.boards.iter().try_for_each(Boards::check)?;
        self.requests.check()?;
        self.check_settings()
    }

    fn check_probe(&self) -> Result<(), ManifestError> {
        let Probe { every, deadline, .. } = self.probe;
        let (shortest, day) = (Duration::from_millis(100), Duration::from_secs(24 * 60 * 60));
        let shown = |duration: Duration| move || format!("{duration:?}");
        must("probe.every", shown(every), "between 100ms and 24h", (shortest..=day).contains(&every))?;
        let allowed = Duration::from_millis(10)..=Probe::LONGEST_DEADLINE;
        must("probe.deadline", shown(deadline), "between 10ms and 2s", allowed.contains(&deadline))
    }

    fn check_task(&self) -> Result<(), ManifestError> {
        let Task { query, long } = self.task;
        let shown = |duration: Duration| move || format!("{duration:?}");
        let queries = Duration::from_millis(100)..=Duration::from_secs(30);
        must("task.query", shown(query), "between 100ms and 30s", queries.contains(&query))?;
        let longest = Duration::from_secs(1)..=Duration::from_secs(60 * 60);
        must("task.long", shown(long), "between 1s and 1h", longest.contains(&long))
    }
}

fn must(key: &str, value: impl Fn() -> String, rule: &str, holds: bool) -> Result<(), ManifestError> {
    match holds {
        true => Ok(()),
        false => Err(wrong(key, value(), rule)),
    }
}

/// Nothing that a terminal would obey.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

const fn format() -> u32 {
    FORMAT
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
    use std::path::PathBuf;

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
        assert_eq!(manifest.limits.memory, Limits::MOST_MEMORY);
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

    #[test]
    fn the_place_of_an_error_is_said() {
        let error = Manifest::parse(&PSU.replace("500ms", "soon")).unwrap_err().to_string();
        assert!(error.contains("probe.every: \"soon\""), "{error}");
        let error = Manifest::parse("name = \"a\"").unwrap_err().to_string();
        assert_eq!(error, "the manifest is not right: missing field `version`");
    }

    #[test]
    fn the_kind_is_what_the_component_exports() {
        let manifest = Manifest::parse(&format!("kind = \"probe\"\nvendor = \"Acme\"\n{PSU}")).unwrap();
        assert!(Kind::Probe.is_exported(&["cardcage:probe/sampler@0.1.0".into()]));
        assert!(!Kind::Probe.is_exported(&["cardcage:probe/sampler2@0.1.0".into()]));
        assert!(manifest.agrees(Kind::Probe).is_ok());
        let refusal = manifest.agrees(Kind::Backend).unwrap_err().to_string();
        assert!(refusal.contains("exports cardcage:deploy/deployer: say \"backend\""), "{refusal}");
        assert!(Manifest::parse(PSU).unwrap().agrees(Kind::Task).is_ok());
        let deploys = format!("kind = \"probe\"\n{PSU}[deploy]\ntype = \"x\"");
        assert!(
            Manifest::parse(&deploys).unwrap_err().to_string().contains("the manifest's kind is \"probe\"")
        );
        assert!(Manifest::parse(&format!("kind = \"sensor\"\n{PSU}")).is_err());
    }

    #[test]
    fn the_runs_of_a_task_have_bounds() {
        let parsed = |task: &str| Manifest::parse(&format!("{PSU}[task]\n{task}"));
        let task = parsed("query = \"2s\"").unwrap().task;
        assert_eq!((task.query, task.long), (Duration::from_secs(2), Duration::from_secs(600)));
        for (wrong, key) in [("query = \"1m\"", "task.query"), ("long = \"2h\"", "task.long")] {
            assert!(parsed(wrong).unwrap_err().to_string().contains(key));
        }
    }

    #[test]
    fn a_format_that_came_later_is_named_before_its_keys() {
        assert_eq!(Manifest::parse(&format!("format = 1\n{PSU}")).unwrap().format, FORMAT);
        let error = Manifest::parse("format = 2\n[plugin]\nname = \"psu\"").unwrap_err().to_string();
        assert_eq!(error, "the manifest is of format 2, and this agent reads format 1: update the agent");
        assert!(matches!(Manifest::parse(&format!("format = \"x\"\n{PSU}")), Err(ManifestError::Parse(_))));
    }

    #[test]
    fn a_probe_may_claim_less_than_all() {
        let manifest = Manifest::parse(&PSU.replace("[probe]", "[probe]\nsupport = \"family\"")).unwrap();
        assert_eq!(manifest.probe.support, Some(Support::Family));
        assert!(Support::Generic < Support::Family && Support::Family < Support::Board);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = Manifest::parse(&text);
        }
    }
}
