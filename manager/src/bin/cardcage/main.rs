//! `cardcage`: the operator's command line. It asks the manager's API and shows the answer as a table, or as JSON.
//!
//! ```text
//! args ─▶ client ──HTTP──▶ manager
//!           └▶ select (which board is meant) ─▶ table | detail | json ─▶ screen
//! ```
//! Exit status: 0 done, 1 failed or refused, 2 wrong usage, 3 no such board or deployment, 4 not decided yet.

mod args;
mod client;
mod deploy;
mod detail;
mod failure;
mod fit;
mod logs;
mod plugins;
mod ps;
mod push;
mod screen;
mod select;
mod table;
mod units;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};

use args::{Args, Command};
use client::Client;
use failure::Failure;
use screen::Screen;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args, &Screen::of_stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough, as `head` does.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "cardcage: {}", screen::clean(&failure.to_string()));
            ExitCode::from(failure.status())
        }
    }
}

fn run(args: &Args, screen: &Screen) -> Result<(), Failure> {
    let client = Client::new(&args.manager)?;
    match &args.command {
        Command::Boards { filter, watch: Some(every) } => {
            watch::run(*every, screen, || boards(args, &client, filter, screen))
        }
        Command::Boards { filter, watch: None } => screen::print(&boards(args, &client, filter, screen)?),
        Command::Board { id } => screen::print(&board(args, &client, id, screen)?),
        Command::Plugins(wanted) => plugins::run(args, &client, wanted, screen),
        Command::Deploy(order) => deploy::start(args, &client, order, screen),
        Command::Stop(stop) => deploy::stop(args, &client, stop, screen),
        Command::Ps { board, state, all } => {
            screen::print(&ps::list(args, &client, board.as_deref(), state.as_deref(), *all, screen)?)
        }
        Command::Logs { uuid, follow, tail } => logs::show(args, &client, uuid, *follow, *tail),
        Command::Forget { id } => {
            let id = select::board(&client, id)?;
            client.forget(&id, &args.token()?)?;
            screen::print(&if args.json {
                screen::json(&json!({ "forgotten": id }))
            } else {
                format!("forgot {}\n", screen::clean(&id))
            })
        }
    }
}

fn boards(
    args: &Args,
    client: &Client,
    filter: &args::BoardFilter,
    screen: &Screen,
) -> Result<String, Failure> {
    let boards = client.boards(filter)?;
    if args.json {
        let total = boards.len();
        return Ok(screen::json(&json!({ "boards": boards, "total": total })));
    }
    let boards = boards.iter().map(client::typed).collect::<Result<Vec<_>, _>>()?;
    Ok(table::boards(boards, screen))
}

/// The board and, in JSON as its field `resource`, its readings.
fn board(args: &Args, client: &Client, id: &str, screen: &Screen) -> Result<String, Failure> {
    let id = select::board(client, id)?;
    let mut board = client.board(&id)?;
    let resource = client.resource(&id)?;
    if args.json {
        if let (Value::Object(fields), Some(resource)) = (&mut board, resource) {
            fields.insert("resource".to_owned(), resource);
        }
        return Ok(screen::json(&board));
    }
    let resource = resource.as_ref().map(client::typed).transpose()?;
    Ok(detail::board(&client::typed(&board)?, resource.as_ref(), screen))
}
