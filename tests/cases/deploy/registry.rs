//! Images from a registry, a real one: with credentials and without.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use cardcage_tests::{Board, Kind, Order, Process, SERVE, image, skip, until};
use serde_json::json;

/// `user` and a password that is the test vector of the hash.
const PASSWORD: &str = "U*U";
const USERS: &str = "user:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";
/// `{}`: the engine wants to be told who asks, if only that it is nobody.
const NOBODY: &str = "e30=";

/// `docker-registry` on a port of the loopback. Two on one folder have the same images.
struct Registry {
    at: SocketAddrV4,
    _process: Process,
}

impl Registry {
    fn start(folder: &Path, name: &str, users: bool) -> Option<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let images = folder.join("images");
        let mut config = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {at}\n",
            images.display()
        );
        if users {
            let file = folder.join("htpasswd");
            std::fs::write(&file, USERS).unwrap();
            config += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display());
        }
        let file = folder.join(format!("{name}.yml"));
        std::fs::File::create(&file).unwrap().write_all(config.as_bytes()).unwrap();
        if Command::new("docker-registry").arg("--version").output().is_err() {
            skip("deploys from a registry", "docker-registry");
            return None;
        }
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file);
        let process = Process::start(name, command, &folder.join(format!("{name}.log")));
        until("the registry answers", || cardcage_tests::get(at, "/v2/").ok());
        Some(Self { at, _process: process })
    }
}

#[test]
fn images_come_from_registries_with_the_operators_credentials() {
    let mut registries = None;
    let set_up = |world: &cardcage_tests::World| {
        let folder = world.place("registry");
        let both = Registry::start(&folder, "open", false).zip(Registry::start(&folder, "closed", true));
        let Some((open, closed)) = both else { return String::new() };
        let password = folder.join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        let config = format!(
            "[deploy.registries.\"{}\"]\nusername = \"user\"\npassword_file = {password:?}",
            closed.at
        );
        registries = Some((open, closed));
        config
    };
    let Some(board) = Board::set_up("a registry", Kind::Docker, set_up) else { return };
    let Some((open, closed)) = registries else { return };
    let engine = board.engine.as_ref().unwrap();
    let name = format!("{}/team/serve", open.at);
    // An image of its own: one that a container of another test is made of could not be removed.
    engine.load(&image(&format!("{name}:1"), &["sh", "-c", &format!(": from {name}; {SERVE}")]));
    let pushed =
        engine.ask("POST", &format!("/images/{name}/push?tag=1"), &[("X-Registry-Auth", NOBODY)], b"");
    let pushed = pushed.unwrap();
    assert!(pushed.status == 200 && !pushed.body.contains("error"), "{pushed:?}");
    engine.does("DELETE", &format!("/images/{name}:1"));

    let order = |uuid: &str, url: String, file: &str| {
        let order = Order::new("docker", uuid, &url, file).require(1, 16);
        let name = format!("{}-{uuid}", board.agent.service().ip());
        order
            .with("name", name)
            .option("network", "none")
            .option("grace", 0)
            .option("env", json!({"MARK": board.mark(uuid)}))
    };
    // A registry is one whether it is written as one, or found to be one.
    let places = [
        open.at.to_string(),
        format!("http://{}", open.at),
        closed.at.to_string(),
        format!("http://{}", closed.at),
    ];
    for (number, url) in places.into_iter().enumerate() {
        let order = order(&format!("a{number}"), url, "team/serve:1");
        board.agent.order(&order).done();
        assert!(board.instance(order.uuid()).lives());
        board.stop(order.uuid()).done();
    }
    for (number, file) in ["team/serve:2", "team/absent:1"].into_iter().enumerate() {
        board.agent.order(&order(&format!("b{number}"), open.at.to_string(), file)).refused(6, &[file]);
    }
    for url in [open.at, closed.at] {
        let _kept = engine.ask("DELETE", &format!("/images/{url}/team/serve:1"), &[], b"");
    }
}

#[test]
fn a_registry_refuses_who_has_no_credentials() {
    let mut registry = None;
    let set_up = |world: &cardcage_tests::World| {
        registry = Registry::start(&world.place("registry"), "closed", true);
        String::new()
    };
    let Some(board) = Board::set_up("a registry without credentials", Kind::Docker, set_up) else { return };
    let Some(registry) = registry else { return };
    let order = Order::new("docker", "a", &registry.at.to_string(), "team/serve:1");
    let reply = board.agent.order(&order);
    assert!([6, 10].contains(&reply.result), "{reply:?}");
    assert!(reply.message.contains(&registry.at.to_string()), "{reply:?}");
}
