//! `cargo xtask test`: every check and test, each with a heading and its time. CI runs exactly this.
//!
//! The steps share what they build: one profile, one target directory, and one set of features, so that nothing is built
//! twice. The executables that tests start have more in them than those that are released. Lints come first, because they
//! fail soonest.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::build::Profile;
use crate::command::{cargo, root, run};
use crate::{demo, documents, engine, setup, units};

/// A heading, and what is done under it.
type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 10] = [
    ("what is needed", setup::for_testing),
    ("format", format),
    ("lints", || clippy(&["--workspace", "--all-targets"])),
    ("lints of the plugins", lint_plugins),
    ("build", || cargo_step(&["build", "--workspace", "--all-targets"])),
    // To the end, so that one run tells everything that fails.
    ("tests", || engine::with_engine(|| cargo_step(&["test", "--workspace", "--no-fail-fast"]))),
    ("documentation of the crates", crate_documentation),
    ("units of systemd", units::verify),
    ("documents", documents::test),
    ("demo", || demo::run(&Profile::Debug.folder(), true)),
];

/// Runs the steps up to the first that fails: all, or those whose headings contain one of the words.
pub fn test(only: &[String]) -> Result<()> {
    let began = Instant::now();
    let mut times = Vec::with_capacity(STEPS.len());
    let wanted = |heading: &str| only.is_empty() || only.iter().any(|word| heading.contains(word));
    for (number, (heading, step)) in (1..).zip(STEPS) {
        if !wanted(heading) {
            continue;
        }
        println!("\n== {number} of {}: {heading}", STEPS.len());
        let began = Instant::now();
        step().with_context(|| format!("step {number}, {heading}"))?;
        times.push((heading, began.elapsed()));
    }
    println!("\n== passed");
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

/// The templates are no members of the workspace: vendors copy them.
fn format() -> Result<()> {
    cargo_step(&["fmt", "--all", "--check"])?;
    let templates = ["rust-probe", "rust-backend", "new/rust"]
        .map(|template| root().join("sdk/templates").join(template));
    let sources = templates.map(|template| template.join("src/lib.rs"));
    run(Command::new("rustfmt").args(["--check", "--edition", "2024"]).args(sources))
}

fn clippy(arguments: &[&str]) -> Result<()> {
    run(cargo(["clippy"]).args(arguments).args(["--", "--deny", "warnings"]))
}

/// As the components that they become: natively their exports are not compiled.
fn lint_plugins() -> Result<()> {
    // One at a time: the features of one build are united, and a plugin without std would get dependencies with it.
    for plugin in plugins()? {
        clippy(&["--lib", "--target", setup::GUEST, "--package", &plugin])?;
    }
    Ok(())
}

/// The members of the workspace that become a component.
fn plugins() -> Result<Vec<String>> {
    let metadata = cargo(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    let metadata: Value = serde_json::from_slice(&metadata.stdout).context("cargo metadata")?;
    let list =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let is_plugin = |package: &Value| {
        let mut kinds = list(package, "targets").into_iter().flat_map(|target| list(&target, "crate_types"));
        kinds.any(|kind| kind == "cdylib")
    };
    let name = |package: Value| package.get("name").and_then(Value::as_str).map(str::to_owned);
    Ok(list(&metadata, "packages").into_iter().filter(is_plugin).filter_map(name).collect())
}

/// Links that lead nowhere are errors.
fn crate_documentation() -> Result<()> {
    run(cargo(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "--deny warnings"))
}
