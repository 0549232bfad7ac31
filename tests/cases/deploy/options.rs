//! `options`: what only one backend understands, and what the operator has to grant.

use std::net::{Ipv4Addr, TcpListener};

use cardcage_tests::{Board, Kind, get, until};
use serde_json::json;

#[test]
fn environment_and_arguments_reach_the_program() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("environment and arguments", kind) else { continue };
        let order = board.script("a", "echo mode $MODE and $0; while :; do sleep 1000; done");
        let order = order.option("env", json!({"MODE": "scan 节", "MARK": board.mark("a")}));
        let order = match kind {
            Kind::Docker => {
                let mut args = order.data()["options"]["args"].as_array().unwrap().clone();
                args.push(json!("third word"));
                order.option("args", args)
            }
            Kind::Bar => order.option("args", json!(["third word"])),
        };
        board.agent.order(&order).done();
        let text = until("it wrote something", || {
            let text = board.agent.log("a", "").json()["text"].as_str().unwrap().to_owned();
            (!text.is_empty()).then_some(text)
        });
        assert_eq!(text, "mode scan 节 and third word\n");
    }
}

#[test]
fn labels_say_whose_a_container_is() {
    let Some(board) = Board::new("labels", Kind::Docker) else { return };
    let id = board.agent.order(&board.serve("a").with("instance_id", "radar").with("index", 2)).done().id;
    let container = board.engine.as_ref().unwrap().inspect(id.as_str().unwrap());
    let labels = &container["Config"]["Labels"];
    assert_eq!(labels["cardcage.agent"], board.agent.id());
    assert_eq!((&labels["cardcage.uuid"], &labels["cardcage.instance_id"]), (&json!("a"), &json!("radar")));
}

/// A port that nobody has.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn ports_are_published_as_far_as_they_are_granted() {
    let port = free_port();
    let config = format!("[plugins.grants.deploy-docker.containers]\nports = \"{port}\"");
    let Some(board) = Board::with("ports", Kind::Docker, &config) else { return };
    let serve = "mkdir /www; echo from inside > /www/index.html; exec httpd -f -p 80 -h /www";
    let order = |host: u16| {
        board.script("a", serve).option("network", "bridge").option("ports", json!([format!("{host}:80")]))
    };
    board.agent.order(&order(443)).refused(10, &["443", "ports"]);
    board.agent.order(&order(port)).done();
    let address = std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let answer = until("the port answers", || get(address, "/").ok());
    assert_eq!(answer.body, "from inside\n");
    board.stop("a").done();
    assert!(get(address, "/").is_err());
}

#[test]
fn folders_are_mounted_as_far_as_they_are_granted() {
    let set_up = |world: &cardcage_tests::World| {
        let folder = world.place("data");
        std::fs::write(folder.join("word"), "from the board").unwrap();
        std::os::unix::fs::symlink("/etc", folder.join("out")).unwrap();
        format!("[plugins.grants.deploy-docker.containers]\nmounts = [{folder:?}]")
    };
    let Some(board) = Board::set_up("mounts", Kind::Docker, set_up) else { return };
    let data = board.world.folder().join("data");
    let order = |source: &str| {
        let line =
            "cat /data/word; echo written > /data/answer || echo refused; while :; do sleep 1000; done";
        board.script("a", line).option("mounts", json!([format!("{source}:/data:ro")]))
    };
    for source in ["/etc", "/", &format!("{}/..", data.display()), &format!("{}/out", data.display())] {
        let reply = board.agent.order(&order(source));
        assert!([1, 7, 10].contains(&reply.result), "{source}: {reply:?}");
        assert_eq!(board.remains("a"), Vec::<String>::new(), "{source}");
    }
    board.agent.order(&order("/etc")).refused(10, &["/etc", "mounts"]);
    board.agent.order(&order(data.to_str().unwrap())).done();
    until("it read and wrote", || {
        let text = board.agent.log("a", "").json()["text"].as_str().unwrap().to_owned();
        (text.contains("from the board") && text.contains("refused")).then_some(())
    });
    assert!(!data.join("answer").exists());
}

#[test]
fn the_network_of_the_board_is_granted_or_refused() {
    let Some(board) = Board::new("networks", Kind::Docker) else { return };
    board.agent.order(&board.serve("a").option("network", "host")).refused(10, &["host", "networks"]);
    let granted = "[plugins.grants.deploy-docker.containers]\nnetworks = [\"host\"]";
    let Some(board) = Board::with("networks", Kind::Docker, granted) else { return };
    let id = board.agent.order(&board.serve("a").option("network", "host")).done().id;
    let container = board.engine.as_ref().unwrap().inspect(id.as_str().unwrap());
    assert_eq!(container["HostConfig"]["NetworkMode"], "host");
}

#[test]
fn what_is_to_be_started_again_is_started_again() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("restarts", kind) else { continue };
        let line = "echo began; sleep 0.2; exit 1";
        board.agent.deploy(&board.script("a", line).option("restart", "on-failure").body());
        until("it began three times", || {
            let answer = board.agent.log("a", "tail=100");
            (answer.status == 200 && answer.body.matches("began").count() >= 3).then_some(())
        });
        let state = board.agent.deployment("a").unwrap()["state"].clone();
        assert!(["RUNNING", "PENDING"].contains(&state.as_str().unwrap()), "{state}");
        board.stop("a").done();
        assert_eq!(board.remains("a"), Vec::<String>::new());
        assert!(board.agent.deploy(&board.serve("b").option("restart", "sometimes").body()).result == 1);
    }
}
