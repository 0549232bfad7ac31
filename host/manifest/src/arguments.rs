//! What a task takes: a schema of the keywords that settings have, and whether what is given fits it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::fit::{Path, Room, SettingsError};
use crate::schema::{Budget, Schema, SettingKind};

/// Longest schema, and longest arguments with what is filled in, as text in bytes.
const LIMIT: usize = 16 << 10;

/// The arguments of one task, as it describes them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Arguments(Schema);

/// Why arguments, or their schema, are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentsError {
    /// Of the schema.
    #[error("{0} bytes of schema, at most {LIMIT} are read")]
    TooLarge(usize),
    /// Of the schema: no JSON, a keyword that is not known.
    #[error("no schema of arguments: {0}")]
    Schema(String),
    /// Of the schema: it takes something else than an object.
    #[error("a schema of arguments that is not of the type \"object\"")]
    NotAnObject,
    /// Another argument than there is.
    #[error("there is no argument {path:?}; known are: {known}")]
    Unknown {
        /// What was given.
        path: String,
        /// What could be.
        known: String,
    },
    /// Another value than it takes.
    #[error("the argument {path} is {found}; it must be {rule}")]
    Misfit {
        /// Which one.
        path: String,
        /// What was given.
        found: String,
        /// What it takes.
        rule: String,
    },
    /// Required and not given.
    #[error("the argument {path} is required")]
    Missing {
        /// Which one.
        path: String,
    },
    /// With their defaults filled in.
    #[error("the arguments take too many bytes with their defaults filled in; give less")]
    TooMuch,
}

impl From<SettingsError> for ArgumentsError {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::NoSettings { path } => Self::Unknown { path, known: "none".to_owned() },
            SettingsError::Unknown { path, known } => Self::Unknown { path, known },
            SettingsError::Misfit { path, found, rule } => Self::Misfit { path, found, rule },
            SettingsError::Missing { path } => Self::Missing { path },
            SettingsError::TooLarge => Self::TooMuch,
        }
    }
}

impl Arguments {
    /// Reads and checks a schema.
    pub fn parse(schema: &str) -> Result<Self, ArgumentsError> {
        if schema.len() > LIMIT {
            return Err(ArgumentsError::TooLarge(schema.len()));
        }
        let wrong = |error: &dyn std::fmt::Display| ArgumentsError::Schema(error.to_string());
        let schema: Schema = serde_json::from_str(schema).map_err(|error| wrong(&error))?;
        if schema.kind != Some(SettingKind::Object) {
            return Err(ArgumentsError::NotAnObject);
        }
        // As what stands in a setting: what is required is listed around it.
        schema
            .check(&Path::Root.name("arguments"), 2, &mut Budget::default())
            .map_err(|error| wrong(&error))?;
        Ok(Self(schema))
    }

    /// What is given, with the defaults filled in.
    pub fn fit(&self, given: Map<String, Value>) -> Result<Value, ArgumentsError> {
        Ok(self.0.fit(&Value::Object(given), &Path::Root, &mut Room::default())?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROUNDS: &str = r#"{ "type": "object", "additionalProperties": false, "required": ["disk"], "properties": {
        "disk": { "type": "string" }, "rounds": { "type": "integer", "minimum": 1, "default": 3 } } }"#;

    fn fit(given: Value) -> Result<Value, String> {
        let given = given.as_object().unwrap().clone();
        Arguments::parse(ROUNDS).unwrap().fit(given).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_fit_and_their_defaults_are_filled_in() {
        assert_eq!(fit(json!({ "disk": "sda" })), Ok(json!({ "disk": "sda", "rounds": 3 })));
        assert_eq!(fit(json!({})), Err("the argument disk is required".into()));
        let refusal = fit(json!({ "disk": "sda", "rounds": 0 })).unwrap_err();
        assert!(refusal.starts_with("the argument rounds is 0; it must be"), "{refusal}");
        let refusal = fit(json!({ "disk": "sda", "round": 1 })).unwrap_err();
        assert!(refusal.starts_with("there is no argument \"round\"; known are: disk, rounds"), "{refusal}");
    }

    #[test]
    fn a_schema_that_is_not_one_is_refused() {
        let refused = |schema: &str| Arguments::parse(schema).unwrap_err().to_string();
        assert!(refused("{").starts_with("no schema of arguments"));
        assert!(refused(r#"{ "type": "object", "oneOf": [] }"#).contains("oneOf"));
        assert!(refused(r#"{ "type": "string" }"#).contains("not of the type"));
        assert!(refused("{}").contains("not of the type"));
        let defaults = r#"{ "type": "object", "properties": { "a": { "type": "string", "default": 1 } } }"#;
        assert!(refused(defaults).contains("arguments.properties.a"), "{}", refused(defaults));
        assert!(
            refused(&format!("{{\"type\": \"object\", \"description\": \"{}\"}}", "x".repeat(LIMIT)))
                .contains("bytes")
        );
    }
}
