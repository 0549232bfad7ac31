//! What deploys cost: containers through the agent against the same calls made to the engine directly, the statistics of
//! thirty containers in a report, a hundred starts at once.
//!
//! ```text
//! Supply (loopback) ◀─ fetch ─ Board (the agent) ─┐
//!                                 ▲               ├─▶ the container engine of this machine
//!                 POST /deploy ── bench ─ Engine ─┘
//! ```
//! Every agent is on a state of its own and has an identity of its own; what was made under it is removed at the end, also
//! when a measurement fails.

mod board; // the agent, and who orders
mod crowd; // a hundred starts at once
mod engine; // the engine, called as a good client calls it
mod rounds; // start and stop, in turns
mod statistics; // thirty containers in a report
mod supply; // the image, and who serves it

use anyhow::Result;

use crate::figures::{Figures, say};
use crate::process::Programs;
use board::Board;
use engine::Engine;
use supply::Supply;

pub fn measure(programs: &Programs, figures: &mut Figures) -> Result<()> {
    say("deploys: containers of this machine's engine");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut engine = match Engine::connect().await {
            Ok(engine) => engine,
            Err(error) => {
                figures.skip(
                    "deploys",
                    format_args!("no container engine answers (Debian: docker.io): {error:#}"),
                );
                return Ok(());
            }
        };
        let supply = match Supply::open() {
            Ok(supply) => supply,
            Err(error) => {
                figures.skip("deploys", format_args!("no image can be made: {error:#}"));
                return Ok(());
            }
        };
        let measured = parts(programs, &supply, &mut engine, figures).await;
        let cleared = engine.remove_image(&supply.image).await;
        measured.and(cleared)
    })
}

async fn parts(
    programs: &Programs,
    supply: &Supply,
    engine: &mut Engine,
    figures: &mut Figures,
) -> Result<()> {
    let board = Board::start(programs, "")?;
    let measured = rounds::measure(&board, supply, engine, figures).await;
    board.end(engine).await.and(measured)?;
    let board = Board::start(programs, "")?;
    let measured = statistics::measure(&board, supply, engine, figures).await;
    board.end(engine).await.and(measured)?;
    let board = Board::start(programs, &crowd::room())?;
    let measured = crowd::measure(&board, supply, engine, figures).await;
    board.end(engine).await.and(measured)
}
