//! Plugins as a manager and as `cardcage-agent plugin list` see them.

use cardcage_wire::extension;
use serde::{Deserialize, Serialize};

use crate::model::{PluginStatus, Replacement, Support};

/// A plugin in a heartbeat's extension.
pub(super) fn wire(plugin: &PluginStatus) -> extension::Plugin {
    extension::Plugin {
        name: plugin.name.to_string(),
        version: plugin.version.clone(),
        digest: plugin.digest.to_string(),
        built_in: plugin.built_in,
        state: plugin.state.as_str().into(),
        reason: plugin.reason.clone(),
    }
}

/// One element of the list that `GET /plugins` answers with. What is not known is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginEntry {
    pub name: String,
    pub version: String,
    /// SHA-256 of the file.
    pub digest: String,
    pub built_in: bool,
    /// One of the words of [`crate::model::PluginState`].
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `probe`, `backend` or `task`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support: Option<String>,
    /// What it found on this board, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who made it, as its manifest says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Who signed it, or why it runs without a signature; absent where the configuration asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    pub imports: Vec<String>,
    pub samples: u64,
    pub failures: u64,
    pub restarts: u64,
    /// How long the last sample took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sample_ms: Option<f64>,
    /// The longest that one took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_sample_ms: Option<f64>,
    /// Processor time of its calls, since it was started.
    #[serde(default)]
    pub cpu_ms: f64,
    /// How often it called the agent, since it was started.
    #[serde(default)]
    pub host_calls: u64,
    /// Linear memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Readings in its last sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readings: Option<u64>,
    /// The last thing that went wrong, also where all is well again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// What its manifest asks for beside its imports, such as `files /sys/class/hwmon`.
    #[serde(default)]
    pub asked: Vec<String>,
    /// What of that it is given.
    #[serde(default)]
    pub given: Vec<String>,
    pub faults: Vec<String>,
    /// What lies in its place in the folder, and has not proved itself yet; this one runs until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<ReplacementEntry>,
}

/// A file that is to take the place of a plugin that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplacementEntry {
    pub name: String,
    pub version: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// One of the words of [`crate::model::PluginState`].
    pub state: String,
    /// Why it has not taken its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&Replacement> for ReplacementEntry {
    fn from(replacement: &Replacement) -> Self {
        Self {
            name: replacement.name.to_string(),
            version: replacement.version.clone(),
            digest: replacement.digest.to_string(),
            state: replacement.state.as_str().into(),
            reason: replacement.reason.clone(),
        }
    }
}

impl From<&PluginStatus> for PluginEntry {
    fn from(plugin: &PluginStatus) -> Self {
        Self {
            name: plugin.name.to_string(),
            version: plugin.version.clone(),
            digest: plugin.digest.to_string(),
            built_in: plugin.built_in,
            state: plugin.state.as_str().into(),
            reason: plugin.reason.clone(),
            kind: plugin.kind.map(str::to_owned),
            support: plugin.support.map(Support::as_str).map(str::to_owned),
            note: plugin.note.clone(),
            vendor: plugin.vendor.clone(),
            trust: plugin.trust.clone(),
            imports: plugin.imports.clone(),
            samples: plugin.samples,
            failures: plugin.failures,
            restarts: plugin.restarts,
            last_sample_ms: plugin.last_sample.map(|took| took.as_secs_f64() * 1000.0),
            longest_sample_ms: plugin.longest_sample.map(|took| took.as_secs_f64() * 1000.0),
            cpu_ms: plugin.cpu.as_secs_f64() * 1000.0,
            host_calls: plugin.host_calls,
            memory: plugin.memory,
            readings: plugin.readings,
            last_error: plugin.last_error.clone(),
            asked: plugin.asked.clone(),
            given: plugin.given.clone(),
            faults: plugin.faults.clone(),
            replacement: plugin.replacement.as_ref().map(ReplacementEntry::from),
        }
    }
}
