//! `cargo xtask build | demo | test | arm64 | bench`: everything that a person or a CI machine does with this tree.
//!
//! Each of them first sees to what it needs ([`setup`]), says what it does as it goes, and ends with an error that names
//! the remedy.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its user sits at the terminal")]

mod arm64;
mod bench;
mod build;
mod command;
mod demo;
mod documents;
mod engine;
mod setup;
mod test;
mod units;

use std::process::ExitCode;

use clap::Parser;

/// Builds, shows, tests and measures Cardcage. Installs what it needs, where it may.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Build every executable, side by side in target/debug or target/release.
    Build {
        /// Optimised, as it is packaged.
        #[arg(long)]
        release: bool,
    },
    /// Show a fleet of three boards on this machine, with its real readings, until Ctrl-C.
    Demo {
        /// Print the table when every board has reported, and end.
        #[arg(long)]
        once: bool,
    },
    /// Run every check and test.
    Test {
        /// Only the steps whose headings contain one of these words.
        only: Vec<String>,
    },
    /// Build the agent for ARM64 and have it play recorded boards, under an emulator where this machine is none. Ten minutes
    /// the first time, which is why it is no step of `test`.
    Arm64,
    /// Measure, against what others do, and print the ratios.
    Bench {
        /// Passed on to the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Build { release } => build::build(build::Profile::of(release)).map(drop),
        Task::Demo { once } => demo::demo(once),
        Task::Test { only } => test::test(&only),
        Task::Arm64 => arm64::test(),
        Task::Bench { arguments } => bench::bench(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
