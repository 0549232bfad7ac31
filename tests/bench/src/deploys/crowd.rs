//! A hundred starts at once, where there is room for ten by memory.

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use futures_util::future::try_join_all;
use serde_json::json;

use super::board::Board;
use super::engine::Engine;
use super::rounds::milliseconds;
use super::supply::Supply;
use crate::figures::{Figures, Goal};

const STARTS: usize = 100;
const ROOM: usize = 10;
const MEBIBYTES: usize = 64;

/// For `[deploy]`.
pub fn room() -> String {
    format!("memory = \"{}MiB\"\n", ROOM * MEBIBYTES)
}

pub async fn measure(
    board: &Board,
    supply: &Supply,
    engine: &mut Engine,
    figures: &mut Figures,
) -> Result<()> {
    // Fetches and loads, and leaves room for all ten.
    let none = json!({"network": "none"});
    let first = board.order("first", supply, &none, MEBIBYTES).await?.done()?;
    board.stop("first", &first.id).await?.done()?;
    let uuids: Vec<_> = (0..STARTS).map(|number| format!("u{number}")).collect();
    let began = Instant::now();
    let replies = try_join_all(uuids.iter().map(|uuid| board.order(uuid, supply, &none, MEBIBYTES))).await?;
    let all = began.elapsed();
    let (started, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.result == 0);
    if let Some(wrong) = refused.iter().find(|reply| !reply.message.contains("of memory, free: 0 MiB")) {
        bail!("refused for another reason than memory: {wrong:?}");
    }
    let running = engine.running(&board.id).await?;
    ensure!(
        running == ROOM && started.len() == ROOM,
        "{} starts succeeded and {running} containers run, where there is room for {ROOM}",
        started.len()
    );
    #[expect(clippy::cast_precision_loss, reason = "a number of containers")]
    let (running, room) = (running as f64, ROOM as f64);
    figures.against(
        "100 starts at once: containers that run",
        running,
        "",
        ("room for", room),
        Goal::AtMost(1.0),
    );
    figures.alone("100 starts at once: until the last reply", milliseconds(all), "ms");
    Ok(())
}
