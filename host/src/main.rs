//! `cardcage-agent`: load, build, run, drain.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use cardcage_agent::app::App;
use cardcage_agent::command::{self, PidFile, PluginCommand};
use cardcage_agent::config::Config;
use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

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
    Run(Run),
    /// Says what is wrong with a configuration and with this machine, without starting anything.
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Plugins: what there is, how it is, and what a new one says.
    #[command(subcommand)]
    Plugin(PluginCommand),
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
    /// Write the log to this file instead of the standard error.
    #[arg(short = 'L', value_name = "FILE")]
    log: Option<PathBuf>,
    /// Write the process id to this file, and remove it at the end.
    #[arg(short = 'P', value_name = "FILE")]
    pid: Option<PathBuf>,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(run) => finish(load(&run.config).map(|config| start(run, config))),
        Command::Check { config } => finish(load(&config).map(|config| command::check(&config))),
        Command::Plugin(plugin) => finish(Ok(plugin.run())),
    }
}

/// Wrong usage has a code of its own; every error is printed here, once, with its causes.
fn finish(done: Result<Result<()>>) -> ExitCode {
    let (error, code) = match done {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => (error, ExitCode::FAILURE),
        Err(usage) => (usage, ExitCode::from(2)),
    };
    command::complain(&error);
    code
}

fn load(file: &ConfigFile) -> Result<Config> {
    match &file.config {
        Some(path) => Ok(Config::load(path)?),
        None => Ok(Config::default()),
    }
}

fn start(run: Run, config: Config) -> Result<()> {
    log_to(run.log)?;
    let _pid = run.pid.map(PidFile::write).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        command::stop_on_signals(stop.clone())?;
        App::build(config)?.run(stop).await
    })
}

/// `RUST_LOG` chooses what is logged, such as `debug` or `warn,cardcage_agent::discovery=debug`; colours only on a
/// terminal.
fn log_to(file: Option<PathBuf>) -> Result<()> {
    let chosen = std::env::var("RUST_LOG").ok().and_then(|chosen| chosen.parse::<Targets>().ok());
    let log = tracing_subscriber::registry()
        .with(chosen.unwrap_or_else(|| Targets::new().with_default(Level::INFO)));
    let lines = tracing_subscriber::fmt::layer().with_target(false);
    match file {
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            let file = file.with_context(|| format!("the log {} cannot be opened", path.display()))?;
            log.with(lines.with_ansi(false).with_writer(Mutex::new(file))).init();
        }
        None => {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let colours = !plain && std::io::IsTerminal::is_terminal(&std::io::stderr());
            log.with(lines.with_ansi(colours).with_writer(std::io::stderr)).init();
        }
    }
    Ok(())
}
