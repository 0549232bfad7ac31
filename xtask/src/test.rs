//! `cargo xtask test`: every check and test, each with a heading and its time. CI runs exactly this.
//!
//! The steps share what they build: one profile, one set of features, one target directory. Lints come first, because
//! they fail soonest.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::build::{self, Profile};
use crate::command::{cargo, root, run};
use crate::setup;

/// A heading, and what is done under it.
type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 8] = [
    ("what is needed", setup::for_testing),
    ("format", || cargo_step(&["fmt", "--all", "--check"])),
    ("lints", || clippy(&["--workspace", "--all-targets"])),
    ("lints of the compiler", || clippy(&["--package", "cardcage-compile", "--features", "compiler"])),
    ("lints of the plugins", lint_plugins),
    ("build", build_all),
    ("tests", || cargo_step(&["test", "--workspace"])),
    ("documentation", documentation),
];

/// Runs the steps up to the first that fails.
pub fn test() -> Result<()> {
    let began = Instant::now();
    let mut times = Vec::with_capacity(STEPS.len());
    for (number, (heading, step)) in (1..).zip(STEPS) {
        println!("\n== {number} of {}: {heading}", STEPS.len());
        let began = Instant::now();
        step().with_context(|| format!("step {number}, {heading}"))?;
        times.push((heading, began.elapsed()));
    }
    println!("\n== all steps passed");
    for (heading, time) in times {
        println!("{} {heading}", seconds(time));
    }
    println!("{} in all", seconds(began.elapsed()));
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:8.1} s", time.as_secs_f64())
}

fn cargo_step(arguments: &[&str]) -> Result<()> {
    run(&mut cargo_for_tests(arguments))
}

/// Tests that lack a program are skipped elsewhere; with this variable they fail.
fn cargo_for_tests(arguments: &[&str]) -> Command {
    let mut cargo = cargo(arguments);
    if setup::in_ci() {
        cargo.env("CARDCAGE_CI", "1");
    }
    cargo
}

fn clippy(arguments: &[&str]) -> Result<()> {
    run(cargo(["clippy"]).args(arguments).args(["--", "--deny", "warnings"]))
}

/// As the components that they become: natively their exports are not compiled.
fn lint_plugins() -> Result<()> {
    let mut packages = vec!["--package".to_owned(), "cardcage-sdk".to_owned()];
    for folder in std::fs::read_dir(root().join("plugins"))? {
        packages.push("--package".to_owned());
        packages.push(folder?.file_name().to_string_lossy().into_owned());
    }
    let packages: Vec<_> = packages.iter().map(String::as_str).collect();
    clippy(&[&["--lib", "--target", setup::GUEST], packages.as_slice()].concat())
}

/// The tests with the executables that they start. All targets, because the features that tests ask for unite with the
/// others: to build the executables alone first would build half of the dependencies twice.
fn build_all() -> Result<()> {
    cargo_step(&["build", "--workspace", "--all-targets"])?;
    build::compiler(Profile::Debug)
}

/// Links that lead nowhere are errors.
fn documentation() -> Result<()> {
    run(cargo(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "--deny warnings"))
}
