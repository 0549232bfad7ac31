//! A program that a build needs, and what its user reads where it is not there or fails.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

/// Why a tool did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It, or what it needs, is not installed.
    #[error("{what} is not there, which {purpose}: {remedy}")]
    Missing {
        /// The tool, or the part of it.
        what: String,
        /// What the build needs it for.
        purpose: &'static str,
        /// How it is installed.
        remedy: String,
    },
    /// It cannot be started.
    #[error("cannot start {program}")]
    Start {
        /// Which program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It ran, and said what is wrong.
    #[error("{program} failed ({status}): what is wrong stands above")]
    Failed {
        /// Which program.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
}

/// A program, and for what and whence one has it.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name, which is looked up in PATH, or its path.
    pub program: PathBuf,
    /// What the build needs it for, after "which".
    pub purpose: &'static str,
    /// How it is installed, a command or a sentence.
    pub remedy: String,
}

impl Tool {
    /// Ready to run in a project's folder. What it prints goes to where this program's own messages go.
    pub fn command(&self, project: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(project).stdin(Stdio::null()).stdout(io::stderr());
        // What is wrong is in the vendor's source, not in the tool.
        command.env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs it to its end.
    pub fn run(&self, command: &mut Command) -> Result<(), ToolError> {
        let status = command.status().map_err(|error| self.not_started(error))?;
        self.ended(status)
    }

    /// Runs it to its end, and keeps what it says on its standard output.
    pub fn output(&self, command: &mut Command) -> Result<Output, ToolError> {
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let output = command.output().map_err(|error| self.not_started(error))?;
        self.ended(output.status)?;
        Ok(output)
    }

    /// That a part of it is missing.
    pub fn lacks(&self, what: impl Into<String>, purpose: &'static str) -> ToolError {
        ToolError::Missing { what: what.into(), purpose, remedy: self.remedy.clone() }
    }

    fn ended(&self, status: ExitStatus) -> Result<(), ToolError> {
        match status.success() {
            true => Ok(()),
            false => Err(ToolError::Failed { program: self.name(), status }),
        }
    }

    fn not_started(&self, source: io::Error) -> ToolError {
        match source.kind() {
            io::ErrorKind::NotFound => self.lacks(self.name(), self.purpose),
            _ => ToolError::Start { program: self.name(), source },
        }
    }

    fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}
