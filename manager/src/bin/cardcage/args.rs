//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::failure::Failure;

/// Where the manager keeps its token by default.
const TOKEN_FILE: &str = "/var/lib/cardcage-manager/token";

/// Shows a fleet of boards and changes it, through the API of its manager.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage, 3 no such board.
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
    /// List the plugins of the fleet, and on how many boards they are in which state.
    Plugins,
    /// Forget a board that is gone. Needs the token. A board that still reports comes back as a new one.
    Forget {
        /// An id or its beginning, a host name, an address, or box/slot/cpu such as 1/3/1.
        id: String,
    },
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
