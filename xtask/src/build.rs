//! `cargo xtask build`.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::{cargo, run, target_dir};
use crate::setup;

/// How much the compiler optimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Debug,
    Release,
}

impl Profile {
    pub const fn of(release: bool) -> Self {
        if release { Self::Release } else { Self::Debug }
    }

    const fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Debug => &[],
            Self::Release => &["--release"],
        }
    }

    /// Where the executables are, all side by side: the agent looks for its compiler beside itself.
    pub fn folder(self) -> PathBuf {
        target_dir().join(match self {
            Self::Debug => "debug",
            Self::Release => "release",
        })
    }
}

/// Builds the executables, and says where they are.
pub fn build(profile: Profile) -> Result<PathBuf> {
    setup::for_building()?;
    println!("Building the agent and the manager. The first time takes some minutes.");
    run(cargo(["build", "--bins", "--package", "cardcage-agent", "--package", "cardcage-manager"])
        .args(profile.flags()))?;
    compiler(profile)?;
    println!("The executables are in {}.", profile.folder().display());
    Ok(profile.folder())
}

/// Builds the child that compiles plugins.
///
/// In a build of its own: the features of one build are united, and with its compiler in the same build every other
/// executable would have a compiler in it too.
pub fn compiler(profile: Profile) -> Result<()> {
    println!("Building the compiler of plugins.");
    run(cargo(["build", "--package", "cardcage-compile", "--features", "compiler"]).args(profile.flags()))
}
