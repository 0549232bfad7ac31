//! The operator's settings of this plugin.

use alloc::format;
use alloc::string::String;

use serde::de::DeserializeOwned;

use crate::Error;

/// `[plugins.settings.NAME]` of the agent's configuration: a JSON object that fits the schema in the plugin's
/// manifest, `{}` where the operator says nothing. The host has checked it and filled in the defaults.
///
/// ```
/// # use cardcage_sdk::{Error, Settings};
/// #[derive(serde::Deserialize)]
/// struct PsuSettings {
///     rail: String,
/// }
///
/// let settings = Settings::from_json(r#"{ "rail": "12V" }"#);
/// assert_eq!(settings.parse::<PsuSettings>()?.rail, "12V");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings(String);

impl Settings {
    /// Settings from their JSON text, for tests; a probe gets them from the host.
    pub fn from_json(json: impl Into<String>) -> Self {
        Self(json.into())
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Reads the settings into a type of the probe's own. The error ([`crate::code::INVALID`]) names what does not fit;
    /// return it from [`crate::Probe::configure`] and the operator reads it.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.0).map_err(|error| Error::invalid(format!("settings: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Rail {
        rail: String,
    }

    #[test]
    fn settings_become_a_type() {
        let parsed = Settings::from_json(r#"{"rail":"12V"}"#).parse();
        assert_eq!(parsed, Ok(Rail { rail: "12V".into() }));
    }

    #[test]
    fn the_error_names_what_is_missing() {
        let error = Settings::from_json("{}").parse::<Rail>().unwrap_err();
        assert!(error.is(code::INVALID));
        assert!(error.detail.contains("missing field `rail`"), "{error:?}");
    }
}
