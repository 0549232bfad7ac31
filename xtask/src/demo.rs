//! `cargo xtask demo`: a manager and three boards on the loopback interface, with the real readings of this machine.
//!
//! ```text
//! build -> start -> wait until every board has reported -> the table, once or again and again -> stop
//! ```

mod fleet;
mod process;

use std::io::{IsTerminal as _, Write as _, stdout};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::build::{Profile, build};
use fleet::Fleet;

/// Every board has reported by then, or something is wrong.
const REPORTED: Duration = Duration::from_secs(60);
/// Between two looks at the fleet, while nothing is shown yet.
const LOOK: Duration = Duration::from_millis(200);
/// Between two tables.
const REFRESH: Duration = Duration::from_secs(2);
/// The first column of the first line, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Builds, and shows the fleet until Ctrl-C; with `once`, one table of it.
pub fn demo(once: bool) -> Result<()> {
    // Optimised executables would take several times as long to build, and three boards are no load.
    run(&build(Profile::Debug)?, once)
}

/// The same with executables that were built.
pub fn run(executables: &Path, once: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let interrupted = interrupted()?;
        println!("Starting a manager and three agents.");
        let mut fleet = Fleet::start(executables)?;
        let shown = tokio::select! {
            biased;
            () = interrupted => Ok(()),
            shown = show(&mut fleet, once) => shown,
        };
        if shown.is_err() {
            fleet.print_logs();
        }
        let stopped = fleet.stop().await;
        shown.and(stopped)
    })
}

/// Ready at Ctrl-C, SIGTERM, or when the terminal is closed. These are caught from the moment of this call on.
fn interrupted() -> Result<impl Future<Output = ()>> {
    let catch = |kind| signal(kind).context("signals cannot be received");
    let mut interrupt = catch(SignalKind::interrupt())?;
    let mut terminate = catch(SignalKind::terminate())?;
    let mut hangup = catch(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

async fn show(fleet: &mut Fleet, once: bool) -> Result<()> {
    wait_for_reports(fleet).await?;
    if once {
        return fleet.print_boards().await;
    }
    loop {
        fleet.check()?;
        let clear = if stdout().is_terminal() { CLEAR } else { "" };
        // Not `println!`: it panics when the terminal has been closed, and the fleet would not be stopped in order.
        writeln!(stdout(), "{clear}{}", fleet.describe())?;
        fleet.print_boards().await?;
        sleep(REFRESH).await;
    }
}

async fn wait_for_reports(fleet: &mut Fleet) -> Result<()> {
    println!("Waiting for the first reports.");
    let late = Instant::now() + REPORTED;
    loop {
        fleet.check()?;
        let boards = fleet.boards().await.unwrap_or_default();
        let reported = boards.iter().filter(|board| has_readings(board)).count();
        if reported == fleet.size() {
            return Ok(());
        }
        if Instant::now() > late {
            bail!("after {REPORTED:?}, {reported} of {} boards have reported", fleet.size());
        }
        sleep(LOOK).await;
    }
}

/// Whether a board, as `cardcage boards --json` has it, is up and was measured.
fn has_readings(board: &Value) -> bool {
    let summary = |field: &str| board.pointer(&format!("/summary/{field}")).is_some_and(Value::is_number);
    let up = board.get("state").and_then(Value::as_str) == Some("up");
    up && summary("cpu_usage_percent") && summary("memory_used")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_board_without_readings_has_not_reported() {
        assert!(!has_readings(&json!({ "state": "up", "summary": { "gpus": 0 } })));
        assert!(!has_readings(
            &json!({ "state": "late", "summary": { "cpu_usage_percent": 1.5, "memory_used": 1 } })
        ));
        assert!(has_readings(
            &json!({ "state": "up", "summary": { "cpu_usage_percent": 0.0, "memory_used": 1 } })
        ));
    }
}
