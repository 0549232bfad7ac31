//! `cardcage plugins push`: a plugin to one board, and then to others. The manager does it; this shows how far it is.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::thread::sleep;
use std::time::Duration;

use cardcage_manager::agents::escaped;
use cardcage_manager::api::types::{PluginPush, PluginPushes, PushOutcome, PushStage, PushedBoard};
use comfy_table::Color;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::args::{Args, PushArgs};
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::screen::{self, Screen, cell, coloured, number};
use crate::{select, table};

/// How often it is looked how far it is.
const EVERY: Duration = Duration::from_millis(500);

/// Looks in a row that may fail: a manager that is started again knows nothing of a push.
const TRIES: u32 = 20;

/// Pushes, and waits until it is over.
pub(crate) fn run(args: &Args, client: &Client, what: &PushArgs, screen: &Screen) -> Result<(), Failure> {
    let token = args.token()?;
    let plugin = std::fs::read(&what.plugin);
    let plugin = plugin.map_err(|source| Failure::Plugin { path: what.plugin.clone(), source })?;
    let begun = client.push(&query(client, what)?, &plugin, &token)?;
    let push: PluginPush = client::typed(&begun)?;
    let mut progress = Progress::new(&push);
    let (mut answer, mut push, mut failed) = (begun.clone(), push, 0);
    loop {
        progress.tell(&push);
        if matches!(push.stage, PushStage::Done | PushStage::Stopped) {
            break;
        }
        sleep(EVERY);
        match client.pushed(&push.id) {
            Ok(now) => {
                (answer, failed) = (now, 0);
                push = client::typed(&answer)?;
            }
            Err(failure) if failure.may_pass() && failed < TRIES => failed += 1,
            Err(failure) => return Err(failure),
        }
    }
    // Only the answer that began it says who was left out.
    let left_out: PluginPush = client::typed(&begun)?;
    if let (Value::Object(fields), Some(left_out)) = (&mut answer, begun.get("left_out")) {
        fields.insert("left_out".to_owned(), left_out.clone());
    }
    screen::print(&if args.json { screen::json(&answer) } else { show(&push, screen) + &told(&left_out) })?;
    match push.stage {
        PushStage::Done => Ok(()),
        _ => Err(Failure::Stopped { why: push.why.unwrap_or_else(|| "it is not said why".to_owned()) }),
    }
}

fn query(client: &Client, what: &PushArgs) -> Result<String, Failure> {
    let own = what.plugin.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = what.name.clone().or(own).unwrap_or_default();
    let seconds = what.timeout.as_secs().max(1);
    let mut query = format!(
        "file={}&timeout_s={seconds}&max_failures={}&at_once={}",
        escaped(&name),
        what.max_failures,
        what.at_once
    );
    if let Some(group) = &what.group {
        query += &format!("&group={}", escaped(group));
    }
    if !what.boards.is_empty() {
        let boards = what.boards.iter().map(|board| select::board(client, board));
        query += &format!("&boards={}", escaped(&boards.collect::<Result<Vec<_>, _>>()?.join(",")));
    }
    if let Some(canary) = &what.canary {
        query += &format!("&canary={}", escaped(&select::board(client, canary)?));
    }
    Ok(query)
}

/// What was told of each board, on a terminal.
struct Progress(Option<HashMap<String, PushOutcome>>);

impl Progress {
    fn new(push: &PluginPush) -> Self {
        let shown = io::stderr().is_terminal();
        if shown {
            let boards = push.boards.len();
            let _ = writeln!(
                io::stderr(),
                "push {} of {} to {boards} boards; it goes on if this command is ended",
                screen::clean(&push.id),
                screen::clean(&push.file)
            );
        }
        Self(shown.then(HashMap::new))
    }

    /// A line for each board of which something new is known, and one below them that says how far it is.
    fn tell(&mut self, push: &PluginPush) {
        let Some(told) = &mut self.0 else { return };
        let mut lines = String::from("\r\x1b[K");
        for board in push.boards.iter().filter(|board| !is_open(board.outcome)) {
            if told.insert(board.board.clone(), board.outcome) != Some(board.outcome) {
                lines += &format!("{}\n", screen::clean(&line(board)));
            }
        }
        let open = push.boards.iter().filter(|board| is_open(board.outcome)).count();
        if open > 0 {
            let stage = if push.stage == PushStage::Canary { "the canary tries it" } else { "going on" };
            lines += &format!("{stage}, {open} of {} boards to go", push.boards.len());
        }
        let mut stderr = io::stderr();
        let _ = stderr.write_all(lines.as_bytes()).and_then(|()| stderr.flush());
    }
}

const fn is_open(outcome: PushOutcome) -> bool {
    matches!(outcome, PushOutcome::Waiting | PushOutcome::UnderWay)
}

fn line(board: &PushedBoard) -> String {
    let id = table::short_board(&board.board);
    format!(
        "{id}: {}{}{}",
        word(board.outcome),
        if board.message.is_empty() { "" } else { ", " },
        board.message
    )
}

const fn word(outcome: PushOutcome) -> &'static str {
    match outcome {
        PushOutcome::Waiting => "waiting",
        PushOutcome::UnderWay => "under way",
        PushOutcome::Running => "running",
        PushOutcome::Idle => "idle",
        PushOutcome::Refused => "refused",
        PushOutcome::Failed => "failed",
        PushOutcome::NoAnswer => "no answer",
        PushOutcome::NotBegun => "not begun",
    }
}

const fn colour(outcome: PushOutcome) -> Option<Color> {
    match outcome {
        PushOutcome::Running => Some(Color::Green),
        PushOutcome::UnderWay => Some(Color::Yellow),
        PushOutcome::Refused | PushOutcome::Failed | PushOutcome::NoAnswer => Some(Color::Red),
        PushOutcome::Waiting | PushOutcome::Idle | PushOutcome::NotBegun => None,
    }
}

fn show(push: &PluginPush, screen: &Screen) -> String {
    let mut table = screen.table(&["OUTCOME", "BOARD", "CANARY", "MESSAGE"]);
    for (number, board) in push.boards.iter().enumerate() {
        table.add_row([
            coloured(word(board.outcome), colour(board.outcome)),
            cell(Some(table::short_board(&board.board))),
            cell(Some(if number == 0 { "canary" } else { "" })),
            cell(Some(&board.message)),
        ]);
    }
    let running = push.boards.iter().filter(|board| board.outcome == PushOutcome::Running).count();
    let digest = push.digest.get(..12).unwrap_or(&push.digest);
    let total =
        format!("{} {digest} runs on {running} of {} boards\n", screen::clean(&push.file), push.boards.len());
    // A message that a narrow line has no room for is what people need most.
    let good = |outcome| matches!(outcome, PushOutcome::Running | PushOutcome::Idle | PushOutcome::NotBegun);
    let cut = push.boards.iter().filter(|board| screen.width.is_some() && !good(board.outcome));
    let whole: String = cut.take(10).map(|board| format!("{}\n", screen::clean(&line(board)))).collect();
    screen.text(table) + &total + &whole
}

/// Boards to which it was not brought, since anybody could be them.
fn told(begun: &PluginPush) -> String {
    let clean = screen::clean;
    let lines = begun.left_out.iter();
    let mut text: String =
        lines.map(|one| format!("left out {}: {}\n", clean(&one.board), clean(&one.why))).collect();
    if begun.more_left_out > 0 {
        text.push_str(&format!("left out {} more\n", begun.more_left_out));
    }
    if !text.is_empty() {
        text.push_str("name them with --board if they are meant\n");
    }
    text
}

/// The last pushes.
pub(crate) fn list(args: &Args, client: &Client, screen: &Screen) -> Result<String, Failure> {
    let answer = client.pushes()?;
    if args.json {
        return Ok(screen::json(&answer));
    }
    let PluginPushes { pushes } = client::typed(&answer)?;
    let mut table = screen.table(&["STATE", "ID", "BEGUN", "FILE", "DIGEST", "BOARDS", "WHY"]);
    for push in &pushes {
        let (word, colour) = match push.stage {
            PushStage::Canary => ("canary", Color::Yellow),
            PushStage::Rolling => ("rolling", Color::Yellow),
            PushStage::Done => ("done", Color::Green),
            PushStage::Stopped => ("stopped", Color::Red),
        };
        let running = push.boards.iter().filter(|board| board.outcome == PushOutcome::Running).count();
        table.add_row([
            coloured(word, Some(colour)),
            cell(Some(&push.id)),
            cell(Some(&push.begun)),
            cell(Some(&push.file)),
            cell(push.digest.get(..12)),
            number(Some(format!("{running} of {}", push.boards.len()))),
            cell(push.why.as_ref()),
        ]);
    }
    Ok(screen.text(table))
}

/// Stops one.
pub(crate) fn stop(args: &Args, client: &Client, id: Uuid) -> Result<(), Failure> {
    client.stop_push(&id.to_string(), &args.token()?)?;
    let stopped = if args.json {
        screen::json(&json!({ "stopped": id.to_string() }))
    } else {
        format!("stopped {id}: no further board is begun\n")
    };
    screen::print(&stopped)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_push_that_stopped_shows_every_board() {
        let board = |board: &str, outcome, message: &str| PushedBoard {
            board: board.into(),
            outcome,
            message: message.into(),
        };
        let push = PluginPush {
            id: "i".into(),
            file: "acme.wasm".into(),
            digest: "9f86d081884c7d659a2feaa0c55ad015".into(),
            bytes: 7,
            group: None,
            max_failures: 0,
            begun: "2026-01-01T00:00:00Z".into(),
            stage: PushStage::Stopped,
            why: Some("w".into()),
            boards: vec![
                board("1-1-1-0-a", PushOutcome::Running, "it runs"),
                board("1-2-1-0-b", PushOutcome::Failed, "quarantined: \u{1b}trap"),
                board("1-3-1-0-c", PushOutcome::NotBegun, ""),
            ],
            left_out: Vec::new(),
            more_left_out: 0,
        };
        expect![[r#"
            OUTCOME    BOARD      CANARY  MESSAGE
            running    1-1-1-0-a  canary  it runs
            failed     1-2-1-0-b          quarantined: �trap
            not begun  1-3-1-0-c
            acme.wasm 9f86d081884c runs on 1 of 3 boards
        "#]]
        .assert_eq(&show(&push, &Screen::default()));
        assert_eq!(told(&push), "");
        assert!(told(&PluginPush { more_left_out: 3, ..push }).contains("left out 3 more\nname them"));
    }
}
