//! `cardcage-agent`: load, build, run, drain.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use cardcage_agent::app::App;
use cardcage_agent::command::{self, BarCommand, PidFile, PluginCommand};
use cardcage_agent::config::{Config, ConfigError, EXAMPLE};
use cardcage_daemon::log;
use cardcage_daemon::signals::Signals;
use clap::{Args, Parser, Subcommand};

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// The agent of one board: answers a manager's queries with readings that sandboxed plugins take.
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answers queries until SIGTERM or Ctrl-C.
    #[command(after_long_help = EXAMPLE)]
    Run(Run),
    /// Says what is wrong with a configuration and with this machine, without starting anything.
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Plugins: what there is, how it is, and what a new one says.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Packages of programs: .bar files, for deploys of type bar.
    #[command(subcommand)]
    Bar(BarCommand),
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration, see README; without it every key has its default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    config: ConfigFile,
    /// Stay in the foreground. The agent always does; the flag is there for scripts that pass it.
    #[arg(short = 'f')]
    foreground: bool,
    /// Write the log to this file instead of the standard error. SIGHUP opens it anew, as logrotate wants.
    #[arg(short = 'L', value_name = "FILE")]
    log: Option<PathBuf>,
    /// Write the process id to this file, and remove it at the end.
    #[arg(short = 'P', value_name = "FILE")]
    pid: Option<PathBuf>,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(run) => finish(load(&run.config).and_then(|config| start(run, config))),
        Command::Check { config } => finish(load(&config).and_then(|config| command::check(&config))),
        Command::Plugin(plugin) => finish(plugin.run()),
        Command::Bar(bar) => finish(bar.run()),
    }
}

/// A wrong configuration has a code of its own, whichever command reads it; every error is printed here, once, with its
/// causes.
fn finish(done: Result<()>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    command::complain(&error);
    match error.is::<ConfigError>() {
        true => ExitCode::from(2),
        false => ExitCode::FAILURE,
    }
}

fn load(file: &ConfigFile) -> Result<Config> {
    match &file.config {
        Some(path) => Ok(Config::load(path)?),
        None => Ok(Config::default()),
    }
}

fn start(run: Run, config: Config) -> Result<()> {
    let _log = log::start(run.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let signals = Signals::catch().context("signals cannot be received")?;
        let app = App::build(config)?;
        // Only now is it certain that this is the one that runs.
        let _pid = run.pid.map(PidFile::write).transpose()?;
        app.run_until(signals.first()).await
    })
}
