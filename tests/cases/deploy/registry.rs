//! Images from a registry, a real one: with credentials and without.

use std::os::unix::fs::PermissionsExt as _;

use cardcage_tests::{Board, Door, Kind, Order, Registry, SERVE, USER, image};
use serde_json::json;

/// `{}`: the engine wants to be told who asks, if only that it is nobody.
const NOBODY: &str = "e30=";

#[test]
fn images_come_from_registries_with_the_operators_credentials() {
    let mut registries = None;
    let set_up = |world: &cardcage_tests::World| {
        let folder = world.place("registry");
        let [open, closed] = [("open", Door::Open), ("closed", Door::Users)]
            .map(|(name, door)| Registry::start("deploys from a registry", &folder, name, &door));
        let both = open.zip(closed);
        let Some((open, closed)) = both else { return String::new() };
        let password = folder.join("password");
        std::fs::write(&password, USER.1).unwrap();
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
        registry =
            Registry::start("deploys from a registry", &world.place("registry"), "closed", &Door::Users);
        String::new()
    };
    let Some(board) = Board::set_up("a registry without credentials", Kind::Docker, set_up) else { return };
    let Some(registry) = registry else { return };
    let order = Order::new("docker", "a", &registry.at.to_string(), "team/serve:1");
    let reply = board.agent.order(&order);
    assert!([6, 10].contains(&reply.result), "{reply:?}");
    assert!(reply.message.contains(&registry.at.to_string()), "{reply:?}");
}
