//! Processor time that the agent takes for the statistics of thirty containers in a report: what it takes while they run
//! and a report is asked for at each survey, less what it takes for the same reports while thirty like them run that are
//! not its own. The bridge gives each an interface, which the network probe reports whosever it is.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use cardcage_wire::board::ReportUrl;
use serde_json::{Value, json};

use super::board::{Board, MEBIBYTES};
use super::engine::Engine;
use super::rounds::{NOBODY, milliseconds, template};
use super::supply::Supply;
use crate::figures::{Figures, Goal};

const CONTAINERS: usize = 30;
const REPORTS: u32 = 20;
/// The agent looks what is there this often.
const SURVEY: Duration = Duration::from_secs(2);
/// Milliseconds.
const MOST: f64 = 5.0;

pub async fn measure(
    board: &Board,
    supply: &Supply,
    engine: &mut Engine,
    figures: &mut Figures,
) -> Result<()> {
    let template = template(board, supply, engine, ("statistics", &json!({}))).await?;
    for number in 0..CONTAINERS {
        engine.run(&format!("{NOBODY}-statistics-{number}"), &template).await?;
    }
    let without = cost_of_a_report(board).await;
    engine.clear(NOBODY).await?;
    let without = without?;
    for number in 0..CONTAINERS {
        board.order(&format!("u{number}"), supply, &json!({}), MEBIBYTES).await?.done()?;
    }
    let with = cost_of_a_report(board).await?;
    // The one that the others were made after is known as stopped.
    let mut all = board.deployments().await?;
    all.retain(|one| one.get("state") != Some(&"STOPPED".into()));
    ensure!(all.len() == CONTAINERS, "{} deployments are known instead of {CONTAINERS}", all.len());
    let unknown = all.iter().find(|one| !is_measured(one));
    ensure!(unknown.is_none(), "it does not run, or what it uses is not known: {unknown:?}");
    figures.against(
        "processor time of a report with 30 containers, for them",
        milliseconds(with.saturating_sub(without)),
        "ms",
        ("the goal", MOST),
        Goal::AtMost(1.0),
    );
    figures.alone(
        "processor time of 2 s with a report, 30 containers of another",
        milliseconds(without),
        "ms",
    );
    figures.alone("processor time of 2 s with a report, 30 containers of its own", milliseconds(with), "ms");
    Ok(())
}

/// Of all that the agent does between two surveys, a report among it.
async fn cost_of_a_report(board: &Board) -> Result<Duration> {
    board.manager.first_report()?;
    board.manager.forget();
    // What its start leaves to do is not the reports'.
    tokio::time::sleep(SURVEY).await;
    let before = board.process.processor_time()?;
    for _ in 0..REPORTS {
        let next = Instant::now() + SURVEY;
        board.manager.report(ReportUrl::Resource)?;
        tokio::time::sleep(next.saturating_duration_since(Instant::now())).await;
    }
    Ok((board.process.processor_time()? - before) / REPORTS)
}

/// It runs, and what it uses is known.
fn is_measured(deployment: &Value) -> bool {
    let is = |key: &str, value: Value| deployment.get(key) == Some(&value);
    let memory = deployment.get("memory_used").and_then(Value::as_u64);
    is("state", "RUNNING".into()) && is("unknown", false.into()) && memory.is_some_and(|used| used > 0)
}
