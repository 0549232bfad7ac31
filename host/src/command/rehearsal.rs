//! A probe that runs outside of the agent: on this board, with what it is told recorded, or on a board that was.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::{Number, Value};
use uuid::Uuid;

use crate::capability::tape::{Header, Index, REDACTED, Recording, Tape, is_secret};
use crate::config::Config;
use crate::error::chain;
use crate::model::Support;
use crate::plugin::{
    self, Admitted, BUILT_IN, CallError, Declined, Instance, Kit, LinkedProbe, Package, Sampled, Source,
};

/// A probe that was compiled, and can be started.
pub(super) struct Rehearsal<'a> {
    pub kit: &'a Kit,
    pub plugin: &'a Admitted,
    linked: LinkedProbe,
}

/// One instance of it.
pub(super) struct Run<'a> {
    kit: &'a Kit,
    pub instance: Instance,
    pub support: Support,
}

/// Why there is no instance (any more), or no sample.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("has nothing to do on this board")]
    Nothing,
    #[error("declines: {0}")]
    Declined(Declined),
    #[error(transparent)]
    Ended(#[from] CallError),
}

impl<'a> Rehearsal<'a> {
    pub async fn new(kit: &'a Kit, plugin: &'a Admitted) -> Result<Self> {
        let name = &plugin.package().name;
        let linked = kit.link_probe(plugin).await.map_err(|reason| anyhow!("{name}: {reason}"))?;
        Ok(Self { kit, plugin, linked })
    }

    /// Starts it, and hands it its settings.
    pub async fn start(&self, tape: Tape) -> Result<Run<'a>, Failure> {
        let started = self.kit.try_one(self.plugin, &self.linked, tape).await?;
        let (instance, support) = started.map_err(Failure::Declined)?;
        Ok(Run { kit: self.kit, instance, support })
    }

    /// A tape for a recording.
    pub fn tape(&self, every: Duration) -> Tape {
        let package = self.plugin.package();
        Tape::recording(Header {
            format: Recording::FORMAT,
            plugin: package.name.to_string(),
            version: package.manifest.version.to_string(),
            digest: package.digest.to_string(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            every_ms: every.as_millis().try_into().unwrap_or(u64::MAX),
            seed: Uuid::new_v4(),
            settings: without_secrets(serde_json::from_str(self.plugin.settings()).unwrap_or_default()),
        })
    }
}

impl Run<'_> {
    pub async fn sample(&mut self) -> Result<Result<Sampled, Declined>, CallError> {
        self.instance.sample(&self.kit.runtime).await
    }
}

/// Settings as they may be shown to others.
fn without_secrets(settings: Value) -> Value {
    match settings {
        Value::Object(object) => {
            let member = |(name, value): (String, Value)| match is_secret(&name) {
                true => (name, hidden(value)),
                false => (name, without_secrets(value)),
            };
            object.into_iter().map(member).collect()
        }
        Value::Array(list) => list.into_iter().map(without_secrets).collect(),
        other => other,
    }
}

/// Every text in it replaced, so that it is still of its type.
fn hidden(value: Value) -> Value {
    match value {
        Value::String(text) if !text.is_empty() => REDACTED.into(),
        Value::Array(list) => list.into_iter().map(hidden).collect(),
        Value::Object(object) => object.into_iter().map(|(name, value)| (name, hidden(value))).collect(),
        other => other,
    }
}

/// A plugin by its name, or a file.
pub(super) fn admitted(config: &Config, name: &str) -> Result<Admitted> {
    let package = package(config, name)?;
    Admitted::new(package, &config.plugins).map_err(refusal)
}

/// The same on a recorded board.
pub(super) fn admitted_for(config: &Config, name: &str, recording: &Header) -> Result<Admitted> {
    let package = package(config, name)?;
    let admitted = Admitted::on_a_recording(package, &config.plugins, &recording.settings);
    admitted.map_err(|refused| {
        anyhow!(
            "{} is refused: {}; with --config its settings can be said anew",
            refused.name,
            refused.reason
        )
    })
}

fn refusal(refused: plugin::Refused) -> anyhow::Error {
    anyhow!("{} is refused: {}", refused.name, refused.reason)
}

fn package(config: &Config, name: &str) -> Result<Package> {
    let found = plugin::find(BUILT_IN, &config.plugin_dir(), &config.plugins.keys());
    let matching = found.into_iter().find(|plugin| plugin::name(plugin).as_str() == name);
    match matching {
        Some(plugin) => plugin.map_err(refusal),
        None if Path::new(name).is_file() => {
            let package = Package::open(Source::file(name.into()), &config.plugins.keys());
            package.map_err(|error| anyhow!("{name} is no plugin: {}", chain(&error)))
        }
        None => Err(anyhow!(
            "{name} is neither a plugin of this agent nor a file; see `cardcage-agent plugin list`"
        )),
    }
}

/// A recording, ready to be played.
pub(super) fn recorded(path: &Path) -> Result<Arc<Index>> {
    Ok(Arc::new(Index::new(Recording::read(path)?)))
}

/// The first place where two values are not the same, bit for bit.
pub(super) fn difference(expected: &Value, said: &Value) -> Option<String> {
    let at = |rest: String, name: &str| match rest.starts_with([' ', '[']) {
        true => format!("{name}{rest}"),
        false => format!("{name}.{rest}"),
    };
    let part = |expected: Option<&Value>, said: Option<&Value>, name: &str| match (expected, said) {
        (Some(expected), Some(said)) => difference(expected, said).map(|path| at(path, name)),
        (Some(expected), None) => Some(format!("{name} is absent, expected {expected}")),
        (None, Some(said)) => Some(format!("{name} is {said}, expected to be absent")),
        (None, None) => None,
    };
    match (expected, said) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            names.into_iter().find_map(|name| part(a.get(name), b.get(name), name))
        }
        (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len()))
            .find_map(|number| part(a.get(number), b.get(number), &format!("[{number}]"))),
        (Value::Number(a), Value::Number(b)) if same_number(a, b) => None,
        (a, b) if a == b && !a.is_number() => None,
        (a, b) => Some(format!(" is {b}, expected {a}")),
    }
}

/// -0.0 and 0.0 are equal, and not the same; 1 and 1.0 neither.
fn same_number(a: &Number, b: &Number) -> bool {
    a == b && a.as_f64().map(f64::to_bits) == b.as_f64().map(f64::to_bits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named_by_its_place() {
        let sample = json!({"sensors": [{"name": "a", "value": 1.5}, {"name": "b", "value": 0.0}]});
        assert_eq!(difference(&sample, &sample), None);
        let mut other = sample.clone();
        other["sensors"][1]["value"] = json!(-0.0);
        let said = difference(&sample, &other).unwrap();
        assert_eq!(said, "sensors[1].value is -0.0, expected 0.0");
        other["sensors"] = json!([{"name": "a", "value": 1.5}]);
        assert!(difference(&sample, &other).unwrap().starts_with("sensors[1] is absent"));
        assert!(difference(&json!({}), &json!({"a": 1})).unwrap().starts_with("a is 1"));
    }

    #[test]
    fn passwords_in_settings_are_not_recorded() {
        let settings = json!({"url": "http://a", "Password": "x", "hosts": [{"api_token": "y", "secret": ""}], "tokens": ["z"], "credentials": {"user": "u"}, "secrets": 3});
        let expected = json!({"url": "http://a", "Password": REDACTED, "hosts": [{"api_token": REDACTED, "secret": ""}], "tokens": [REDACTED], "credentials": {"user": REDACTED}, "secrets": 3});
        assert_eq!(without_secrets(settings), expected);
    }
}
