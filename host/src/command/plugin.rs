//! `cardcage-agent plugin …`

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};

use super::pull::PullArguments;
use super::run_task::RunArguments;
use super::sign::{self, KeygenArguments, SignArguments, VerifyArguments};
use super::{conformance, file, list, pull, record, run_task, r#try, warm};
use crate::config::Config;

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Lists the plugins of the running agent: state, why, support level, imports; without an agent, what it would load.
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Loads plugins as the agent would, takes samples, and prints them with what they cost.
    Try(TryArguments),
    /// Runs one task of a plugin as the agent would, with its progress on the standard error, and prints what it answers.
    Run(RunArguments),
    /// Makes the project of a plugin: --lang rust, python, c or js. `plugin new --help` says more.
    #[command(disable_help_flag = true)]
    New {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME OR OPTION")]
        arguments: Vec<OsString>,
    },
    /// Builds the project of a plugin: what comes out is the file to ship. `plugin build --help` says more.
    #[command(disable_help_flag = true)]
    Build {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FOLDER OR OPTION")]
        arguments: Vec<OsString>,
    },
    /// Makes a key that plugins can be signed with.
    Keygen(KeygenArguments),
    /// Signs a plugin, in a form that other tools for WebAssembly read too.
    Sign(SignArguments),
    /// Says which trusted keys signed a plugin; fails if none did. With --config it asks what the agent asks of its signature.
    Verify(VerifyArguments),
    /// Gets a plugin out of a container registry, by tag or digest, checks it, and puts it into the folder.
    Pull(PullArguments),
    /// Puts a plugin.toml into a component: what comes out is the file to ship.
    Pack {
        /// The component, as `cargo build --target wasm32-wasip2` makes it.
        component: PathBuf,
        /// The manifest.
        #[arg(long, value_name = "FILE", default_value = "plugin.toml")]
        manifest: PathBuf,
        /// Where the plugin goes.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Takes samples on this board, and saves all that the plugin was told: `try --replay` and `check --replay` go on from
    /// there, on any machine.
    Record(RecordArguments),
    /// The conformance suite: whether a plugin keeps to its limits, says the same of the same board, copes with what is
    /// missing or refused, and holds nothing for ever.
    Check(CheckArguments),
    /// Compiles every plugin into the cache, so that the next start is a warm one. For packages.
    Warm {
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// `--config FILE`
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The agent's configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    pub(super) fn load(&self) -> Result<Config> {
        Ok(self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load)?)
    }
}

/// What `plugin try` takes.
#[derive(Debug, Args)]
pub struct TryArguments {
    /// Names of plugins, or files; without any, every plugin that the agent would load.
    pub(super) plugins: Vec<String>,
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// How many samples; one, or as many as a recording has.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) count: Option<u32>,
    /// Time between two samples, such as `1s`; without it they follow at once.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(super) every: Option<Duration>,
    /// Instead of this board, the one that `plugin record` saved. Takes one plugin; its settings are those of
    /// the recording, unless the configuration has others.
    #[arg(long, value_name = "RECORDING", conflicts_with = "every")]
    pub(super) replay: Option<PathBuf>,
    /// Fails unless the samples are those of this file, bit for bit.
    #[arg(long, value_name = "FILE", requires = "replay")]
    pub(super) expect: Option<PathBuf>,
    /// Writes the samples into the file of --expect, instead of comparing them.
    #[arg(long, requires = "expect")]
    pub(super) accept: bool,
    /// For programs.
    #[arg(long)]
    pub(super) json: bool,
}

/// What `plugin record` takes.
#[derive(Debug, Args)]
pub struct RecordArguments {
    /// The name of a probe, or a file.
    pub(super) plugin: String,
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// Where the recording goes; NAME.recording, if it is not said.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// How many samples.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) count: u32,
    /// Time between two samples; the probe's own, if it is not said.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(super) every: Option<Duration>,
}

/// What `plugin check` takes.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The name of a probe, or a file.
    pub(super) plugin: String,
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// The board that `plugin record` saved; without it this one, of which three samples are recorded.
    #[arg(long, value_name = "RECORDING")]
    pub(super) replay: Option<PathBuf>,
    /// How many samples are taken to see whether it holds ever more.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..))]
    pub(super) samples: u32,
    /// For programs.
    #[arg(long)]
    pub(super) json: bool,
}

impl PluginCommand {
    pub fn run(self) -> Result<()> {
        match self {
            Self::List { config, json } => list::list(&config.load()?, json),
            Self::Try(arguments) => r#try::run(&arguments),
            Self::Record(arguments) => record::run(&arguments),
            Self::Check(arguments) => conformance::run(&arguments),
            Self::Run(arguments) => run_task::run(&arguments),
            Self::Warm { config } => warm::warm(&config.load()?),
            Self::New { arguments } => project("new", &arguments),
            Self::Build { arguments } => project("build", &arguments),
            Self::Keygen(arguments) => sign::keygen(&arguments),
            Self::Sign(arguments) => sign::sign_file(&arguments),
            Self::Verify(arguments) => sign::verify_file(&arguments),
            Self::Pull(arguments) => pull::pull(&arguments),
            Self::Pack { component, manifest, output } => pack(&component, &manifest, &output),
        }
    }
}

/// Hands over to the executable that makes projects. It lies beside the agent, and is no part of it: boards do without.
fn project(task: &str, arguments: &[OsString]) -> Result<()> {
    let executable = std::env::current_exe()?.with_file_name("cardcage-project");
    let error = Command::new(&executable).arg0("cardcage-agent plugin").arg(task).args(arguments).exec();
    Err(error).with_context(|| {
        format!(
            "{} cannot be run; it is installed beside the agent where plugins are made",
            executable.display()
        )
    })
}

fn pack(component: &PathBuf, manifest: &PathBuf, output: &PathBuf) -> Result<()> {
    ensure!(
        !file::is_same(output, manifest),
        "{} is the manifest, which would be lost: name another file with --output",
        output.display()
    );
    let bytes =
        std::fs::read(component).with_context(|| format!("{} cannot be read", component.display()))?;
    let text = std::fs::read_to_string(manifest)
        .with_context(|| format!("{} cannot be read", manifest.display()))?;
    let packed = cardcage_manifest::pack(&bytes, &text)
        .with_context(|| format!("{} with {} is no plugin", component.display(), manifest.display()))?;
    std::fs::write(output, packed).with_context(|| format!("{} cannot be written", output.display()))
}
