//! `plugin warm`: compiles plugins ahead of the agent's start.

use std::io::{self, Write as _};

use anyhow::{Result, anyhow};

use super::r#try::runtime;
use crate::config::Config;
use crate::plugin::{self, Admitted, BUILT_IN, Kit};

/// Compiles every plugin that the agent would load, and says which it would not.
pub(super) fn warm(config: &Config) -> Result<()> {
    let kit = Kit::new(config)?;
    let found = plugin::find(BUILT_IN, &config.plugin_dir(), &config.plugins.keys());
    runtime()?.block_on(async {
        for package in found {
            match package.and_then(|package| Admitted::new(package, &config.plugins)) {
                Ok(plugin) => {
                    let name = &plugin.package().name;
                    kit.link(&plugin).await.map_err(|reason| anyhow!("{name}: {reason}"))?;
                    writeln!(io::stdout(), "{name} is compiled")?;
                }
                Err(refused) => {
                    writeln!(io::stdout(), "{} is left out: {}", refused.name, refused.reason)?;
                }
            }
        }
        Ok(())
    })
}
