//! The languages of plugins: what a project in each is called by, looks like, and is built with.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;

/// A language that plugins are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Built by cargo.
    Rust,
    /// Built by componentize-py.
    Python,
    /// Built by clang with wasi-libc.
    C,
    /// Built by jco.
    #[value(alias = "javascript")]
    Js,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 4] = [Self::Rust, Self::Python, Self::C, Self::Js];

    /// The file that holds what the vendor writes.
    pub const fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Python => "app.py",
            Self::C => "probe.c",
            Self::Js => "app.js",
        }
    }

    /// What builds it.
    pub const fn tools(self) -> &'static str {
        match self {
            Self::Rust => "cargo with the target wasm32-wasip2",
            Self::Python => "componentize-py",
            Self::C => "clang, lld and wasi-libc",
            Self::Js => "Node.js with jco",
        }
    }

    /// How that is installed, in the project's folder.
    pub const fn install(self) -> &'static str {
        match self {
            Self::Rust => "rustup target add wasm32-wasip2",
            Self::Python => "python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1",
            Self::C => "apt install clang lld wasi-libc libclang-rt-dev-wasm32",
            Self::Js => "npm install",
        }
    }

    /// Which language a project is in, by what lies in its folder.
    pub fn of(project: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|language| match language {
            Self::Rust => project.join("Cargo.toml").is_file(),
            Self::Python => project.join("app.py").is_file(),
            Self::C => !c_sources(project).is_empty(),
            Self::Js => project.join("package.json").is_file(),
        })
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::C => "C",
            Self::Js => "JavaScript",
        })
    }
}

/// The C files of a project, sorted: those of its folder itself.
pub fn c_sources(project: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(project).into_iter().flatten().filter_map(Result::ok);
    let mut sources: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect();
    sources.sort();
    sources
}
