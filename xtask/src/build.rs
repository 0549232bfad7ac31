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
        Profile::Debug => {
            run(cargo(MANAGER).args(["--package", "cardcage-agent", "--package", "cardcage-processes"]))?
        }
        // Each in a build of its own: the features of one build are united, and the agent would carry what the manager
        // needs.
        Profile::Release => {
            release_agent()?;
            run(cargo(MANAGER).arg("--release"))?;
        }
    }
    companions(profile)?;
    println!("The executables are in {}.", profile.folder().display());
    Ok(profile.folder())
}

/// What runs on boards: the agent, and the supervisor of programs.
const ON_BOARDS: [(&str, &str); 2] =
    [("cardcage-agent", "cardcage-agent"), ("cardcage-processes", "cardcage-shim")];

/// Builds what runs on boards for size, and static where this machine can link that: then it runs on boards whose system is older
/// than this machine's.
fn release_agent() -> Result<()> {
    let target = setup::static_target()?;
    let folder = Profile::Release.folder();
    std::fs::create_dir_all(&folder)?;
    for (package, executable) in ON_BOARDS {
        let mut build = cargo(["build", "--package", package, "--profile", "agent"]);
        let mut built = target_dir();
        if let Some(target) = &target {
            build.args(["--target", target]);
            built.push(target);
        }
        run(&mut build)?;
        let released = folder.join(executable);
        // Over a name of its own, so that one that runs keeps its file.
        let new = released.with_extension("new");
        std::fs::copy(built.join("agent").join(executable), &new)
            .and_then(|_| std::fs::rename(&new, &released))
            .with_context(|| format!("{} cannot be written", released.display()))?;
    }
    Ok(())
}

/// Builds the executables that lie beside the agent: what compiles plugins, what calls vendors' libraries for them, and
/// what vendors make them with.
///
/// Each in a build of its own: the features of one build are united, and with its compiler in the same build every other
/// executable would have a compiler in it too.
fn companions(profile: Profile) -> Result<()> {
    const COMPANIONS: [(&str, &[&str], &str); 3] = [
        ("cardcage-compile", &["--features", "compiler"], "the compiler of plugins"),
        ("cardcage-native", &["--features", "helper"], "the caller of vendors' libraries"),
        ("cardcage-project", &[], "the maker of plugin projects"),
    ];
    for (package, features, what) in COMPANIONS {
        println!("Building {what}.");
        run(cargo(["build", "--bins", "--package", package]).args(features).args(profile.flags()))?;
    }
    Ok(())
}
