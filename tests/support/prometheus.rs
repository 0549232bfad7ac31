//! Whether metrics are as Prometheus wants them, by its own tool.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::namespace::skip;

/// Checks a page of metrics with `promtool check metrics`, where that is installed.
#[track_caller]
pub fn check_metrics(test: &str, metrics: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        skip(test, "promtool (Debian: prometheus)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let done = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.trim().is_empty(), "{said}\n{metrics}");
}
