//! What an operator may set for a plugin, and whether what was set fits.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One setting, as the manifest declares it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What it takes.
    #[serde(rename = "type")]
    pub kind: SettingKind,
    /// What holds when it is not set. A setting without a default must be set if it is `required`.
    pub default: Option<Value>,
    /// The plugin cannot work without it.
    #[serde(default)]
    pub required: bool,
    /// One line for people.
    #[serde(default)]
    pub description: String,
}

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any finite number.
    Number,
    /// Yes or no.
    Boolean,
    /// A list of texts.
    Strings,
}

impl SettingKind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Strings => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        }
    }
}

/// Why settings do not fit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The manifest declares no such setting.
    #[error("there is no setting {name:?}; known are: {known}")]
    Unknown {
        /// What was set.
        name: String,
        /// What could be.
        known: String,
    },
    /// The value is of another type.
    #[error("the setting {name:?} must be of type {kind:?}")]
    Type {
        /// Which one.
        name: String,
        /// What it takes.
        kind: SettingKind,
    },
    /// It is required and not set.
    #[error("the setting {name:?} is required")]
    Missing {
        /// Which one.
        name: String,
    },
}

impl super::Manifest {
    /// Checks what the operator set and fills in the defaults; the result is what the plugin is handed.
    pub fn settings(&self, set: &BTreeMap<String, Value>) -> Result<Value, SettingsError> {
        if let Some(name) = set.keys().find(|name| !self.settings.contains_key(*name)) {
            let known = self.settings.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(SettingsError::Unknown { name: name.clone(), known });
        }
        let mut all = serde_json::Map::new();
        for (name, setting) in &self.settings {
            match set.get(name).or(setting.default.as_ref()) {
                Some(value) if setting.kind.fits(value) => {
                    all.insert(name.clone(), value.clone());
                }
                Some(_) => {
                    return Err(SettingsError::Type { name: name.clone(), kind: setting.kind });
                }
                None if setting.required => {
                    return Err(SettingsError::Missing { name: name.clone() });
                }
                None => {}
            }
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Manifest;

    fn settings(set: Value) -> Result<Value, SettingsError> {
        let manifest = Manifest::parse(
            r#"
            name = "a"
            version = "1"
            [settings.rail]
            type = "string"
            default = "12V"
            [settings.bus]
            type = "integer"
            required = true
            [settings.rails]
            type = "strings"
            "#,
        );
        manifest.unwrap().settings(&serde_json::from_value(set).unwrap())
    }

    #[test]
    fn defaults_are_filled_in() {
        assert_eq!(settings(json!({"bus": 3})), Ok(json!({"bus": 3, "rail": "12V"})));
        assert_eq!(
            settings(json!({"bus": 3, "rails": ["a"]})),
            Ok(json!({"bus": 3, "rail": "12V", "rails": ["a"]}))
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(settings(json!({})), Err(SettingsError::Missing { name: "bus".into() }));
        assert!(matches!(settings(json!({"bus": "x"})), Err(SettingsError::Type { .. })));
        assert!(matches!(settings(json!({"bus": 1, "rails": [1]})), Err(SettingsError::Type { .. })));
        let unknown = settings(json!({"bus": 1, "rial": "x"})).unwrap_err().to_string();
        assert!(unknown.contains("rial") && unknown.contains("rail"), "{unknown}");
    }
}
