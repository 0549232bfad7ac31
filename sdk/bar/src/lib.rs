//! `bar.toml`, at the root of a package: what to run and how. `sdk/guide/bar.md` is its specification.
//!
//! The backend reads it on the board, `cardcage-agent bar pack` before a package is made.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![warn(missing_docs)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer};

/// Its name in the package.
pub const FILE: &str = "bar.toml";
/// Longest `bar.toml`, in bytes.
pub const LIMIT: usize = 64 << 10;

/// What can ask a program to end.
const SIGNALS: [&str; 8] =
    ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGKILL"];

/// What a package says about itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What it is called.
    pub name: String,
    /// Its version, for people.
    pub version: String,
    /// The program, relative to the package or absolute, and its arguments.
    pub command: Vec<String>,
    /// Its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Who it runs as; the agent's user, if it does not say.
    #[serde(default)]
    pub user: Option<String>,
    /// What asks it to end.
    #[serde(default = "sigterm")]
    pub stop_signal: String,
    /// Seconds until it is killed.
    #[serde(default = "ten_seconds", deserialize_with = "seconds")]
    pub stop_grace: u32,
    /// What happens when it ends.
    #[serde(default)]
    pub restart: Restart,
    /// How it is checked.
    #[serde(default)]
    pub health: Option<Check>,
}

/// What happens when a program ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It stays ended.
    #[default]
    No,
    /// It is started again, unless it exited with 0.
    OnFailure,
    /// It is started again.
    Always,
}

/// A check of whether the program is well.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// A program and its arguments; exit status 0 means well.
    pub command: Vec<String>,
    /// Seconds between two checks.
    #[serde(default = "ten_seconds", deserialize_with = "seconds")]
    pub every: u32,
    /// Seconds that one may take.
    #[serde(default = "five_seconds", deserialize_with = "seconds")]
    pub timeout: u32,
    /// Failures in a row until the program counts as failed.
    #[serde(default = "three")]
    pub retries: u32,
}

impl Restart {
    /// The word of the interface.
    pub const fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
        }
    }
}

fn sigterm() -> String {
    "SIGTERM".to_string()
}

const fn ten_seconds() -> u32 {
    10
}

const fn five_seconds() -> u32 {
    5
}

const fn three() -> u32 {
    3
}

impl Manifest {
    /// Reads and checks the text. The error is one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LIMIT {
            return Err(format!("it has more than {LIMIT} bytes"));
        }
        let manifest: Self = toml::from_str(text).map_err(|error| error.message().to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        let plain = |text: &str| (1..=128).contains(&text.len()) && !text.chars().any(char::is_control);
        let require = |holds: bool, rule: &str| if holds { Ok(()) } else { Err(rule.to_string()) };
        require(plain(&self.name), "name must have 1 to 128 characters that can be shown")?;
        require(plain(&self.version), "version must have 1 to 128 characters that can be shown")?;
        command(&self.command, "command")?;
        require(
            self.env
                .iter()
                .all(|(key, value)| !key.is_empty() && !key.contains(['=', '\0']) && !value.contains('\0')),
            "env has a name that is empty or has = in it, or a zero byte",
        )?;
        require(
            self.env.keys().all(|key| !key.starts_with("CARDCAGE_")),
            "env has a name that begins with CARDCAGE_; those are the agent's own",
        )?;
        require(
            SIGNALS.contains(&self.stop_signal.as_str()),
            "stop_signal must be the name of a signal that can ask a program to end, such as \"SIGTERM\" or \"SIGINT\"",
        )?;
        require(self.stop_grace <= 120, "stop_grace must be at most 120s: a manager waits for it")?;
        if let Some(health) = &self.health {
            command(&health.command, "health.command")?;
            require(
                (1..=86_400).contains(&health.every) && (1..=3600).contains(&health.timeout),
                "health.every and health.timeout must be at least 1s, and at most a day and an hour",
            )?;
            require((1..=100).contains(&health.retries), "health.retries must be between 1 and 100")?;
        }
        Ok(())
    }
}

fn command(command: &[String], key: &str) -> Result<(), String> {
    let sound = command.first().is_some_and(|program| !program.is_empty())
        && command.len() <= 1024
        && command.iter().all(|part| !part.contains('\0'));
    match sound {
        true => Ok(()),
        false => Err(format!("{key} must be a list: the program, and at most 1,023 arguments")),
    }
}

/// `"10s"`, `"2m"`, `"1h"`.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parse = || {
        let (number, scale) = match text.as_bytes().last()? {
            b's' => (text.strip_suffix('s')?, 1),
            b'm' => (text.strip_suffix('m')?, 60),
            b'h' => (text.strip_suffix('h')?, 3600),
            _ => return None,
        };
        number.parse::<u32>().ok()?.checked_mul(scale)
    };
    parse()
        .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a time such as \"10s\" or \"2m\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "name = \"radar\"\nversion = \"1.2\"\ncommand = [\"bin/radar\", \"--scan\"]\n";

    fn refusal(more: &str) -> String {
        Manifest::parse(&format!("{LEAST}{more}")).unwrap_err()
    }

    #[test]
    fn three_keys_are_enough() {
        let manifest = Manifest::parse(LEAST).unwrap();
        assert_eq!(manifest.command, ["bin/radar", "--scan"]);
        assert_eq!((manifest.stop_signal.as_str(), manifest.stop_grace), ("SIGTERM", 10));
        assert_eq!((manifest.restart, manifest.user, manifest.health), (Restart::No, None, None));
    }

    #[test]
    fn everything_can_be_said() {
        let text = format!(
            "{LEAST}user = \"radar\"\nstop_signal = \"SIGINT\"\nstop_grace = \"2m\"\nrestart = \"on-failure\"\n\
             [env]\nMODE = \"scan\"\n[health]\ncommand = [\"bin/check\"]\nevery = \"5s\"\nretries = 2\n"
        );
        let manifest = Manifest::parse(&text).unwrap();
        assert_eq!((manifest.stop_grace, manifest.restart.word()), (120, "on-failure"));
        assert_eq!(manifest.env.get("MODE").map(String::as_str), Some("scan"));
        let health = manifest.health.unwrap();
        assert_eq!((health.every, health.timeout, health.retries), (5, 5, 2));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(Manifest::parse("name = \"x\"").unwrap_err().contains("missing field `version`"));
        assert!(refusal("shell = true").contains("unknown field `shell`"));
        assert!(refusal("stop_grace = \"soon\"").contains("\"10s\""));
        assert!(refusal("stop_grace = \"1h\"").contains("at most 120s"));
        assert!(refusal("stop_signal = \"TERM\"").contains("SIGTERM"));
        assert!(refusal("restart = \"maybe\"").contains("unknown variant"));
        assert!(refusal("[env]\n\"A=B\" = \"c\"").contains("env"));
        assert!(refusal("[health]\ncommand = []").contains("health.command"));
        let empty = LEAST.replace("[\"bin/radar\", \"--scan\"]", "[]");
        assert!(Manifest::parse(&empty).unwrap_err().starts_with("command must be a list"));
        assert!(Manifest::parse(&"#".repeat(LIMIT + 1)).is_err());
    }
}
