//! The life of a deployment, where nothing goes wrong.

use cardcage_tests::{Board, Kind, Order, stop, until};
use serde_json::{Value, json};

/// Waits until nothing is left of a deployment.
#[track_caller]
pub fn until_gone(board: &Board, uuid: &str) {
    until(&format!("nothing is left of {uuid}"), || board.remains(uuid).is_empty().then_some(()));
}

/// The id of a deployment is the engine's, or the kernel's.
#[track_caller]
fn assert_is_known_by(board: &Board, uuid: &str, id: &Value) {
    let instance = board.instance(uuid);
    match &board.engine {
        Some(engine) => {
            let container = engine.inspect(id.as_str().unwrap());
            assert_eq!(container["Id"], *id);
            assert_eq!(container["State"]["Pid"], json!(instance.pid));
        }
        // A program is known by its supervisor.
        None => assert_eq!(*id, json!(instance.parent)),
    }
}

#[test]
fn what_is_started_runs_once_and_what_is_stopped_is_gone() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("a start and a stop", kind) else { continue };
        let order = board.serve("radar-1").with("instance_id", "radar").with("index", 1);
        let started = board.agent.order(&order).done();
        let asked = ["mode", "type", "uuid", "url", "file", "require"];
        asked.iter().for_each(|field| assert_eq!(started.data[field], order.data()[field], "{field}"));
        assert_is_known_by(&board, "radar-1", &started.id);
        board.agent.until_state("radar-1", "RUNNING");

        // The same again changes nothing, and succeeds.
        let instance = board.instance("radar-1");
        for _ in 0..3 {
            assert_eq!(board.agent.order(&order).done().id, started.id);
        }
        assert_eq!(board.instance("radar-1"), instance);

        let stopped = board.agent.deploy(&order.stop(&started.id)).done();
        assert_eq!((&stopped.data["mode"], &stopped.id), (&json!("stop"), &started.id));
        assert_eq!(board.remains("radar-1"), Vec::<String>::new());
        assert!(!instance.lives());
        if kind == Kind::Bar {
            assert_eq!(board.remains_of_programs(), Vec::<String>::new());
        }
        board.agent.until_state("radar-1", "STOPPED");
        board.agent.deploy(&order.stop(&started.id)).done();
    }
}

#[test]
fn a_stop_with_a_wrong_id_stops_nothing() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("a stop with a wrong id", kind) else { continue };
        let order = board.serve("a");
        let id = board.agent.order(&order).done().id;
        let other = board.agent.order(&board.serve("b")).done().id;
        let instance = board.instance("a");
        for wrong in [other, json!("b"), json!(1), json!("1"), json!("nonsense")] {
            board.agent.deploy(&order.stop(&wrong)).refused(5, &["a", "nothing was stopped"]);
        }
        board.agent.deploy(&stop(kind.name(), "c", &id)).refused(5, &["c is not deployed here"]);
        let elsewhere = if kind == Kind::Bar { "docker" } else { "bar" };
        board.agent.deploy(&stop(elsewhere, "a", &id)).refused(5, &[kind.name()]);
        assert!(instance.lives());

        // The uuid itself is one of its ids: all that a manager has which never got a reply. And a number is a number
        // also when it comes as a text.
        match kind {
            Kind::Docker => board.agent.deploy(&order.stop(&json!("a"))).done(),
            Kind::Bar => board.agent.deploy(&order.stop(&json!(id.to_string()))).done(),
        };
        until_gone(&board, "a");
        assert!(board.instance("b").lives());
    }
}

#[test]
fn other_contents_for_a_uuid_are_a_conflict() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("a conflict", kind) else { continue };
        let order = board.serve("a");
        board.agent.order(&order).done();
        let instance = board.instance("a");
        for other in [
            order.clone().require(1, 48),
            order.clone().option("args", json!(["more"])),
            order.clone().with("file", "other.tar.gz"),
            order.clone().with("instance_id", "other"),
        ] {
            board
                .agent
                .order(&other)
                .refused(3, &["deployed with other contents", kind.file(), "stop it first"]);
        }
        assert!(instance.lives());
        // Fields that are spelled otherwise, and mean the same.
        let id = board.agent.order(&order.clone().with("index", 0).with("instance_id", "")).done().id;
        board.agent.deploy(&order.stop(&id)).done();
        // What is stopped can be ordered as something else.
        board.agent.order(&order.require(1, 48)).done();
        assert!(board.instance("a").lives());
    }
}

#[test]
fn what_was_stopped_can_be_started_again_under_another_id() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("a second start", kind) else { continue };
        let order = board.serve("a");
        let first = board.agent.order(&order).done().id;
        board.agent.deploy(&order.stop(&first)).done();
        let second = board.agent.order(&order).done().id;
        assert_ne!(first, second);
        assert_is_known_by(&board, "a", &second);
        board.agent.until_state("a", "RUNNING");
        // A manager that only knows the first id means this deployment too.
        board.agent.deploy(&order.stop(&first)).done();
        until_gone(&board, "a");
    }
}

#[test]
fn starts_that_come_at_once_are_one_start() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("starts at once", kind) else { continue };
        let order = board.serve("a");
        let ids: Vec<Value> = std::thread::scope(|scope| {
            let ask = || board.agent.order(&order).done().id;
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_is_known_by(&board, "a", &ids[0]);
    }
}

#[test]
fn a_stop_ends_a_start_that_is_under_way() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("a stop during a start", kind) else { continue };
        let file = vec![0_u8; 1 << 20];
        board.repository.shelve("never.tar", cardcage_tests::Shelf::Stalls(file.into()));
        let order = Order::new(kind.name(), "a", &board.repository.url(), "never.tar");
        std::thread::scope(|scope| {
            let starting = scope.spawn(|| board.agent.order(&order));
            let pending = board.agent.until_state("a", "PENDING");
            assert_eq!(pending["id"], Value::Null);
            until("the file is being fetched", || (board.repository.asked("never.tar") > 0).then_some(()));
            board.agent.deploy(&order.stop(&json!("a"))).done();
            starting.join().unwrap().refused(3, &["stopped while it was being started"]);
        });
        board.agent.until_state("a", "STOPPED");
        assert_eq!(board.remains("a"), Vec::<String>::new());
    }
}
