//! `cargo xtask bench`: the executable of `tests/bench`, on a release build.

use std::process::Command;

use anyhow::Result;

use crate::build::{Profile, build};
use crate::command::{cargo, root, run};
use crate::engine::with_engine;
use crate::setup;

/// Measures. What the figures are compared with is in `tests/bench`.
pub fn bench(arguments: &[String]) -> Result<()> {
    setup::for_measuring()?;
    let executables = build(Profile::Release)?;
    run(&mut cargo(["build", "--release", "--package", "cardcage-bench"]))?;
    with_engine(|| run(Command::new(executables.join("cardcage-bench")).args(arguments).current_dir(root())))
}
