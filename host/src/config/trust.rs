//! `[plugins] trust`: whose plugins may run.

use std::fmt;

use cardcage_manifest::Glob;
use cardcage_signature::PublicKey;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What is done about a plugin that no trusted key signed. Built-in plugins came with the agent, and need no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// It is refused.
    Require,
    /// It runs, with a line in the log and in the list.
    Warn,
    /// Nothing.
    Off,
}

/// A key, and what its signature is good for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Trusted {
    pub key: PublicKey,
    /// Whose it is, for people.
    pub name: Option<String>,
    /// Names of plugins; without any, all.
    pub plugins: Vec<Glob>,
    /// What such a plugin may import beside `kernel` and `log`; absent: whatever it is granted.
    pub capabilities: Option<Vec<String>>,
}

/// As it is written: a key, or a table with it. Not `untagged`, which would not say what is wrong in a table.
enum Written {
    Key(String),
    Bound(Bound),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bound {
    key: String,
    name: Option<String>,
    #[serde(default)]
    plugins: Vec<Glob>,
    capabilities: Option<Vec<String>>,
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

/// Takes both.
struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Written;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key such as \"ed25519:…\", or a table with key, name, plugins, capabilities")
    }

    fn visit_str<E>(self, key: &str) -> Result<Written, E> {
        Ok(Written::Key(key.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Written, A::Error> {
        Bound::deserialize(MapAccessDeserializer::new(table)).map(Written::Bound)
    }
}

/// Capabilities that a key can be bound to.
const CAPABILITIES: [&str; 7] = ["artifacts", "containers", "files", "http", "native", "processes", "state"];

impl TryFrom<Written> for Trusted {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Bound { key, name, plugins, capabilities } = match written {
            Written::Key(key) => Bound { key, name: None, plugins: Vec::new(), capabilities: None },
            Written::Bound(bound) => bound,
        };
        let key = key.parse::<PublicKey>().map_err(|error| format!("{key:?}: {error}"))?;
        let unknown = capabilities.iter().flatten().find(|word| !CAPABILITIES.contains(&word.as_str()));
        if let Some(unknown) = unknown {
            return Err(format!("{unknown:?} is no capability; there are {}", CAPABILITIES.join(", ")));
        }
        Ok(Self { key, name, plugins, capabilities })
    }
}

impl fmt::Display for Trusted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "{name} ({})", self.key.id()),
            None => write!(formatter, "{}", self.key.id()),
        }
    }
}

impl Trusted {
    /// Whether its signature is good for a plugin of this name with these imports; if not, why.
    pub fn covers(&self, plugin: &str, imports: &[String]) -> Result<(), String> {
        if !self.plugins.is_empty() && !self.plugins.iter().any(|pattern| pattern.matches(plugin)) {
            let patterns: Vec<_> = self.plugins.iter().map(Glob::as_str).collect();
            return Err(format!("{self} is trusted for plugins named {} only", patterns.join(", ")));
        }
        let Some(capabilities) = &self.capabilities else { return Ok(()) };
        let beyond = imports.iter().filter_map(|import| capability(import)).find(|word| {
            CAPABILITIES.contains(word) && !capabilities.iter().any(|capability| capability == word)
        });
        match beyond {
            Some(beyond) => {
                Err(format!("{self} is not trusted with the capability {beyond}, which it imports"))
            }
            None => Ok(()),
        }
    }
}

/// `files` of `cardcage:host/files@0.1.0`.
fn capability(import: &str) -> Option<&str> {
    if import.starts_with("wasi:http/") {
        return Some("http");
    }
    import.strip_prefix("cardcage:host/")?.split('@').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(rest: &str) -> Result<Trusted, String> {
        #[derive(Deserialize)]
        struct File {
            trust: Trusted,
        }
        let key = cardcage_signature::SecretKey::generate().unwrap().public();
        let text = format!("trust = {}", rest.replace("KEY", &key.to_string()));
        toml::from_str::<File>(&text).map(|file| file.trust).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_key_stands_for_every_plugin_unless_it_is_bound() {
        let imports = ["cardcage:host/kernel@0.1.0".to_owned(), "cardcage:host/files@0.1.0".to_owned()];
        assert_eq!(trusted("\"KEY\"").unwrap().covers("any", &imports), Ok(()));
        let bound = trusted("{ key = \"KEY\", name = \"ACME\", plugins = [\"acme-*\"] }").unwrap();
        assert_eq!(bound.covers("acme-psu", &imports), Ok(()));
        assert!(bound.covers("psu", &imports).unwrap_err().contains("named acme-* only"));
        let bound = trusted("{ key = \"KEY\", capabilities = [\"native\"] }").unwrap();
        assert!(bound.covers("acme-psu", &imports).unwrap_err().contains("the capability files"));
        assert_eq!(bound.covers("acme-psu", &imports[..1]), Ok(()));
        let http = ["wasi:http/outgoing-handler@0.2.3".to_owned()];
        assert!(bound.covers("acme-psu", &http).unwrap_err().contains("the capability http"));
    }

    #[test]
    fn what_is_no_key_is_said() {
        assert!(trusted("\"ed25519:AAAA\"").is_err());
        assert!(
            trusted("{ key = \"KEY\", capabilities = [\"teleport\"] }").unwrap_err().contains("teleport")
        );
        let unknown = trusted("{ key = \"KEY\", plugin = [\"a\"] }").unwrap_err();
        assert!(unknown.starts_with("unknown field `plugin`"), "{unknown}");
        assert!(trusted("{ name = \"ACME\" }").unwrap_err().contains("missing field `key`"));
        assert!(trusted("7").unwrap_err().contains("a key such as"));
    }
}
