//! The figures of one run: printed side by side, with the ratio that each is held to, and written as JSON.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

pub const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// One figure.
#[derive(Debug, Serialize)]
pub struct Figure {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    /// What it is held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
}

/// A peer's figure of the same run, and how the two should stand.
#[derive(Debug, Serialize)]
pub struct Peer {
    pub name: &'static str,
    pub value: f64,
    /// Ours divided by the peer's.
    pub ratio: f64,
    pub goal: Goal,
}

/// What the ratio should be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// For comparison only.
    None,
}

impl Goal {
    fn verdict(self, ratio: f64) -> String {
        match self {
            Self::AtMost(most) => format!("at most {most}: {}", if ratio <= most { "yes" } else { "NO" }),
            Self::AtLeast(least) => {
                format!("at least {least}: {}", if ratio >= least { "yes" } else { "NO" })
            }
            Self::None => String::new(),
        }
    }
}

/// All of them, and what could not be measured.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    figures: Vec<Figure>,
    skipped: BTreeMap<&'static str, String>,
}

impl Figures {
    pub fn alone(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.add(Figure { name, value, unit, peer: None });
    }

    pub fn against(
        &mut self,
        name: &'static str,
        value: f64,
        unit: &'static str,
        (peer, theirs): (&'static str, f64),
        goal: Goal,
    ) {
        let ratio = value / theirs;
        self.add(Figure { name, value, unit, peer: Some(Peer { name: peer, value: theirs, ratio, goal }) });
    }

    pub fn skip(&mut self, name: &'static str, why: impl std::fmt::Display) {
        say(format_args!("skipped: {name}: {why}"));
        self.skipped.insert(name, why.to_string());
    }

    fn add(&mut self, figure: Figure) {
        say(line(&figure));
        self.figures.push(figure);
    }

    pub fn print(&self) {
        say("");
        self.figures.iter().for_each(|figure| say(line(figure)));
        self.skipped.iter().for_each(|(name, why)| say(format_args!("skipped: {name}: {why}")));
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?).with_context(|| path.display().to_string())
    }
}

fn line(figure: &Figure) -> String {
    let Figure { name, value, unit, peer } = figure;
    let ours = format!("{name:<58} {value:>10.2} {unit:<10}");
    match peer {
        Some(Peer { name, value, ratio, goal }) => {
            format!("{ours} {name:<24} {value:>10.2}  ratio {ratio:>6.2}  {}", goal.verdict(*ratio))
        }
        None => ours,
    }
}

/// The benchmark's words go to the terminal; it has nothing else to say.
pub fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
