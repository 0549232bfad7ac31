//! NVIDIA's library without NVIDIA: two accelerators, and a file whose words say what goes wrong.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::agent::AgentPlan;

/// A `libnvidia-ml.so.1` in a folder of its own.
#[derive(Debug)]
pub struct Nvml {
    folder: PathBuf,
}

impl Nvml {
    /// Compiles it below this folder.
    #[track_caller]
    pub fn below(folder: &Path) -> Self {
        let nvml = Self { folder: folder.join("nvml") };
        std::fs::create_dir_all(&nvml.folder).unwrap();
        let source = nvml.folder.join("nvml.c");
        std::fs::write(&source, include_str!("nvml.c")).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1"]).arg(format!("-DCONTROL={:?}", nvml.control()));
        let compiled = compiler.arg("-o").arg(nvml.folder.join("libnvidia-ml.so.1")).arg(source).output();
        let compiled = compiled.unwrap();
        assert!(compiled.status.success(), "the library does not compile: {compiled:?}");
        nvml
    }

    /// The agent finds it where its operator says that libraries are.
    pub fn seen_by(&self, plan: AgentPlan) -> AgentPlan {
        plan.variable("LD_LIBRARY_PATH", self.folder.to_string_lossy())
    }

    /// What goes wrong from now on: `crash` (once), `hang`, `uninitialized`, `one-only`, `healthy`.
    #[track_caller]
    pub fn told(&self, words: &str) {
        let whole = self.folder.join("whole");
        std::fs::write(&whole, words).unwrap();
        std::fs::rename(whole, self.control()).unwrap();
    }

    /// Whether a word that is obeyed once was.
    pub fn has_obeyed(&self) -> bool {
        !self.control().exists()
    }

    fn control(&self) -> PathBuf {
        self.folder.join("control")
    }
}
