//! Every failure, and the engine's answers put into its words.
//!
//! The difference that matters is between an engine that refused and one that did not answer: after the second nothing is
//! known, and nobody may conclude that a container is gone.

use std::error::Error as _;

use bollard::errors::Error as Answer;

/// The most of an engine's sentence that is passed on, in bytes.
const SENTENCE: usize = 600;

/// Why the engine did not do what it was asked for. Every variant names the thing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing is known.
    #[error(
        "the container engine at {engine} does not answer: {reason}; start it, or name its socket in the configuration"
    )]
    Unreachable {
        /// Its address.
        engine: String,
        /// What was noticed.
        reason: String,
    },
    /// There is no such image, container, network.
    #[error("{what}: not there: {reason}")]
    Absent {
        /// What was tried, on what.
        what: String,
        /// The engine's sentence.
        reason: String,
    },
    /// A registry wants other credentials, or none of these.
    #[error("{what}: denied: {reason}; give the agent credentials for that registry")]
    Denied {
        /// What was tried, on what.
        what: String,
        /// The engine's sentence.
        reason: String,
    },
    /// The container was not made by this agent.
    #[error("container {id} was not made by this agent, and is left alone")]
    Foreign {
        /// The engine's id.
        id: String,
    },
    /// The name is taken.
    #[error("{what}: in conflict: {reason}")]
    Conflict {
        /// What was tried, on what.
        what: String,
        /// The engine's sentence.
        reason: String,
    },
    /// The arguments are malformed, or the engine refuses them.
    #[error("{what}: invalid: {reason}")]
    Invalid {
        /// What was tried, on what.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine's disk is full.
    #[error("{what}: no space left for the engine: {reason}; remove images that are not needed")]
    NoSpace {
        /// What was tried, on what.
        what: String,
        /// The engine's sentence.
        reason: String,
    },
    /// It was tried and did not work.
    #[error("{what}: {reason}")]
    Failed {
        /// What was tried, on what.
        what: String,
        /// The engine's sentence.
        reason: String,
    },
}

impl Error {
    /// The word of the `containers` interface for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Absent { .. } => "absent",
            Self::Denied { .. } | Self::Foreign { .. } => "denied",
            Self::Conflict { .. } => "conflict",
            Self::Invalid { .. } => "invalid",
            Self::NoSpace { .. } => "no-space",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether nothing is known now: the question has to be asked again.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether the thing is not there.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }

    pub(crate) fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn failed(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), reason: reason.into() }
    }

    /// What an answer of the engine means. `what` says what was tried, on what.
    pub(crate) fn of(engine: &str, what: &str, answer: &Answer) -> Self {
        match answer {
            Answer::DockerResponseServerError { status_code, message } => {
                said(engine, what, Some(*status_code), &clean(message))
            }
            Answer::DockerStreamError { error } => said(engine, what, None, &clean(error)),
            Answer::RequestTimeoutError
            | Answer::IOError { .. }
            | Answer::HyperResponseError { .. }
            | Answer::HyperLegacyError { .. }
            | Answer::SocketNotFoundError(_) => {
                Self::Unreachable { engine: engine.to_owned(), reason: clean(&chain(answer)) }
            }
            other => Self::failed(what, format!("the answer is not understood: {}", clean(&chain(other)))),
        }
    }
}

fn said(engine: &str, what: &str, status: Option<u16>, sentence: &str) -> Error {
    let (what, reason) = (what.to_owned(), sentence.to_owned());
    let lower = sentence.to_lowercase();
    if is_away(status, &lower) {
        return Error::Unreachable { engine: engine.to_owned(), reason };
    }
    if lower.contains("no space left on device") || lower.contains("disk quota exceeded") {
        return Error::NoSpace { what, reason };
    }
    match status {
        Some(404) => Error::Absent { what, reason },
        Some(409) => Error::Conflict { what, reason },
        Some(400) => Error::Invalid { what, reason },
        Some(401 | 403) => Error::Denied { what, reason },
        _ => Error::Failed { what, reason },
    }
}

/// An engine that is ending, or that a proxy stands for: ask again later.
fn is_away(status: Option<u16>, lower: &str) -> bool {
    matches!(status, Some(502..=504))
        || (status.is_some_and(|status| status >= 500) && lower.contains("shutting down"))
}

/// Without what a terminal would obey, and not longer than a sentence.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(SENTENCE));
    for word in
        text.split(|char: char| char.is_control() || char.is_whitespace()).filter(|word| !word.is_empty())
    {
        if !clean.is_empty() {
            clean.push(' ');
        }
        for char in word.chars() {
            if clean.len() + char.len_utf8() > SENTENCE {
                clean.push('…');
                return clean;
            }
            clean.push(char);
        }
    }
    clean
}

fn chain(error: &Answer) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status_code: u16, message: &str) -> &'static str {
        let answer = Answer::DockerResponseServerError { status_code, message: message.to_owned() };
        Error::of("unix:///engine", "create a container", &answer).code()
    }

    #[test]
    fn answers_have_a_word() {
        assert_eq!(code(404, "No such image: a:1"), "absent");
        assert_eq!(code(409, "Conflict. The container name is in use"), "conflict");
        assert_eq!(code(400, "No command specified"), "invalid");
        assert_eq!(code(500, "write /var/lib: no space left on device"), "no-space");
        assert_eq!(code(500, "OCI runtime create failed"), "failed");
    }

    #[test]
    fn an_engine_that_ends_is_asked_again() {
        assert_eq!(code(503, ""), "unreachable");
        assert_eq!(code(500, "daemon is shutting down"), "unreachable");
    }

    #[test]
    fn a_connection_that_breaks_leaves_nothing_known() {
        let broken = Answer::IOError { err: std::io::Error::from(std::io::ErrorKind::ConnectionReset) };
        assert!(Error::of("unix:///engine", "list", &broken).is_unreachable());
    }

    #[test]
    fn sentences_are_harmless_and_short() {
        assert_eq!(clean("a\u{1b}[31mb\r\n\n  c\0"), "a [31mb c");
        assert!(clean(&"é".repeat(5_000)).len() <= SENTENCE + '…'.len_utf8());
    }
}
