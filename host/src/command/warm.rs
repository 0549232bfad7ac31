//! `plugin warm`: compiles plugins ahead of the agent's start.

use std::io::{self, Write as _};

use anyhow::{Result, anyhow};

use super::r#try::runtime;
use crate::config::Config;
use crate::plugin::{self, Admitted, BUILT_IN, Fault, Kit};

/// Compiles every plugin that the agent would load, and says which it would not.
pub(super) fn warm(config: &Config) -> Result<()> {
    let kit = Kit::new(config)?;
    let found = plugin::find(BUILT_IN, &config.plugin_dir(), &config.plugins.keys());
    runtime()?.block_on(async {
        for package in found {
            match package.and_then(|package| Admitted::new(package, &config.plugins)) {
                Ok(plugin) => {
                    let name = &plugin.package().name;
                    match kit.link(&plugin).await {
                        Ok(_) => writeln!(io::stdout(), "{name} is compiled")?,
                        // One that cannot be compiled is its vendor's, and the others are.
                        Err(failed) if failed.fault == Fault::Plugin => {
                            writeln!(io::stdout(), "{name} is left out: {failed}")?;
                        }
                        Err(failed) => return Err(anyhow!("{name}: {failed}")),
                    }
                }
                Err(refused) => {
                    writeln!(io::stdout(), "{} is left out: {}", refused.name, refused.reason)?;
                }
            }
        }
        Ok(())
    })
}
