//! What is settled before anything of a plugin is compiled: its grants and its settings.

use std::collections::BTreeMap;

use super::grants::Grants;
use super::package::{Package, Refused};
use crate::config::Plugins;

/// A plugin that may run.
#[derive(Debug)]
pub struct Admitted {
    pub(super) package: Package,
    pub(super) grants: Grants,
    /// What it is handed, as JSON.
    pub(super) settings: String,
}

impl Admitted {
    /// Asks the grants and checks the settings.
    pub fn new(package: Package, plugins: &Plugins) -> Result<Self, Refused> {
        let grants = Grants::new(&package, plugins.grants.get(package.name.as_str()));
        let grants = grants.map_err(|error| package.refused(&error.to_string()))?;
        let settings = settings(&package, plugins).map_err(|reason| package.refused(&reason))?;
        Ok(Self { package, grants, settings })
    }

    pub fn package(&self) -> &Package {
        &self.package
    }
}

fn settings(package: &Package, plugins: &Plugins) -> Result<String, String> {
    let mut set = BTreeMap::new();
    for (key, value) in plugins.settings.get(package.name.as_str()).into_iter().flatten() {
        let value = serde_json::to_value(value).map_err(|error| format!("the setting {key:?}: {error}"))?;
        set.insert(key.clone(), value);
    }
    package.manifest.settings(&set).map(|settings| settings.to_string()).map_err(|error| error.to_string())
}
