//! Start and stop, through the agent and directly, in turns: a busy moment of the machine meets both. The archive is in the
//! agent's cache and the image in the engine; the first start, which fetches and loads, is told apart.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::board::{Board, GRACE, MEBIBYTES};
use super::engine::{Engine, Template};
use super::supply::Supply;
use crate::figures::{Figures, Goal};

const ROUNDS: usize = 40;
/// Whom the directly made containers belong to. No agent has this id.
pub const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
const MOST: f64 = 1.15;

/// The figures of one network.
struct Names {
    start: [&'static str; 2],
    stop: [&'static str; 2],
    both: [&'static str; 2],
}

const WITHOUT_NETWORK: Names = Names {
    start: ["start of a container without network, p50", "start of a container without network, p95"],
    stop: ["stop of a container without network, p50", "stop of a container without network, p95"],
    both: ["start and stop without network, p50", "start and stop without network, p95"],
};
const ON_THE_BRIDGE: Names = Names {
    start: ["start of a container on the bridge, p50", "start of a container on the bridge, p95"],
    stop: ["stop of a container on the bridge, p50", "stop of a container on the bridge, p95"],
    both: ["start and stop on the bridge, p50", "start and stop on the bridge, p95"],
};

pub async fn measure(
    board: &Board,
    supply: &Supply,
    engine: &mut Engine,
    figures: &mut Figures,
) -> Result<()> {
    let none = json!({"network": "none"});
    let began = Instant::now();
    let first = board.order("first", supply, &none, MEBIBYTES).await?.done()?;
    figures.alone("first start of a container: fetch, load, start", milliseconds(began.elapsed()), "ms");
    board.stop("first", &first.id).await?.done()?;
    let measured = async {
        compare(board, supply, engine, ("none", &none), (&WITHOUT_NETWORK, figures)).await?;
        compare(board, supply, engine, ("bridge", &json!({})), (&ON_THE_BRIDGE, figures)).await
    }
    .await;
    engine.clear(NOBODY).await.and(measured)
}

/// Seconds of every round.
#[derive(Default)]
struct Times {
    start: Vec<Duration>,
    stop: Vec<Duration>,
}

async fn compare(
    board: &Board,
    supply: &Supply,
    engine: &mut Engine,
    (network, options): (&str, &Value),
    (names, figures): (&Names, &mut Figures),
) -> Result<()> {
    let template = template(board, supply, engine, (network, options)).await?;
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        let uuid = format!("{network}-{round}");
        if round % 2 == 0 {
            through_agent(board, supply, (&uuid, options), &mut ours).await?;
            directly(engine, (&uuid, &template), &mut theirs).await?;
        } else {
            directly(engine, (&uuid, &template), &mut theirs).await?;
            through_agent(board, supply, (&uuid, options), &mut ours).await?;
        }
    }
    for ([half, most], ours, theirs) in [
        (names.start, &ours.start, &theirs.start),
        (names.stop, &ours.stop, &theirs.stop),
        (names.both, &ours.both(), &theirs.both()),
    ] {
        let against = |quantile| (milliseconds(at(ours, quantile)), milliseconds(at(theirs, quantile)));
        let (mine, other) = against(50);
        figures.against(half, mine, "ms", ("the engine directly", other), Goal::AtMost(MOST));
        let (mine, other) = against(95);
        figures.against(most, mine, "ms", ("the engine directly", other), Goal::None);
    }
    Ok(())
}

/// What the agent makes is what is made directly too.
pub async fn template(
    board: &Board,
    supply: &Supply,
    engine: &mut Engine,
    (network, options): (&str, &Value),
) -> Result<Template> {
    let uuid = format!("{network}-template");
    let started = board.order(&uuid, supply, options, MEBIBYTES).await?.done()?;
    let container = engine.inspect(&format!("{}-{uuid}", board.id)).await?;
    board.stop(&uuid, &started.id).await?.done()?;
    Template::of(&container, NOBODY)
}

async fn through_agent(
    board: &Board,
    supply: &Supply,
    (uuid, options): (&str, &Value),
    times: &mut Times,
) -> Result<()> {
    let began = Instant::now();
    let started = board.order(uuid, supply, options, MEBIBYTES).await?.done()?;
    times.start.push(began.elapsed());
    let began = Instant::now();
    board.stop(uuid, &started.id).await?.done()?;
    times.stop.push(began.elapsed());
    Ok(())
}

async fn directly(engine: &mut Engine, (uuid, template): (&str, &Template), times: &mut Times) -> Result<()> {
    let began = Instant::now();
    let id = engine.run(&format!("{NOBODY}-{uuid}"), template).await?;
    times.start.push(began.elapsed());
    let began = Instant::now();
    engine.end(&id, GRACE).await?;
    times.stop.push(began.elapsed());
    Ok(())
}

impl Times {
    fn both(&self) -> Vec<Duration> {
        self.start.iter().zip(&self.stop).map(|(start, stop)| *start + *stop).collect()
    }
}

fn at(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
