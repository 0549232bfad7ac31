//! Cores and memory: what an instance was promised it has, and nobody is promised what another one has.

use std::collections::BTreeSet;

use cardcage_tests::{Board, Kind, Order, census, until};
use serde_json::json;

#[test]
fn cores_are_for_one_instance_alone_across_backends() {
    let Some(board) = Board::new("exclusive cores", Kind::Docker) else { return };
    board
        .repository
        .put("serve.bar", cardcage_tests::script("serve", cardcage_tests::SERVE, "stop_grace = \"1s\""));
    let container = board.serve("container");
    let program = Order::new("bar", "program", &board.repository.url(), "serve.bar");
    let program = program.option("env", json!({"MARK": board.mark("program")}));
    let all = std::thread::available_parallelism().unwrap().get();
    let fills = u32::try_from(all - 1).unwrap();

    board.agent.order(&container.clone().require(1, 32)).done();
    board.agent.order(&program.clone().require(fills, 32)).done();
    let (a, b) = (board.instance("container"), board.instance("program"));
    let allowed = |seen: census::Seen| cores(&seen.cores().unwrap());
    let (given, rest) = (allowed(a), allowed(b));
    assert_eq!((given.len(), rest.len()), (1, all - 1));
    assert!(given.is_disjoint(&rest), "{given:?} and {rest:?}");
    let listed = board.agent.until_state("container", "RUNNING");
    assert_eq!(listed["cores"], json!(given));

    // All are taken: it is said who has them.
    let more = board.serve("more");
    board.agent.order(&more).refused(4, &["asked for 1 core", "free: 0 of", "container", "program"]);
    until("what was refused is not there", || board.agent.deployment("more").is_none().then_some(()));
    // What is given back is given to the next one.
    board.stop("container").done();
    board.agent.order(&more).done();
    assert_eq!((allowed(board.instance("more")), allowed(b)), (given, rest));
}

/// Of a list as the kernel writes it.
fn cores(list: &str) -> BTreeSet<u32> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    };
    list.split(',').flat_map(part).collect()
}

#[test]
fn shared_cores_are_apart_from_the_others() {
    for kind in Kind::BOTH {
        let Some(board) = Board::with("shared cores", kind, "[deploy]\ncores = \"1\"\nshared_cores = \"0\"")
        else {
            continue;
        };
        for uuid in ["a", "b", "c"] {
            board.agent.order(&board.serve(uuid).option("cpu", "shared")).done();
            assert_eq!(board.instance(uuid).cores().unwrap(), "0");
            assert_eq!(board.agent.deployment(uuid).unwrap()["shared"], true);
        }
        board.agent.order(&board.serve("own")).done();
        assert_eq!(board.instance("own").cores().unwrap(), "1");
        board.agent.order(&board.serve("d")).refused(4, &["asked for 1 core", "free: 0 of 1", "own"]);
    }
}

#[test]
fn memory_is_limited_to_what_was_asked_for() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("limits of memory", kind) else { continue };
        let id = board.agent.order(&board.serve("a").require(1, 24)).done().id;
        let limit = 24_u64 << 20;
        match &board.engine {
            Some(engine) => {
                let container = engine.inspect(id.as_str().unwrap());
                assert_eq!(container["HostConfig"]["Memory"], limit);
                assert_eq!(container["HostConfig"]["Privileged"], false);
            }
            None => {
                let files = ["memory.limit_in_bytes", "memory.max"];
                let groups = census::program_groups(&board.agent.id());
                let paths =
                    groups.iter().flat_map(|group| files.map(|file| group.join("program").join(file)));
                let limits: Vec<String> =
                    paths.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
                assert_eq!(
                    limits.iter().map(|text| text.trim().parse().unwrap()).collect::<Vec<u64>>(),
                    [limit]
                );
            }
        }
    }
}

#[test]
fn of_a_hundred_that_come_at_once_as_many_run_as_there_is_room_for() {
    for kind in Kind::BOTH {
        // Ten times 16 MiB; the core is promised to more than ten.
        let config = "[deploy]\ncores = \"1\"\nshared_cores = \"0\"\nmemory = \"160MiB\"";
        let Some(board) = Board::with("a hundred at once", kind, config) else { continue };
        let results: Vec<(String, i64, String)> = std::thread::scope(|scope| {
            let agent = &board.agent;
            let ask = |number: u32| {
                let uuid = format!("crowd-{number}");
                let order = board.serve(&uuid).require(1, 16).option("cpu", "shared");
                scope.spawn(move || {
                    let reply = agent.order(&order);
                    (uuid, reply.result, reply.message)
                })
            };
            let asking: Vec<_> = (0..100).map(ask).collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let started: Vec<&String> =
            results.iter().filter(|(_, result, _)| *result == 0).map(|(uuid, ..)| uuid).collect();
        assert_eq!(started.len(), 10, "{results:?}");
        let refused = results.iter().filter(|(_, result, _)| *result != 0);
        for (_, result, message) in refused {
            assert_eq!(*result, 4, "{message}");
            assert!(
                message.contains("asked for 16 MiB of memory, free: 0 MiB of 160 MiB; held by crowd-"),
                "{message}"
            );
        }
        let mine = |all: std::collections::BTreeMap<String, Vec<census::Seen>>| {
            let prefix = board.mark("crowd-");
            all.into_iter()
                .filter(|(mark, _)| mark.starts_with(&prefix))
                .map(|(_, seen)| seen.len())
                .sum::<usize>()
        };
        until("ten run", || (mine(census::instances()) == 10).then_some(()));
        until("what was refused is not there", || (board.agent.deployments().len() == 10).then_some(()));
    }
}
