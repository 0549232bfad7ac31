//! What the README tells people to type about deploys, typed. The machine that the other commands of the documents are
//! typed on replays a recorded board, where nothing can be deployed, so these are `console` blocks: commands, and what
//! they say. Only addresses and ids are put in place of those in the text, which are somebody else's.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use cardcage_tests::{
    Board, Kind, Manager, Process, SERVE, Typed, gzip, image, script, shape, skip, typed, typed_as, until,
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// The ids in a reply, or in the first line of a table.
fn ids(text: &str) -> Vec<String> {
    if let Ok(reply) = serde_json::from_str::<Value>(text) {
        return vec![reply["data"]["id"].to_string()];
    }
    let mut lines = text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let (heads, row) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let ids = heads.iter().zip(row).filter(|(head, _)| ["UUID", "BOARD", "ID"].contains(&head.as_str()));
    ids.map(|(_, id)| id).collect()
}

/// What is written in the README, and what is in its place here.
type Places = BTreeMap<String, String>;

fn put(places: &Places, text: &str) -> String {
    places.iter().fold(text.to_owned(), |text, (written, here)| text.replace(written, here))
}

/// An id that was seen before stays what it was. Only the kernel's numbers have any length.
#[track_caller]
fn learn(places: &mut Places, written: &str, said: &str) {
    for (written, here) in ids(written).into_iter().zip(ids(said)) {
        assert!(here.len() == written.len() || here.parse::<u32>().is_ok(), "{here} in place of {written}");
        places.entry(written).or_insert(here);
    }
}

/// Types a command; it succeeds.
#[track_caller]
fn run(manager: &Manager, line: &str) -> String {
    let done = manager.operator("timeout").args(["60", "sh", "-c", line]).output().unwrap();
    assert!(done.status.success(), "{line}\n{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// Types a command that goes on until it is ended, which is after its first line.
#[track_caller]
fn follow(manager: &Manager, line: &str) -> String {
    // The shell becomes the command, so that it is the one that is ended.
    let mut shell = manager.operator("sh");
    shell.args(["-c", &format!("exec {line}")]);
    let mut process = Process::start("what follows", shell, &manager.folder().join("followed"));
    let first = process.until_log("");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.wait().signal(), Some(Signal::SIGTERM as i32), "it went on until it was ended");
    first
}

/// The board, and a repository with what the README deploys.
#[track_caller]
fn set_up() -> Option<Board> {
    let test = "the README's deploys";
    if Command::new("curl").arg("--version").output().is_err() && !skip(test, "curl") {
        return None;
    }
    let board = Board::with(test, Kind::Docker, "[board]\nbox_id = 1\nslot_id = 3\ncpu_id = 1")?;
    board.agent.until_plugin("deploy-bar", "ready");
    // `--env MODE=scan` makes the word that it says.
    let scan = SERVE.replace("began $MARK", "${MODE}ning");
    board.repository.put("images/radar-1.2.tar.gz", gzip(&image("radar:1.2", &["sh", "-c", &scan])));
    board.repository.put("bars/radar-1.2.bar", script("radar", SERVE, ""));
    Some(board)
}

#[test]
fn what_the_readme_says_about_deploys_can_be_typed() {
    let all = typed("README.md");
    for program in ["cardcage deploy ", "cardcage logs --follow ", "cardcage ps", "cardcage stop ", "curl "] {
        assert!(all.iter().any(|one| one.command.starts_with(program)), "no {program}in {all:?}");
    }
    // What is pushed there runs on boards of its own: `cases/push.rs`.
    let about_deploys = |one: &Typed| !one.command.starts_with("cardcage plugins ");
    let Some(board) = set_up() else { return };
    let manager = board.world.manager().start();
    manager.until_boards("the board is up", |boards| boards.len() == 1 && boards[0]["state"] == "up");
    let mut places = Places::from([
        ("repo.example".into(), board.repository.url().replace("http://", "")),
        ("192.168.10.33:23980".into(), board.agent.service().to_string()),
    ]);
    for Typed { command, says } in all.into_iter().filter(about_deploys) {
        let line = put(&places, &command);
        let is_as_written = |said: &String| shape(said) == shape(&put(&places, &says));
        let said = match line.as_str() {
            line if line.starts_with("cardcage logs --follow ") => follow(&manager, line),
            // Whoever types it takes longer than the board to report.
            "cardcage ps" => until(&says, || Some(run(&manager, &line)).filter(is_as_written)),
            line => run(&manager, line),
        };
        learn(&mut places, &says, &said);
        match says.as_str() {
            "" => assert_eq!(shape(&said)["data"]["result"], 0, "{line}\n{said}"),
            says => assert_eq!(shape(&said), shape(&put(&places, says)), "{line}\n{said}"),
        }
    }
    assert!(board.agent.deployments().iter().all(|one| one["state"] == "STOPPED"));
}

#[test]
fn what_the_guide_to_archives_orders_can_be_typed() {
    let position = "[board]\nbox_id = 1\nslot_id = 3\ncpu_id = 1";
    let Some(board) = Board::with("the guide's deploy", Kind::Bar, position) else { return };
    board.repository.put("bars/radar-1.2.bar", script("radar", SERVE, ""));
    let manager = board.world.manager().start();
    manager.until_boards("the board is up", |boards| boards.len() == 1 && boards[0]["state"] == "up");
    let order = typed_as("sdk/guide/bar.md", "cardcage deploy ");
    let mut places = Places::from([("repo.example".into(), board.repository.url().replace("http://", ""))]);
    let said = run(&manager, &put(&places, &order.command));
    learn(&mut places, &order.says, &said);
    assert_eq!(shape(&said), shape(&put(&places, &order.says)), "{said}");
}
