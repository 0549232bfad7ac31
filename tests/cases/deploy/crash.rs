//! What is lost: the agent, the board, a record, a process id. What ran goes on, and nobody else is harmed.

use std::path::PathBuf;
use std::process::Command;

use cardcage_tests::{Board, Kind, census, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

#[test]
fn what_runs_outlives_the_agent_and_is_known_again() {
    for kind in Kind::BOTH {
        let Some(mut board) = Board::new("a killed agent", kind) else { continue };
        let order = board.serve("a");
        let id = board.agent.order(&order).done().id;
        let instance = board.instance("a");
        for round in 0..3 {
            match round {
                0 => drop(board.agent.stop()),
                _ => board.agent.kill(),
            }
            assert!(instance.lives());
            board.agent.start_again();
            // Not for a moment it is not there.
            assert_eq!(board.agent.deployment("a").unwrap()["id"], id);
            board.agent.until_state("a", "RUNNING");
            assert_eq!(board.agent.order(&order).done().id, id);
            assert_eq!(board.instance("a"), instance);
        }
        board.agent.deploy(&order.stop(&id)).done();
        assert!(!instance.lives());
    }
}

/// Everything that runs ends, as when the board loses its power.
fn end_everything(board: &Board, id: &Value) {
    let instance = board.instance("a");
    match &board.engine {
        Some(engine) => engine.act(id.as_str().unwrap(), "kill"),
        None => {
            for leaf in ["shim", "program"] {
                let groups = census::program_groups(&board.agent.id());
                let pids =
                    groups.iter().flat_map(|group| census::members(&group.join(leaf))).collect::<Vec<_>>();
                pids.into_iter().filter_map(census::Seen::of).for_each(|seen| seen.kill(Signal::SIGKILL));
            }
        }
    }
    until("it has ended", || (!instance.lives()).then_some(()));
}

#[test]
fn a_board_that_comes_back_starts_its_instances_by_itself() {
    for kind in Kind::BOTH {
        let Some(mut board) = Board::new("a board that comes back", kind) else { continue };
        let order = board.serve("a");
        let id = board.agent.order(&order).done().id;
        let stopped = board.agent.order(&board.serve("b")).done().id;
        board.agent.deploy(&board.serve("b").stop(&stopped)).done();
        let before = board.instance("a");
        board.agent.kill();
        end_everything(&board, &id);
        board.agent.start_again();
        let after = board.instance("a");
        assert_ne!(before, after);
        board.agent.until_state("a", "RUNNING");
        assert_eq!(board.agent.deployment("b").unwrap()["state"], "STOPPED");
        // The id from before still means it.
        board.agent.deploy(&order.stop(&id)).done();
        assert_eq!(board.remains("a"), Vec::<String>::new());
    }
}

#[test]
fn a_damaged_record_is_set_aside_and_made_again() {
    for kind in Kind::BOTH {
        let Some(mut board) = Board::new("a damaged record", kind) else { continue };
        let order = board.serve("a");
        let id = board.agent.order(&order).done().id;
        let instance = board.instance("a");
        board.agent.kill();
        let records = with_extension(&board, "record");
        assert_eq!(records.len(), 1);
        let text = std::fs::read(&records[0]).unwrap();
        std::fs::write(&records[0], &text[..text.len() / 2]).unwrap();
        board.agent.start_again();
        board.agent.process.until_log("record is damaged");
        let again = board.agent.until_state("a", "RUNNING");
        assert_eq!(again["id"], id);
        assert_eq!(with_extension(&board, "damaged").len(), 1);
        assert_eq!(with_extension(&board, "record").len(), 1);
        assert_eq!(board.instance("a"), instance);
        assert_eq!(board.agent.order(&order).done().id, id);
        board.agent.deploy(&order.stop(&id)).done();
        assert!(!instance.lives());
    }
}

fn with_extension(board: &Board, extension: &str) -> Vec<PathBuf> {
    let folder = board.agent.folder().join("state/deployments");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|of| of == extension)).collect()
}

/// A process that has nothing to do with the agent.
struct Stranger(std::process::Child);

impl Stranger {
    fn new() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn a_stranger_with_the_pid_of_an_instance_is_never_harmed() {
    let Some(mut board) = Board::new("a pid that is used again", Kind::Bar) else { return };
    let mut stranger = Stranger::new();
    let order = board.serve("a");
    let id = board.agent.order(&order).done().id;
    board.agent.deploy(&order.stop(&json!(stranger.0.id()))).refused(5, &["nothing was stopped"]);
    assert!(stranger.lives());

    // As if the supervisor had died and its pid, and that of the program, were somebody else's by now: so it is in every
    // file that is kept.
    let pids = [id.to_string(), board.instance("a").pid.to_string()];
    board.agent.kill();
    end_everything(&board, &id);
    let mut changed = 0;
    for folder in std::fs::read_dir(board.agent.folder().join("state/deploys/programs")).unwrap() {
        let file = folder.unwrap().path().join("status.json");
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let forged =
            pids.iter().fold(text.clone(), |text, pid| text.replace(pid, &stranger.0.id().to_string()));
        changed += usize::from(forged != text);
        std::fs::write(&file, forged).unwrap();
    }
    assert_eq!(changed, 1);
    board.agent.start_again();
    board.agent.until_state("a", "RUNNING");
    board.agent.deploy(&order.stop(&id)).done();
    assert_eq!(board.remains("a"), Vec::<String>::new());
    assert!(stranger.lives());
}
