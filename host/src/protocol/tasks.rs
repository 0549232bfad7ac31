//! Tasks and their runs as `/tasks` shows them.

use cardcage_manifest::Arguments;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::model::PluginName;
use crate::plugin::{Declined, Description, Phase, Run};

/// Longest body of a request that starts a run, in bytes.
pub const LIMIT: usize = 64 << 10;

/// One element of the list that `GET /tasks` answers with.
#[derive(Debug, Serialize)]
pub struct TaskEntry {
    pub plugin: String,
    /// Of the plugin.
    pub version: String,
    pub name: String,
    pub summary: String,
    /// Whether it is started and watched; a query is answered at once.
    pub long: bool,
    /// A JSON Schema.
    pub arguments: Arguments,
}

/// A run. What is not known is left out.
#[derive(Debug, Serialize)]
pub struct RunEntry {
    pub id: String,
    pub plugin: String,
    /// Of the plugin that it began with.
    pub version: String,
    pub task: String,
    pub long: bool,
    /// `running`, `done`, `failed`, `cancelled`.
    pub state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// What it said last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// Until now, or until it ended.
    pub took_ms: u64,
    /// What it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// Why it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// As WIT's `error`.
#[derive(Debug, Serialize)]
pub struct RunError {
    pub code: String,
    pub detail: String,
}

impl From<(PluginName, String, Description)> for TaskEntry {
    fn from((plugin, version, description): (PluginName, String, Description)) -> Self {
        let Description { name, summary, arguments, long } = description;
        Self { plugin: plugin.to_string(), version, name, summary, long, arguments }
    }
}

impl From<&Run> for RunEntry {
    fn from(run: &Run) -> Self {
        let (said, (phase, took)) = (run.said(), run.phase());
        let (mut result, mut error, mut reason) = (None, None, None);
        let state = match phase {
            Phase::Running => "running",
            Phase::Done(answer) => {
                result = Some(answer);
                "done"
            }
            Phase::Failed(Declined { code, detail }) => {
                error = Some(RunError { code, detail });
                "failed"
            }
            Phase::Cancelled(why) => {
                reason = Some(why);
                "cancelled"
            }
        };
        Self {
            id: run.id.to_string(),
            plugin: run.plugin.to_string(),
            version: run.version.clone(),
            task: run.task.clone(),
            long: run.long,
            state,
            percent: said.percent,
            message: said.message,
            started: humantime::format_rfc3339_seconds(run.started).to_string(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            result,
            error,
            reason,
        }
    }
}

/// The arguments in a body: a JSON object, or nothing.
pub fn arguments(body: &[u8]) -> Result<Map<String, Value>, String> {
    match body.trim_ascii() {
        [] => Ok(Map::new()),
        body => {
            serde_json::from_slice(body).map_err(|error| format!("the arguments are no JSON object: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object_or_nothing() {
        assert_eq!(arguments(b" \n"), Ok(Map::new()));
        assert_eq!(arguments(b"{\"a\": 1}").unwrap().get("a"), Some(&Value::from(1)));
        for wrong in ["[]", "1", "{", "\u{0}"] {
            assert!(arguments(wrong.as_bytes()).unwrap_err().starts_with("the arguments are no JSON object"));
        }
    }
}
