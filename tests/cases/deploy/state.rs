//! What is said about deployments: in the report to a manager, in the agent's own list, in their logs.

use cardcage_tests::census::thaw;
use cardcage_tests::{Board, Kind, census, until};
use serde_json::{Value, json};

const MEMORY: u64 = 32 << 20;

#[test]
fn a_manager_is_told_of_every_deployment() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("deployments in the report", kind) else { continue };
        let allocated = || {
            let report = board.world.listener().answer("/resource");
            report.data()["resource"]["cpu"]["core_allocated"].clone()
        };
        assert_eq!(allocated(), 0);
        let busy = "while :; do :; done";
        let name = format!("radar-{}", board.agent.service().ip());
        let order =
            board.script("radar-1", busy).with("instance_id", "radar").with("index", 3).with("name", &*name);
        let id = board.agent.order(&order).done().id;
        let text = |id: &Value| id.as_str().map_or_else(|| id.to_string(), str::to_owned);

        board.agent.until_deployment("radar-1", "measured", |one| {
            one["cpu_load"].as_f64().is_some_and(|load| load > 20.0) && one["memory_used"].as_u64() > Some(0)
        });
        let component = board.reported("radar-1");
        assert!(component["resource"]["cpu"]["load"].as_f64().unwrap() > 20.0, "{component}");
        assert_eq!(component["instance_id"], "radar");
        assert_eq!(component["index"], 3);
        assert_eq!(component["config"], json!({"name": name, "id": text(&id)}));
        assert_eq!(component["state"], "RUNNING");
        assert_eq!(component["resource"]["memory"]["mem_limit"], json!(MEMORY));
        assert!(component["resource"]["memory"]["mem_used"].as_u64().unwrap() <= MEMORY);
        assert!(
            component["resource"]["network"]["tx"].is_u64()
                && component["resource"]["network"]["rx"].is_u64()
        );
        assert_eq!(allocated(), 1);

        let listed = board.agent.until_state("radar-1", "RUNNING");
        assert_eq!((&listed["id"], &listed["type"]), (&id, &json!(kind.name())));
        assert_eq!(listed["require"], order.data()["require"]);

        board.agent.deploy(&order.stop(&id)).done();
        assert_eq!(board.reported("radar-1")["state"], "STOPPED");
        assert_eq!(allocated(), 0);
    }
}

#[test]
fn what_ends_by_itself_is_said_with_its_reason() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("ends", kind) else { continue };
        for (uuid, line, state, words) in [
            ("exits", "exit 3", "FAILED", "status 3"),
            ("is-done", "exit 0", "STOPPED", "status 0"),
            ("is-killed", "kill -9 $$", "FAILED", "9"),
        ] {
            // Process 1 of a container is not killed by its own kind.
            let order = board.script(uuid, line);
            let order = if kind == Kind::Docker { order.option("init", true) } else { order };
            board.agent.deploy(&order.body());
            // It holds nothing any more as soon as that is written down.
            let ended = board
                .agent
                .until_deployment(uuid, state, |one| one["state"] == state && one["cores"] == json!([]));
            let reason = ended["reason"].as_str().unwrap();
            let words = if (kind, uuid) == (Kind::Bar, "is-killed") { "SIGKILL" } else { words };
            assert!(reason.contains(words), "{ended}");
            assert_eq!(board.reported(uuid)["state"], state);
        }
    }
}

#[test]
fn what_uses_more_memory_than_it_has_is_ended_and_says_so() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("out of memory", kind) else { continue };
        // A shell that doubles a text again and again.
        let order = board.script("a", "x=0123456789abcdef; while :; do x=$x$x; done").require(1, 16);
        board.agent.deploy(&order.body());
        let ended = board.agent.until_state("a", "FAILED");
        assert!(ended["reason"].as_str().unwrap().contains("memory"), "{ended}");
    }
}

#[test]
fn what_is_paused_sleeps() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("a pause", kind) else { continue };
        let id = board.agent.order(&board.serve("a")).done().id;
        match &board.engine {
            Some(engine) => engine.act(id.as_str().unwrap(), "pause"),
            None => freeze(&board),
        }
        board.agent.until_state("a", "SLEEPING");
        assert_eq!(board.reported("a")["state"], "SLEEPING");
        match &board.engine {
            Some(engine) => engine.act(id.as_str().unwrap(), "unpause"),
            None => groups(&board).iter().for_each(|group| thaw(group)),
        }
        board.agent.until_state("a", "RUNNING");
        // And one that sleeps can be stopped.
        match &board.engine {
            Some(engine) => engine.act(id.as_str().unwrap(), "pause"),
            None => freeze(&board),
        }
        board.agent.until_state("a", "SLEEPING");
        board.stop("a").done();
        assert_eq!(board.remains("a"), Vec::<String>::new());
    }
}

fn groups(board: &Board) -> Vec<std::path::PathBuf> {
    census::program_groups(&board.agent.id()).iter().map(|group| group.join("program")).collect()
}

#[track_caller]
fn freeze(board: &Board) {
    let mut frozen = 0;
    for group in groups(board) {
        for (file, word) in [("freezer.state", "FROZEN"), ("cgroup.freeze", "1")] {
            // Where both versions of control groups are mounted, the first has the processes.
            if group.join(file).exists() && !census::members(&group).is_empty() {
                std::fs::write(group.join(file), word).unwrap();
                frozen += 1;
            }
        }
    }
    assert!(frozen > 0, "no group of {} can be frozen", board.agent.id());
}

#[test]
fn what_it_writes_can_be_read_piece_by_piece_across_restarts_of_the_agent() {
    for kind in Kind::BOTH {
        let Some(mut board) = Board::new("logs", kind) else { continue };
        let line = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done";
        board.agent.order(&board.script("a", line)).done();
        let read = |board: &Board, query: &str| {
            let answer = board.agent.log("a", query);
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json()
        };
        let mut text = String::new();
        let mut cursor = String::new();
        let more = |board: &Board, text: &mut String, cursor: &mut String, lines: usize| {
            until(&format!("there are {lines} lines"), || {
                let query =
                    if cursor.is_empty() { "tail=10000".to_owned() } else { format!("after={cursor}") };
                let piece = read(board, &query);
                text.push_str(piece["text"].as_str().unwrap());
                *cursor = piece["next"].as_str().unwrap().to_owned();
                (text.lines().count() >= lines).then_some(())
            });
        };
        more(&board, &mut text, &mut cursor, 5);
        board.agent.kill();
        board.agent.start_again();
        board.until_ready();
        let seen = text.lines().count();
        more(&board, &mut text, &mut cursor, seen + 5);
        let whole = text.lines().take(text.lines().count() - 1);
        let expected = (1..).map(|number| format!("line {number}"));
        for (line, expected) in whole.zip(expected) {
            assert_eq!(line, expected);
        }
        assert_eq!(read(&board, "tail=2")["text"].as_str().unwrap().lines().count(), 2);
        assert_eq!(board.agent.log("b", "").status, 404);
    }
}
