//! `cargo xtask build`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

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
    const MANAGER: [&str; 4] = ["build", "--bins", "--package", "cardcage-manager"];
    match profile {
        Profile::Debug => run(cargo(MANAGER).args(["--package", "cardcage-agent"]))?,
        // Each in a build of its own: the features of one build are united, and the agent would carry what the manager
        // needs.
        Profile::Release => {
            release_agent()?;
            run(cargo(MANAGER).arg("--release"))?;
        }
    }
    compiler(profile)?;
    println!("The executables are in {}.", profile.folder().display());
    Ok(profile.folder())
}

/// Builds the agent for size, and static where this machine can link that: then it runs on boards whose system is older
/// than this machine's.
fn release_agent() -> Result<()> {
    let mut build = cargo(["build", "--package", "cardcage-agent", "--profile", "agent"]);
    let built = match setup::static_target()? {
        Some(target) => {
            build.args(["--target", &target]);
            target_dir().join(target).join("agent")
        }
        None => target_dir().join("agent"),
    };
    run(&mut build)?;
    let folder = Profile::Release.folder();
    let released = folder.join("cardcage-agent");
    std::fs::create_dir_all(&folder)?;
    // Over a name of its own, so that an agent that runs keeps its file.
    let new = released.with_extension("new");
    std::fs::copy(built.join("cardcage-agent"), &new)
        .and_then(|_| std::fs::rename(&new, &released))
        .with_context(|| format!("{} cannot be written", released.display()))
}

/// Builds the child that compiles plugins.
///
/// In a build of its own: the features of one build are united, and with its compiler in the same build every other
/// executable would have a compiler in it too.
pub fn compiler(profile: Profile) -> Result<()> {
    println!("Building the compiler of plugins.");
    run(cargo(["build", "--package", "cardcage-compile", "--features", "compiler"]).args(profile.flags()))
}
