//! `cardcage-project new | build`, which is what `cardcage-agent plugin new | build` run.
//!
//! Exit status: 0 it is made, 1 it could not be made, 2 other arguments are needed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its user sits at the terminal")]

use std::process::ExitCode;

use anyhow::Error;
use cardcage_project::build::Build;
use cardcage_project::new::New;
use clap::Parser;

/// Makes a plugin: its project, and of that the file to ship.
#[derive(Debug, Parser)]
#[command(name = "cardcage-project", version)]
enum Task {
    /// Make the project of a plugin, with all that it needs of Cardcage in it.
    New(New),
    /// Build a project and pack its plugin.toml: what comes out is the file to ship.
    Build(Build),
}

fn main() -> ExitCode {
    let (is_usage, error) = match Task::parse() {
        Task::New(new) => match new.create() {
            Ok(folder) => {
                print!("{}", new.next_steps(&folder));
                return ExitCode::SUCCESS;
            }
            Err(error) => (error.is_usage(), Error::new(error)),
        },
        Task::Build(build) => match build.run() {
            Ok(built) => {
                println!("{}: {} bytes, sha256 {}", built.file.display(), built.size, built.digest);
                return ExitCode::SUCCESS;
            }
            Err(error) => (error.is_usage(), Error::new(error)),
        },
    };
    eprintln!("cardcage-project: {error:#}");
    ExitCode::from(if is_usage { 2 } else { 1 })
}
