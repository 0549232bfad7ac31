//! `plugin run`: one task of a plugin, outside of any agent, as `plugin try` takes samples.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::Args;

use super::plugin::ConfigFile;
use super::r#try::{admitted, runtime};
use crate::capability::progress::Progress;
use crate::plugin::{Kit, try_task};
use crate::protocol::tasks::arguments;

/// What `plugin run` takes.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The name of a plugin, or its file.
    plugin: String,
    /// The task.
    task: String,
    #[command(flatten)]
    config: ConfigFile,
    /// What the task is given: a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    arguments: String,
}

/// Runs it; how far it is goes to the standard error, what it answers to the standard output.
pub(super) fn run(asked: &RunArguments) -> Result<()> {
    let config = asked.config.load()?;
    let given = arguments(asked.arguments.as_bytes()).map_err(|reason| anyhow!(reason))?;
    let kit = Arc::new(Kit::on_board(&config)?);
    let plugin = admitted(&config, std::slice::from_ref(&asked.plugin))?.pop();
    let plugin = plugin.ok_or_else(|| anyhow!("{} is no plugin", asked.plugin))?;
    let name = plugin.package().name.clone();
    let runtime = runtime()?;
    let answer = runtime.block_on(async {
        let progress = Progress::default();
        let mut said = progress.watch();
        let run = try_task(&kit, plugin, &asked.task, given, &progress);
        let mut run = std::pin::pin!(run);
        loop {
            tokio::select! {
                answer = &mut run => break answer,
                Ok(()) = said.changed() => {
                    let said = said.borrow_and_update().clone();
                    let percent = said.percent.map(|percent| format!("{percent} % ")).unwrap_or_default();
                    let _unseen = writeln!(std::io::stderr(), "{percent}{}", said.message);
                }
                Ok(()) = tokio::signal::ctrl_c(), if !progress.is_cancelled() => progress.cancel(),
            }
        }
    });
    // A read that is stuck must not keep the command from ending.
    runtime.shutdown_background();
    let answer = answer.map_err(|reason| anyhow!("{name}: {reason}"))?;
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&answer)?)?)
}
