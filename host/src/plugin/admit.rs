//! What is settled before anything of a plugin is compiled: its grants and its settings.

use std::collections::BTreeMap;

use serde_json::Value;
use tracing::warn;

use super::contract;
use super::grants::{self, Grants};
use super::package::{Package, Refused};
use crate::config::{Plugins, Policy, Trusted};

/// A plugin that may run.
#[derive(Debug)]
pub struct Admitted {
    pub(super) package: Package,
    pub(super) grants: Grants,
    /// What it is handed, as JSON.
    pub(super) settings: String,
    /// Who signed it, or why that is not known; where nobody asks, nothing.
    pub(super) trust: Option<String>,
}

impl Admitted {
    /// Compares the versions, checks the signature, asks the grants, and checks the settings.
    pub fn new(package: Package, plugins: &Plugins) -> Result<Self, Refused> {
        of_our_time(&package)?;
        let trust = Self::vouched(&package, plugins).map_err(|reason| package.refused(&reason))?;
        let grants = Grants::new(&package, plugins.grants.get(package.name.as_str()));
        let grants = grants.map_err(|error| package.refused(&error.to_string()))?;
        let settings = settings(&package, plugins).map_err(|reason| package.refused(&reason))?;
        Ok(Self { package, grants, settings, trust })
    }

    /// For a recorded board: nothing of this one is asked, so nothing is granted. The configuration's settings come before
    /// those of the recording.
    pub fn on_a_recording(package: Package, plugins: &Plugins, recorded: &Value) -> Result<Self, Refused> {
        of_our_time(&package)?;
        let settings = match plugins.settings.contains_key(package.name.as_str()) {
            true => settings(&package, plugins),
            false => {
                fitting(&package, recorded.as_object().cloned().unwrap_or_default().into_iter().collect())
            }
        };
        let settings = settings.map_err(|reason| package.refused(&reason))?;
        Ok(Self { package, grants: Grants::default(), settings, trust: None })
    }

    /// Who signed it, if that is asked; or why it is not the plugin that the operator trusts, whatever it is granted.
    pub fn vouched(package: &Package, plugins: &Plugins) -> Result<Option<String>, String> {
        let trust = trust(package, plugins)?;
        grants::pinned(package, plugins.grants.get(package.name.as_str()))
            .map_err(|error| error.to_string())?;
        Ok(trust)
    }

    pub fn package(&self) -> &Package {
        &self.package
    }

    /// What its manifest asks for, beside its imports.
    pub fn asked(&self) -> Vec<String> {
        let requests = &self.package.manifest.requests;
        let files = requests.files.iter().map(|path| format!("files {}", path.display()));
        let http = requests.http.iter().map(|origin| format!("http {origin}"));
        let native = requests.native.keys().map(|library| format!("native {library}"));
        files.chain(http).chain(native).collect()
    }

    /// What of that it is given.
    pub fn given(&self) -> Vec<String> {
        let Grants { files, http, native, .. } = &self.grants;
        let files = files.paths().map(|path| format!("files {}", path.display()));
        let http = http.given().map(|origin| format!("http {origin}"));
        let requested = self.package.manifest.requests.native.keys();
        let native = requested.filter(|library| native.inner().library(library).is_ok());
        let native = native.map(|library| format!("native {library}"));
        files.chain(http).chain(native).collect()
    }

    /// What it is handed, as JSON.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    pub fn trust(&self) -> Option<&str> {
        self.trust.as_deref()
    }
}

/// Whether this agent speaks the versions that it was made for.
fn of_our_time(package: &Package) -> Result<(), Refused> {
    let contract = contract::check(&package.imports, &package.exports);
    contract.map_err(|foreign| package.refused(&foreign.to_string()))
}

/// Who signed a plugin that may run.
fn trust(package: &Package, plugins: &Plugins) -> Result<Option<String>, String> {
    let policy = plugins.policy();
    if package.built_in() || policy == Policy::Off {
        return Ok(None);
    }
    match (signer(package, plugins), policy) {
        (Ok(signer), _) => Ok(Some(format!("signed by {signer}"))),
        (Err(reason), Policy::Require) => Err(format!(
            "{reason}; [plugins] policy asks for the signature of a trusted key: `cardcage-agent plugin sign` signs, \
             and [plugins] trust says whom to trust"
        )),
        (Err(reason), _) => {
            warn!(plugin = %package.name, reason, "plugin runs, though no trusted key vouches for it");
            Ok(Some(format!("not trusted: {reason}")))
        }
    }
}

/// The first trusted key that signed it and is good for it.
fn signer<'a>(package: &Package, plugins: &'a Plugins) -> Result<&'a Trusted, String> {
    let keys = package.signed.as_ref().map_err(Clone::clone)?;
    let mut reason = "no trusted key signed it".to_owned();
    for trusted in plugins.trust.iter().filter(|trusted| keys.contains(&trusted.key)) {
        match trusted.covers(package.name.as_str(), &package.imports) {
            Ok(()) => return Ok(trusted),
            Err(beyond) => reason = beyond,
        }
    }
    Err(reason)
}

fn settings(package: &Package, plugins: &Plugins) -> Result<String, String> {
    let mut set = BTreeMap::new();
    for (key, value) in plugins.settings.get(package.name.as_str()).into_iter().flatten() {
        let value = serde_json::to_value(value).map_err(|error| format!("the setting {key:?}: {error}"))?;
        set.insert(key.clone(), value);
    }
    fitting(package, set)
}

fn fitting(package: &Package, set: BTreeMap<String, Value>) -> Result<String, String> {
    package.manifest.settings(&set).map(|settings| settings.to_string()).map_err(|error| error.to_string())
}
