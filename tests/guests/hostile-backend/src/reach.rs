//! Reaching for what was not granted. Every function says what became of each attempt: the code, or that it was done.

use cardcage_sdk::containers::{self, Mount, Port, Spec};
use cardcage_sdk::deploy::Order;
use cardcage_sdk::{Error, artifacts, processes, state};

use super::{attempt, create};

/// The code alone: many attempts have to fit into one message.
fn code(what: &str, done: Result<(), Error>) -> String {
    format!("{what}: {}", done.map_or_else(|error| error.code, |()| "done".into()))
}

pub(crate) fn without_deployment(url: &str) -> String {
    let told = [
        code("fetch", artifacts::fetch(&format!("{url}/run.tar"), None).map(|_| ())),
        code("is-registry", artifacts::is_registry(url).map(|_| ())),
        code("pull", containers::pull("registry.example/app:1").map(|_| ())),
        code("create", containers::create(&container()).map(|_| ())),
        code("find container", containers::find().map(|_| ())),
        code("find program", processes::find().map(|_| ())),
        code("get", state::get("key").map(|_| ())),
        code("set", state::set("key", "value")),
        code("remove", state::remove("key")),
    ];
    told.join("; ")
}

/// Nothing of it is granted, so no engine hears of it.
pub(crate) fn for_the_board(link: &str) -> String {
    let ask = |what: &str, spec: Spec| attempt(what, containers::create(&spec).map(|_| ()));
    let network = |network: &str| Spec { network: Some(network.into()), ..container() };
    let mount = |source: &str| {
        let mount = Mount { source: source.into(), target: "/board".into(), read_only: true };
        Spec { mounts: vec![mount], ..container() }
    };
    let port =
        |host| Spec { ports: vec![Port { host, container: 80, protocol: "tcp".into() }], ..container() };
    let told = [
        ask("host network", network("host")),
        ask("a stranger's network", network("container:0123")),
        ask("root", mount("/")),
        ask("etc", mount("/etc")),
        ask("climb", mount("/srv/../etc")),
        ask("link", mount(link)),
        ask("port", port(1023)),
        ask("no port", port(0)),
    ];
    told.join("; ")
}

pub(crate) fn container() -> Spec {
    Spec {
        image: "busybox".into(),
        name: "escape".into(),
        command: Vec::new(),
        environment: Vec::new(),
        ports: Vec::new(),
        mounts: Vec::new(),
        network: None,
        restart: "no".into(),
        init: false,
    }
}

pub(crate) fn for_other_users(order: &Order) -> Result<String, Error> {
    let ask = |user: Option<&str>| attempt(user.unwrap_or("nobody named"), create(order, user).map(|_| ()));
    let told = [ask(Some("root")), ask(Some("0")), ask(Some("")), ask(None)];
    match processes::find()? {
        None => Ok(told.join("; ")),
        Some(_) => Ok(format!("there is a program; {}", told.join("; "))),
    }
}

pub(crate) fn elsewhere(addresses: &[String]) -> String {
    let fetch = |address: &String| attempt(address, artifacts::fetch(address, None).map(|_| ()));
    addresses.iter().map(fetch).collect::<Vec<_>>().join("; ")
}

pub(crate) fn beyond_state() -> String {
    let told = [
        code("a long value", state::set("value", &"x".repeat((64 << 10) + 1))),
        code("a long key", state::set(&"k".repeat(65), "")),
        code("64 keys", (0..64).try_for_each(|key| state::set(&key.to_string(), "x"))),
        code("one more", state::set("one more", "")),
        code("as much as fits", state::set("0", &"x".repeat((64 << 10) - 63))),
        code("a byte more", state::set("1", "xx")),
    ];
    told.join("; ")
}
