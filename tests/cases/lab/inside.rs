//! What runs on the lab board, where there are four cores and only version 2 of control groups.

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use cardcage_tests::{Agent, Order, Repository, SERVE, World, census, script, until};
use serde_json::json;

/// What the kernel writes: `0-1,3`.
fn cores(list: &str) -> BTreeSet<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap();
    let ranges = list.trim().split(',').map(|range| range.split_once('-').unwrap_or((range, range)));
    ranges.flat_map(|(first, last)| number(first)..=number(last)).collect()
}

/// The control group of a process, in the only hierarchy there is.
fn group_of(pid: i32) -> PathBuf {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = text.trim().strip_prefix("0::/").unwrap();
    Path::new("/sys/fs/cgroup").join(path)
}

/// An agent that deploys packages, with what the board has compiled before.
#[track_caller]
fn agent(world: &World) -> Agent {
    let plan = world.agent().cold();
    let own = plan.folder().join("state/compiled");
    DirBuilder::new().mode(0o700).recursive(true).create(&own).unwrap();
    for entry in std::fs::read_dir("/lab/state/compiled").unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), own.join(entry.file_name())).unwrap();
    }
    let agent = plan.start();
    agent.until_plugin("deploy-bar", "ready");
    agent
}

/// The only instance of a deployment, by the mark in its environment.
#[track_caller]
fn instance(uuid: &str) -> census::Seen {
    until(&format!("{uuid} has one instance"), || match census::instances().remove(uuid)?.as_slice() {
        [only] => Some(*only),
        _ => None,
    })
}

#[test]
#[ignore = "runs on the lab board, which lab.rs starts"]
fn exclusive_cores_never_overlap_and_nothing_is_left() {
    assert!(Path::new("/sys/fs/cgroup/cgroup.controllers").exists(), "this is version 2");
    let world = World::new();
    let repository = Repository::open(world.address(200));
    repository.put("serve.bar", script("serve", SERVE, "stop_grace = \"1s\""));
    let agent = agent(&world);
    let order = |uuid: &str, cores: u32, mebibytes: u64| {
        let order = Order::new("bar", uuid, &repository.url(), "serve.bar").require(cores, mebibytes);
        order.option("env", json!({"MARK": uuid}))
    };
    let orders = [order("a", 1, 32), order("b", 2, 48), order("c", 1, 64)];
    // At once, as by a manager that fills a board.
    std::thread::scope(|scope| {
        orders.iter().for_each(|order| drop(scope.spawn(|| agent.order(order).done())));
    });

    let mut taken = BTreeSet::new();
    for order in &orders {
        let instance = instance(order.uuid());
        let own = cores(&instance.cores().unwrap());
        let require = &order.data()["require"];
        assert_eq!(own.len() as u64, require["cpu"].as_u64().unwrap(), "{}: {own:?}", order.uuid());
        assert!(own.is_disjoint(&taken), "{} has {own:?}, of which others have {taken:?}", order.uuid());
        taken.extend(own.iter().copied());
        let group = group_of(instance.pid);
        let says = |file: &str| std::fs::read_to_string(group.join(file)).unwrap();
        assert_eq!(cores(&says("cpuset.cpus.effective")), own);
        assert_eq!(says("memory.max").trim(), require["memory"].to_string());
    }
    assert_eq!(taken, (0..4).collect(), "the whole board is given away");
    agent.order(&order("d", 1, 32)).refused(4, &["core"]);

    for order in &orders {
        let id = agent.deployment(order.uuid()).unwrap()["id"].clone();
        agent.deploy(&order.stop(&id)).done();
        assert!(!census::marked().contains_key(order.uuid()), "{} was stopped", order.uuid());
    }
    assert_eq!(census::program_groups(&agent.id()), Vec::<PathBuf>::new());
    assert_eq!(std::fs::read_dir(agent.folder().join("state/deploys/programs")).unwrap().count(), 0);
    // What was given back can be given again.
    agent.order(&order("d", 4, 32)).done();
    assert_eq!(cores(&instance("d").cores().unwrap()), taken);
}
