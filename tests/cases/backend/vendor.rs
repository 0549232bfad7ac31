//! A vendor's backend alone teaches the agent a new type of software: no rebuild, one file in a folder.

use cardcage_tests::{
    DEPLOY_ONESHOT, Guest, Order, PROBE_THAT_DEPLOYS, TWO_ROLES, World, gzip, tar, typed_as, until,
};

use super::yard::{board, grants, order, program};

/// The vendor's backend under other names.
fn renamed(name: &str, kind: &str) -> Vec<u8> {
    let manifest = DEPLOY_ONESHOT.manifest.replace("\"deploy-oneshot\"", &format!("{name:?}"));
    DEPLOY_ONESHOT.packed_with(&manifest.replace("\"oneshot\"", &format!("{kind:?}")))
}

#[test]
fn a_backend_alone_teaches_the_agent_a_new_type() {
    let Some(mut board) = board("a vendor's backend", |plan, world| {
        plan.plugin("deploy-oneshot.wasm", DEPLOY_ONESHOT.packed())
            .config(&grants("deploy-oneshot", world))
            .config("[plugins.settings.deploy-oneshot]\nprogram = \"work\"")
    }) else {
        return;
    };
    board.repository.put("work.tar", tar(&[("work", b"#!/bin/sh\nexec sleep 1000000\n")]));
    let plugin = board.agent.until_plugin("deploy-oneshot", "ready");
    assert!(
        !plugin.built_in && plugin.imports.iter().any(|import| import.starts_with("cardcage:host/state@"))
    );

    let order = order(&board, "oneshot", "batch-7", "work.tar");
    let started = board.agent.order(&order).done();
    let name = || board.agent.until_state("batch-7", "RUNNING")["name"].clone();
    assert_eq!(name(), "batch-7, asked 1 times");
    let worker = program(&board, "batch-7");

    // What it wrote down is there after a crash of the agent, and the program is the same.
    board.agent.kill();
    board.agent.start_again();
    assert_eq!(board.agent.order(&order).done().id, started.id);
    let name = || board.agent.until_state("batch-7", "RUNNING")["name"].clone();
    assert_eq!(name(), "batch-7, asked 2 times");
    assert!(worker.lives());
    assert_eq!(board.reported("batch-7")["config"]["name"], "batch-7, asked 2 times");

    board.agent.deploy(&order.stop(&started.id)).done();
    assert_eq!(board.remains("batch-7"), Vec::<String>::new());
    assert_eq!(board.remains_of_programs(), Vec::<String>::new());
    // For as long as the deployment is known.
    let id = board.agent.order(&order).done().id;
    assert_eq!(name(), "batch-7, asked 3 times");
    board.agent.deploy(&order.stop(&id)).done();
}

/// What the guide to backends orders, typed, of a backend of that type.
#[test]
fn the_guides_order_can_be_typed() {
    let Some(board) = board("the guide's order to a backend", |plan, world| {
        plan.plugin("acme-kit.wasm", renamed("acme-kit", "kit"))
            .config(&grants("acme-kit", world))
            .config("[board]\nbox_id = 1\nslot_id = 3\ncpu_id = 1")
    }) else {
        return;
    };
    board.repository.put("kits/radar.tar.gz", gzip(&tar(&[("run", b"#!/bin/sh\nexec sleep 1000000\n")])));
    board.agent.until_plugin("acme-kit", "ready");
    let manager = board.world.manager().start();
    manager.until_boards("the board is up", |boards| boards.len() == 1 && boards[0]["state"] == "up");
    let order = typed_as("sdk/guide/write-a-backend.md", "cardcage deploy ");
    let line = order.command.replace("http://repo.example", &board.repository.url());
    let done = manager.operator("sh").args(["-c", &line]).output().unwrap();
    assert!(done.status.success(), "{line}: {done:?}");
    let ids = |text: &str| -> Vec<_> {
        let lines = text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect());
        let mut lines: Vec<Vec<String>> = lines.collect();
        lines[1].drain(1..4);
        lines
    };
    let said = String::from_utf8(done.stdout).unwrap();
    assert_eq!(ids(&said), ids(&order.says), "{said}");
}

#[test]
fn without_its_grants_it_is_refused_with_what_to_grant() {
    let world = World::new();
    for (given, missing) in [
        ("", "[plugins.grants.deploy-oneshot] artifacts = [\"HOST\"]"),
        ("[plugins.grants.deploy-oneshot]\nartifacts = [\"*\"]", "[plugins.grants.deploy-oneshot.processes]"),
    ] {
        let plan = world.agent().plugin("deploy-oneshot.wasm", DEPLOY_ONESHOT.packed());
        let agent = plan.config(given).start();
        let reason = agent.until_plugin("deploy-oneshot", "refused").reason.unwrap();
        assert!(reason.contains("which is not granted") && reason.ends_with(missing), "{reason}");
        let order = Order::new("oneshot", "a", "http://127.0.0.1", "run.tar");
        agent.order(&order).refused(2, &["type \"oneshot\" is not served here", "bar, docker"]);
        assert_eq!(agent.deployments(), [] as [serde_json::Value; 0]);
    }
}

#[test]
fn an_unknown_type_is_refused_with_those_that_are_known() {
    let world = World::new();
    let plan = world.agent().plugin("deploy-oneshot.wasm", DEPLOY_ONESHOT.packed());
    let agent = plan.config(&grants("deploy-oneshot", &world)).start();
    let order = Order::new("floppy", "a", "http://127.0.0.1", "a.img");
    agent.order(&order).refused(2, &["type \"floppy\" is not served here; known are: bar, docker, oneshot"]);
}

#[test]
fn of_two_plugins_of_one_type_the_second_is_refused() {
    let world = World::new();
    let plan = world.agent().plugin("a.wasm", DEPLOY_ONESHOT.packed());
    let plan = plan.plugin("b.wasm", renamed("deploy-twice", "oneshot"));
    let plan = plan.plugin("c.wasm", renamed("deploy-other", "docker"));
    let granted =
        ["deploy-oneshot", "deploy-twice", "deploy-other"].map(|name| grants(name, &world)).concat();
    let agent = plan.config(&granted).start();
    agent.until_plugin("deploy-oneshot", "ready");
    agent.until_plugin("deploy-docker", "ready");
    for (second, kind, first) in
        [("deploy-twice", "oneshot", "deploy-oneshot"), ("deploy-other", "docker", "deploy-docker")]
    {
        let reason = agent.until_plugin(second, "refused").reason.unwrap();
        let expected = format!("serves the type {kind:?}, which {first} serves already; remove one of them");
        assert_eq!(reason, expected);
    }
}

#[test]
fn a_file_replaces_the_built_in_backend_of_its_name_without_its_grants() {
    let world = World::new();
    let agent = world.agent().plugin("bar.wasm", renamed("deploy-bar", "bar")).start();
    // The built-in one goes on until the file can serve.
    let plugin = until("the file is kept out", || {
        let plugin = agent.until_plugin("deploy-bar", "ready");
        plugin.replacement.is_some().then_some(plugin)
    });
    assert!(plugin.built_in, "{plugin:?}");
    let replacement = plugin.replacement.unwrap();
    assert_eq!((replacement.version.as_str(), replacement.state.as_str()), ("1.0.0", "refused"));
    assert!(replacement.reason.unwrap().contains("[plugins.grants.deploy-bar] artifacts"));
}

#[test]
fn a_file_that_replaces_a_built_in_backend_serves_with_grants_of_its_own() {
    let Some(board) = board("a backend in place of a built-in one", |plan, world| {
        plan.plugin("bar.wasm", renamed("deploy-bar", "bar")).config(&grants("deploy-bar", world))
    }) else {
        return;
    };
    until("the file serves", || (!board.agent.until_plugin("deploy-bar", "ready").built_in).then_some(()));
    let order = order(&board, "bar", "replaced", "run.tar");
    let id = board.agent.order(&order).done().id;
    assert_eq!(board.agent.until_state("replaced", "RUNNING")["name"], "replaced, asked 1 times");
    board.agent.deploy(&order.stop(&id)).done();
    assert_eq!(board.remains("replaced"), Vec::<String>::new());
}

#[test]
fn what_is_neither_probe_nor_backend_is_refused() {
    for (guest, name, grant, reason) in [
        (TWO_ROLES, "two-roles", "", "exports both cardcage:probe/sampler and cardcage:deploy/deployer"),
        (
            PROBE_THAT_DEPLOYS,
            "probe-that-deploys",
            "[plugins.grants.probe-that-deploys.containers]",
            "imports cardcage:host/containers@0.1.0, which only deploy backends have",
        ),
    ] {
        check_refused(guest, name, grant, reason);
    }
}

#[track_caller]
fn check_refused(guest: Guest, name: &str, grant: &str, reason: &str) {
    let world = World::new();
    let agent = world.agent().plugin(&format!("{name}.wasm"), guest.packed()).config(grant).start();
    let refused = agent.until_plugin(name, "refused");
    assert!(refused.reason.as_deref().unwrap().contains(reason), "{refused:?}");
    world.listener().answer("/heartbeat");
}
