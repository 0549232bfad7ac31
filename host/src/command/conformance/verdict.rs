//! What a check says.

use serde::Serialize;

/// Details that are kept of one check.
const DETAILS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Passed,
    Failed,
    /// It does not apply.
    Skipped,
}

impl Verdict {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One check.
#[derive(Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    /// In one sentence, with figures.
    pub said: String,
    /// What breaks the rule.
    pub details: Vec<String>,
}

impl Check {
    /// Passed unless there is something that breaks the rule.
    pub fn of(name: &'static str, said: String, mut details: Vec<String>) -> Self {
        let verdict = if details.is_empty() { Verdict::Passed } else { Verdict::Failed };
        let more = details.len().saturating_sub(DETAILS);
        if more > 0 {
            details.truncate(DETAILS);
            details.push(format!("and {more} more"));
        }
        Self { name, verdict, said, details }
    }

    pub fn skipped(name: &'static str, why: &str) -> Self {
        Self { name, verdict: Verdict::Skipped, said: why.to_owned(), details: Vec::new() }
    }
}
