//! What a survey costs: `cargo test --release -p cardcage-containers --test engine bench -- --ignored --nocapture`

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, interval};

use crate::support::{BACKEND, Board};

const CONTAINERS: usize = 30;

#[tokio::test(flavor = "current_thread")]
#[ignore = "a measurement, of a minute"]
async fn bench_survey() {
    let Some(board) = Board::docker() else { return };
    for number in 0..CONTAINERS {
        let mut spec = board.spec(&["sleep", "1000"]);
        spec.network = None;
        let id = board.create_with(&format!("u{number}"), &spec).await;
        board.engine.start(&id).await.expect("started");
    }
    let first = survey(&board).await;
    let mut close = Vec::new();
    for _ in 0..20 {
        close.push(survey(&board).await);
    }
    let mut apart = Vec::new();
    let mut tick = interval(Duration::from_secs(1));
    for _ in 0..20 {
        tick.tick().await;
        apart.push(survey(&board).await);
    }
    eprintln!("{CONTAINERS} containers, processor time (time) of a survey in microseconds");
    eprintln!("first: {first:?}");
    eprintln!("back to back: {:?}", middle(close));
    eprintln!("once a second: {:?}", middle(apart));
}

/// Processor time of this process and time, both in microseconds.
async fn survey(board: &Board) -> (u128, u128) {
    let (began, used) = (Instant::now(), processor_time());
    let infos = board.engine.survey(BACKEND).await.expect("surveyed");
    let cost = ((processor_time() - used).as_micros(), began.elapsed().as_micros());
    assert_eq!(infos.len(), CONTAINERS);
    assert!(infos.iter().all(|info| info.usage.memory_used.is_some()));
    cost
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("a time")
}

fn middle(mut costs: Vec<(u128, u128)>) -> (u128, u128) {
    costs.sort_unstable();
    costs[costs.len() / 2]
}
