//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use serde_json::Value;
use uuid::Uuid;

use crate::failure::Failure;
use crate::units;

/// Where the manager keeps its token by default.
const TOKEN_FILE: &str = "/var/lib/cardcage-manager/token";

/// Shows a fleet of boards and changes it, through the API of its manager.
///
/// Exit status: 0 done, 1 failed or refused, 2 wrong usage, 3 no such board or deployment, 4 not decided yet: the manager
/// goes on asking, and `cardcage ps` shows what comes of it.
#[derive(Debug, Parser)]
#[command(name = "cardcage", version)]
pub(crate) struct Args {
    /// The manager.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "CARDCAGE_MANAGER",
        default_value = "http://127.0.0.1:3926"
    )]
    pub(crate) manager: String,

    /// The manager's token, which changes need: the file `token` in its state directory.
    #[arg(long, global = true, value_name = "FILE", env = "CARDCAGE_TOKEN_FILE", default_value = TOKEN_FILE)]
    token_file: PathBuf,

    /// Print the API's JSON instead of a table.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the boards: how they stand, where they are, their main readings.
    Boards {
        #[command(flatten)]
        filter: BoardFilter,

        /// Show the list again and again, every 2s or as told, until Ctrl-C.
        #[arg(
            long, value_name = "EVERY", num_args = 0..=1, default_missing_value = "2s",
            value_parser = humantime::parse_duration,
        )]
        watch: Option<Duration>,
    },
    /// Show one board: its identity, readings, sensors, plugins.
    Board {
        /// An id or its beginning, a host name, an address, or box/slot/cpu such as 1/3/1.
        id: String,
    },
    /// List the plugins of the fleet, and on how many boards they are in which state; or one plugin on every board that has
    /// it, or those of one board, with what each costs and is given.
    Plugins(PluginsArgs),
    /// Start a container or a process on one board or on several. Needs the token.
    ///
    /// Waits until it runs, or until it is known why not; a board that has to fetch the software first may take minutes. The
    /// order is recorded before a board is asked, so nothing is lost if this command or the manager is ended meanwhile.
    Deploy(Box<DeployArgs>),
    /// Stop what runs, whoever started it. Needs the token.
    Stop(StopArgs),
    /// List what is to run and what does, on all boards or on one.
    Ps {
        /// Only of this board: an id or its beginning, a host name, an address, or box/slot/cpu such as 1/3/1.
        #[arg(long, value_name = "ID")]
        board: Option<String>,

        /// Only in this state: pending, running, failed, stopped, sleeping, or absent.
        #[arg(long)]
        state: Option<String>,

        /// Also what was stopped and is gone.
        #[arg(long)]
        all: bool,
    },
    /// Show what an instance printed. Needs the token.
    Logs {
        /// The component instance.
        uuid: String,

        /// Go on with what it prints from now on, until Ctrl-C.
        #[arg(long, short)]
        follow: bool,

        /// Only so many lines from the end.
        #[arg(long, value_name = "LINES")]
        tail: Option<usize>,
    },
    /// Forget a board that is gone. Needs the token. A board that still reports comes back as a new one.
    Forget {
        /// An id or its beginning, a host name, an address, or box/slot/cpu such as 1/3/1.
        id: String,
    },
}

/// Which plugins, or what is to be done about them.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct PluginsArgs {
    /// This plugin, on every board that has it: its versions and states, costs, grants, signers. The boards are asked now.
    pub(crate) name: Option<String>,

    /// The plugins of this board: an id or its beginning, a host name, an address, or box/slot/cpu such as 1/3/1.
    #[arg(long, value_name = "ID")]
    pub(crate) board: Option<String>,

    #[command(subcommand)]
    pub(crate) change: Option<PluginsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// Bring a signed plugin to boards: to one first, the canary, and once it runs there to the others. Needs the token.
    ///
    /// Where it fails it is taken back, and what ran before goes on. It stops when the canary does not take it, or more boards
    /// than may fail; the exit status is then 1. It goes on if this command is ended. Agents take only what a key that they
    /// trust signed, and only with `push = true` in `[plugins]` of their configuration.
    Push(PushArgs),
    /// List the last pushes, and how far they are.
    Pushes,
    /// Stop a push: no further board is begun. Needs the token.
    Stop {
        /// The push.
        id: Uuid,
    },
}

/// What to push.
#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    /// The plugin, packed and signed.
    #[arg(value_name = "FILE")]
    pub(crate) plugin: PathBuf,

    /// Every board that has all of these: box, slot, cpu, state, type, resource, arch, host; such as box=1,type=GPU. Boards
    /// that are not up, new, or at odds with others are left out, and told.
    #[arg(long, value_name = "KEY=VALUE,…", required_unless_present = "boards", conflicts_with = "boards")]
    pub(crate) group: Option<String>,

    /// A board: an id or its beginning, a host name, an address, or box/slot/cpu such as 1/3/1. Several times for several.
    #[arg(long = "board", value_name = "ID")]
    pub(crate) boards: Vec<String>,

    /// The board that gets it first. By default the first that runs a plugin called like the file, else the first.
    #[arg(long, value_name = "ID")]
    pub(crate) canary: Option<String>,

    /// What the file is called on the boards. By default as here.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Boards that may fail before it stops.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) max_failures: usize,

    /// Longest time until it must run on a board. An agent gives up a plugin that traps after half a minute.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,

    /// Boards at once, at most 64; fewer while it runs on few.
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    pub(crate) at_once: usize,
}

/// What to start.
#[derive(Debug, clap::Args)]
pub(crate) struct DeployArgs {
    /// A board: an id or its beginning, a host name, an address, or box/slot/cpu such as 1/3/1. Several times for several.
    #[arg(long = "board", value_name = "ID", required_unless_present = "select", conflicts_with = "select")]
    pub(crate) boards: Vec<String>,

    /// Every board that has all of these: box, slot, cpu, state, type, resource, arch, host; such as box=1,type=GPU. Boards
    /// that are not up, new, or at odds with others are left out, and told.
    #[arg(long, value_name = "KEY=VALUE,…")]
    pub(crate) select: Option<String>,

    /// Which backend runs it, such as docker or bar.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: String,

    /// Where the software is.
    #[arg(long)]
    pub(crate) url: String,

    /// What it is called there.
    #[arg(long)]
    pub(crate) file: String,

    /// Cores that it needs.
    #[arg(long, value_name = "CORES", default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) cpu: i64,

    /// Memory that it needs, such as 512MiB.
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = units::parse_bytes)]
    pub(crate) memory: u64,

    /// Accelerators that it needs.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) gpu: i64,

    /// The component instance, on one board alone; a new one by default. The same order with it starts nothing twice.
    #[arg(long)]
    pub(crate) uuid: Option<String>,

    /// The business instance that it belongs to.
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<String>,

    /// Its number within the business instance.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) index: Option<i32>,

    /// What it is to be called.
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// What only its backend understands, as JSON, such as --option 'restart="always"'.
    #[arg(long = "option", value_name = "KEY=JSON", value_parser = option)]
    pub(crate) options: Vec<(String, Value)>,

    /// A variable of its environment.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,

    /// An argument of its program. Several times for several.
    #[arg(long = "arg", value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
}

/// What to stop.
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    /// The component instances.
    #[arg(required = true, value_name = "UUID")]
    pub(crate) uuids: Vec<String>,

    /// Their board, where several boards have one of them.
    #[arg(long, value_name = "ID")]
    pub(crate) board: Option<String>,

    /// Their backend, where an agent that speaks v1.1 alone started them for somebody else.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,

    /// Do not ask the board, forget what was ordered. For boards that are gone for good.
    #[arg(long, conflicts_with_all = ["board", "kind"])]
    pub(crate) forget: bool,
}

fn option(text: &str) -> Result<(String, Value), String> {
    let (key, value) =
        text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write it as KEY=JSON")?;
    let value = serde_json::from_str(value).map_err(|error| {
        format!("the value is not JSON ({error}); a text needs its quotes: '{key}=\"…\"'")
    })?;
    Ok((key.to_owned(), value))
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Which boards.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct BoardFilter {
    /// Only boards in this state.
    #[arg(long)]
    pub(crate) state: Option<WantedState>,

    /// Only boards of this chassis.
    #[arg(long = "box", value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) box_id: Option<i32>,
}

/// How a board stands.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum WantedState {
    /// It answers.
    Up,
    /// It did not answer lately.
    Late,
    /// It does not answer.
    Lost,
}

impl WantedState {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Late => "late",
            Self::Lost => "lost",
        }
    }
}

impl Args {
    /// The token.
    pub(crate) fn token(&self) -> Result<String, Failure> {
        let text = std::fs::read_to_string(&self.token_file);
        let text = text.map_err(|source| Failure::Token { path: self.token_file.clone(), source })?;
        Ok(text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_push_is_no_name_of_a_plugin() {
        let plugins = |line: &[&str]| match Args::try_parse_from(line).unwrap().command {
            Command::Plugins(plugins) => plugins,
            _ => panic!("{line:?}"),
        };
        assert_eq!(
            plugins(&["cardcage", "plugins", "acme", "--board", "1/3/1"]).name.as_deref(),
            Some("acme")
        );
        let push = plugins(&["cardcage", "plugins", "push", "a.wasm", "--group", "box=1", "--json"]);
        assert!(push.name.is_none() && matches!(push.change, Some(PluginsCommand::Push(_))), "{push:?}");
        for wrong in [
            &["push", "a.wasm"][..],
            &["push", "a.wasm", "--group", "box=1", "--board", "b"],
            &["acme", "push"],
        ] {
            assert!(Args::try_parse_from([&["cardcage", "plugins"], wrong].concat()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn options_are_json_and_say_so() {
        assert_eq!(option("restart=\"always\""), Ok(("restart".into(), "always".into())));
        assert_eq!(option("n=[1]").unwrap().1, serde_json::json!([1]));
        assert!(option("restart=always").unwrap_err().contains("quotes"));
        assert!(option("restart").is_err() && option("=1").is_err() && variable("=1").is_err());
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
    }

    #[test]
    fn watch_takes_a_cadence_or_its_own() {
        let every = |line: &[&str]| match Args::try_parse_from(line).unwrap().command {
            Command::Boards { watch, .. } => watch,
            _ => None,
        };
        assert_eq!(every(&["cardcage", "boards"]), None);
        assert_eq!(every(&["cardcage", "boards", "--watch"]), Some(Duration::from_secs(2)));
        assert_eq!(every(&["cardcage", "boards", "--watch", "500ms"]), Some(Duration::from_millis(500)));
    }
}
