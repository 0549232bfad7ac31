//! `cardcage-manager`: reads the configuration, builds, runs, drains. What it does is in the library.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use cardcage_daemon::log;
use cardcage_daemon::signals::Signals;
use cardcage_manager::app::App;
use cardcage_manager::config::Config;
use clap::{Parser, Subcommand};

/// Status for a wrong command line or configuration; clap uses it too.
const USAGE: u8 = 2;

/// The manager of a fleet of boards.
///
/// It asks the boards by multicast, takes their reports, keeps the inventory and shows it: with `cardcage boards`, under
/// /fleet/v1 (described by /fleet/v1/openapi.json) and as Prometheus metrics at /metrics.
#[derive(Debug, Parser)]
#[command(name = "cardcage-manager", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the manager until SIGTERM or SIGINT.
    ///
    /// Every key of the configuration has a default, so an empty file is a configuration:
    ///
    ///   state_dir = "/var/lib/cardcage-manager"  # inventory and token
    ///   listen = "0.0.0.0:3926"                  # reports, API, metrics; port 0 takes a free one
    ///   advertise = "192.168.10.254"             # manager_ip of the queries; default: each interface's address
    ///   [discovery]
    ///   group = "239.192.168.80"
    ///   port = 3980
    ///   interfaces = ["eth0"]                    # names or addresses; default: every suitable one, never the loopback
    ///   heartbeat_every = "5s"
    ///   resource_every = "10s"
    ///   spread_ms = 1000                         # answers come spread over this time; default: 0 below 5s
    ///   ttl = 1
    ///   [store]
    ///   flush_every = "1s"                       # what a crash may cost
    ///   [agents]                                 # how agents are asked to deploy; default: plain HTTP, no token
    ///   token_file = "/etc/cardcage/agents.token"
    ///   tls = true
    ///   ca = "/etc/cardcage/ca.pem"              # who signed the agents' certificates; needed with tls
    ///   client_cert = "/etc/cardcage/manager.pem"  # where agents want to know who asks (their client_ca)
    ///   client_key = "/etc/cardcage/manager.key"
    ///   server_name = "agents.cage"              # in the certificates of all agents; default: the address of each
    ///
    /// RUST_LOG filters the log, for example RUST_LOG=cardcage_manager=debug. The first line of the standard output is the
    /// address that is listened on.
    #[command(verbatim_doc_comment)]
    Serve {
        /// The configuration.
        #[arg(long, value_name = "FILE", default_value = "/etc/cardcage/manager.toml")]
        config: PathBuf,
    },
    /// Print the OpenAPI document of the API.
    Openapi,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Serve { config: path } => match Config::load(&path) {
            Ok(config) => serve(config, &path),
            Err(error) => return fail(USAGE, &error.to_string()),
        },
        Command::Openapi => openapi(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &format!("{error:#}")),
    }
}

fn serve(config: Config, path: &Path) -> Result<()> {
    let _log = log::start(None)?;
    tracing::debug!(path = %path.display(), ?config, "configured");
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let outcome = runtime.block_on(async {
        let signals = Signals::catch().context("cannot catch signals")?;
        let app = App::build(config)?;
        // Nobody may be reading; the log has it too.
        let _ = writeln!(io::stdout(), "listening on http://{}", app.address());
        app.run_until(signals.first()).await
    });
    // What is left are connections whose grace is over.
    runtime.shutdown_background();
    outcome
}

fn openapi() -> Result<()> {
    let document = cardcage_manager::api::document().to_pretty_json().context("cannot write the document")?;
    writeln!(io::stdout(), "{document}").context("cannot write to the standard output")
}

fn fail(status: u8, message: &str) -> ExitCode {
    // There is nowhere left to say that this could not be said.
    let _ = writeln!(io::stderr(), "cardcage-manager: {message}");
    ExitCode::from(status)
}
