//! Plugins that a manager brings: to one board, and then to others; and who may not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use cardcage_signature::{SecretKey, sign};
use cardcage_tests::{Agent, HOSTILE, Manager, World, delete, get, put, sha256, typed_as, until};
use serde_json::Value;

/// The hostile guest in one of its modes, as a version of its own.
fn version(version: &str, mode: &str) -> Vec<u8> {
    let manifest = HOSTILE.manifest.replacen("6.6.6", version, 1);
    let manifest = manifest.replacen("default = \"behaves\"", &format!("default = \"{mode}\""), 1);
    HOSTILE.packed_with(&manifest)
}

/// All boards, that of slot 1 first.
const GROUP: [&str; 4] = ["--group", "box=1", "--canary", "1/1/1"];

/// A manager, and boards of chassis 1 that take plugins of one key.
struct Fleet {
    manager: Manager,
    agents: Vec<Agent>,
    key: SecretKey,
    _world: World,
}

impl Fleet {
    #[track_caller]
    fn new(boards: u8) -> Self {
        Self::with(boards, |_, _| "push = true\ntrust = [\"KEY\"]".to_owned())
    }

    /// With this `[plugins]` for each board, by its slot; KEY stands for the key.
    #[track_caller]
    fn with(boards: u8, plugins: impl Fn(&World, u8) -> String) -> Self {
        Self::of("计算I型", boards, plugins)
    }

    /// In chassis whose boards are of this type.
    #[track_caller]
    fn of(kind: &str, boards: u8, plugins: impl Fn(&World, u8) -> String) -> Self {
        let (world, key) = (World::new(), SecretKey::generate().unwrap());
        let manager = world.manager().start();
        let agent = |slot: u8| {
            let plugins = plugins(&world, slot).replace("KEY", &key.public().to_string());
            let board = format!(
                "[board]\nbox_id = 1\nslot_id = {slot}\ncpu_id = 1\nhostname = \"board-{slot}\"\nboard_type = {kind:?}"
            );
            world.agent().config(&plugins).config(&board).start()
        };
        let agents = (1..=boards).map(agent).collect();
        // A selector takes no board that is new.
        manager.until_boards("all boards are known for a while", |known| {
            let is_old = |board: &Value| {
                let seen = humantime::parse_rfc3339(board["first_seen"].as_str().unwrap()).unwrap();
                let age = SystemTime::now().duration_since(seen).unwrap_or_default();
                board["state"] == "up" && age > Duration::from_millis(1500)
            };
            known.len() == usize::from(boards) && known.iter().all(is_old)
        });
        Self { manager, agents, key, _world: world }
    }

    /// The plugin, signed, as a file that an operator has.
    fn file(&self, plugin: &[u8]) -> String {
        self.unsigned(&sign(plugin, &self.key).unwrap())
    }

    fn unsigned(&self, plugin: &[u8]) -> String {
        let path = self.manager.folder().join("hostile.wasm");
        std::fs::write(&path, plugin).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Pushes; whether that went well, and what was printed.
    #[track_caller]
    fn push(&self, file: &str, more: &[&str]) -> (bool, Value, String) {
        let words = ["plugins", "push", file, "--json"];
        let done = self.manager.cardcage(&[&words, more].concat());
        let said = String::from_utf8(done.stderr).unwrap();
        (done.status.success(), serde_json::from_slice(&done.stdout).unwrap_or_default(), said)
    }

    /// The version that runs on each board.
    #[track_caller]
    fn until_versions(&self, versions: &[&str]) {
        for (agent, version) in self.agents.iter().zip(versions) {
            until(&format!("version {version} runs on {}", agent.service()), || {
                let plugin = agent.plugins().into_iter().find(|plugin| plugin.name == "hostile")?;
                let runs = plugin.version == *version && plugin.state == "ready" && plugin.samples > 0;
                (runs && plugin.replacement.is_none()).then_some(())
            });
        }
    }

    /// What lies in the folder of each board.
    fn files(&self) -> Vec<Option<String>> {
        let path = |agent: &Agent| agent.folder().join("plugins/hostile.wasm");
        self.agents.iter().map(|agent| std::fs::read(path(agent)).ok().map(|bytes| sha256(&bytes))).collect()
    }
}

fn outcomes(push: &Value) -> Vec<&str> {
    push["boards"].as_array().unwrap().iter().map(|board| board["outcome"].as_str().unwrap()).collect()
}

#[test]
fn a_plugin_reaches_its_group_and_a_broken_one_stops_at_the_canary() {
    let mut fleet = Fleet::new(3);
    let (good, push, said) = fleet.push(&fleet.file(&version("1", "behaves")), &GROUP);
    assert!(good, "{said}{push}");
    assert_eq!((push["stage"].as_str(), outcomes(&push)), (Some("done"), vec!["running"; 3]));
    fleet.until_versions(&["1"; 3]);
    let first = fleet.files();
    assert!(first.iter().all(|file| file.as_deref() == push["digest"].as_str()), "{first:?}");

    // One that traps: the old version goes on everywhere, and lies on every disk.
    let (good, push, said) = fleet.push(&fleet.file(&version("2", "panics-in-sample")), &GROUP);
    assert!(!good && said.contains("the canary"), "{said}{push}");
    assert_eq!(outcomes(&push), ["failed", "not_begun", "not_begun"]);
    let why = push["boards"][0]["message"].as_str().unwrap();
    assert!(why.contains("quarantined") && why.contains("taken back"), "{why}");
    assert_eq!(fleet.files(), first);
    fleet.until_versions(&["1"; 3]);
    fleet.agents[0].stop();
    fleet.agents[0].start_again();
    fleet.until_versions(&["1"; 3]);

    // One that never gives a sample is given up in time.
    let (good, push, _) = fleet
        .push(&fleet.file(&version("3", "errors-in-sample")), &[&GROUP[..], &["--timeout", "20s"]].concat());
    assert!(!good, "{push}");
    let why = push["boards"][0]["message"].as_str().unwrap();
    assert!(why.contains("nothing is decided after 20s") && why.contains("taken back"), "{why}");
    assert_eq!(fleet.files(), first);

    // One that works takes its place, and the last pushes are remembered.
    let (good, push, said) = fleet.push(&fleet.file(&version("4", "behaves")), &GROUP);
    assert!(good, "{said}{push}");
    fleet.until_versions(&["4"; 3]);
    let pushes = String::from_utf8(fleet.manager.cardcage(&["plugins", "pushes"]).stdout).unwrap();
    assert_eq!(pushes.matches("stopped").count(), 2, "{pushes}");
    fleet.is_shown();
}

impl Fleet {
    /// What the boards have and what it costs, as an operator asks for it.
    #[track_caller]
    fn is_shown(&self) {
        let all = String::from_utf8(self.manager.cardcage(&["plugins"]).stdout).unwrap();
        assert!(all.contains("hostile"), "{all}");
        let shown = self.manager.cardcage(&["plugins", "hostile", "--json"]);
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(shown["boards"].as_array().unwrap().len(), 3);
        for board in shown["boards"].as_array().unwrap() {
            let plugin = &board["plugins"][0];
            assert_eq!((&board["answered"], &plugin["version"]), (&true.into(), &"4".into()));
            let cost = &plugin["cost"];
            assert!(cost["samples"].as_u64() > Some(0) && cost["cpu_ms"].as_f64() > Some(0.0), "{plugin}");
            assert!(cost["host_calls"].is_u64() && cost["memory"].as_u64() > Some(0), "{plugin}");
            assert!(plugin["readings"].is_u64() && plugin["trust"].as_str().unwrap().contains("signed by"));
            assert_eq!(plugin["asked"], plugin["given"]);
        }
        let table =
            String::from_utf8(self.manager.cardcage(&["plugins", "--board", "1/2/1"]).stdout).unwrap();
        let row = table.lines().find(|line| line.starts_with("hostile ")).unwrap();
        assert!(
            ["ready", "files /sys/class/hwmon", "signed by", " ms"].iter().all(|word| row.contains(word)),
            "{row}"
        );
        let nobody = self.manager.cardcage(&["plugins", "nobody"]);
        assert!(String::from_utf8(nobody.stderr).unwrap().contains("no such plugin"));
    }
}

#[test]
fn a_board_that_does_not_answer_is_shown_as_it_last_reported() {
    let mut fleet = Fleet::new(2);
    fleet.agents[1].kill();
    let shown = fleet.manager.cardcage(&["plugins", "cpu"]);
    let said = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success() && said.contains("is shown as it last reported"), "{said}");
    assert_eq!(said.matches(" ready ").count(), 2, "{said}");
}

#[test]
fn a_push_is_refused_where_it_is_not_wanted() {
    let fleet = Fleet::with(3, |world, slot| match slot {
        // It answers queries, which come from the manager's own address, and nobody who connects from another.
        2 => {
            let manager = world.address(1);
            format!("push = true\ntrust = [\"KEY\"]\n[managers]\nallow = [\"{manager}/32\"]")
        }
        3 => "trust = [\"KEY\"]".to_owned(),
        _ => "push = true\ntrust = [\"KEY\"]".to_owned(),
    });
    let refused = |file: &str, slot: u8| {
        let place = format!("1/{slot}/1");
        let (good, push, said) = fleet.push(file, &["--board", &place, "--canary", &place]);
        assert!(!good, "{push}{said}");
        assert_eq!(outcomes(&push), ["refused"], "{push}");
        push["boards"][0]["message"].as_str().unwrap().to_owned()
    };
    let stranger = SecretKey::generate().unwrap();
    let unsigned = refused(&fleet.unsigned(&version("1", "behaves")), 1);
    assert!(
        unsigned.contains("not signed") && unsigned.contains("`cardcage-agent plugin sign`"),
        "{unsigned}"
    );
    let foreign = sign(&version("1", "behaves"), &stranger).unwrap();
    assert!(refused(&fleet.unsigned(&foreign), 1).contains("none of which is trusted here"));
    let good = fleet.file(&version("1", "behaves"));
    assert!(refused(&good, 2).contains("managers.allow"));
    assert!(refused(&good, 3).contains("push = true"));
    // Whoever is no operator of the manager pushes nothing.
    let plain = fleet.manager.post("/fleet/v1/plugin-pushes?file=a.wasm&group=box=1", b"\0asm");
    assert_eq!(plain.status, 401, "{plain:?}");
    let (_, _, said) = fleet.push(&fleet.unsigned(b"hello"), &GROUP);
    assert!(said.contains("no WebAssembly"), "{said}");
    assert_eq!(fleet.files(), [None, None, None]);
}

#[test]
fn an_agent_takes_nothing_but_a_plugin_into_its_folder() {
    let fleet = Fleet::new(1);
    let (agent, service) = (&fleet.agents[0], fleet.agents[0].service());
    let plugin = sign(&version("1", "behaves"), &fleet.key).unwrap();
    for name in [
        "..%2fagent.toml",
        "%2e%2e%2fa.wasm",
        "../state/a.wasm",
        ".hidden.wasm",
        "a.cwasm",
        "a.wasm.txt",
        "sub/a.wasm",
        "a%00.wasm",
        &format!("{}.wasm", "a".repeat(251)),
    ] {
        // Nothing in the body: an answer can be lost with a connection that is closed before all was read.
        let answer = put(service, &format!("/plugins/{name}"), b"").unwrap();
        assert!(answer.status == 400 || answer.status == 404 || answer.status == 405, "{name}: {answer:?}");
    }
    // What is announced as too long is not read.
    let mut stream = TcpStream::connect(service).unwrap();
    write!(stream, "PUT /plugins/a.wasm HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", (64 << 20) + 1)
        .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
    let taken = put(service, "/plugins/hostile.wasm", &plugin).unwrap();
    assert_eq!((taken.status, taken.json()["changed"].clone()), (200, true.into()), "{taken:?}");
    let digest = sha256(&plugin);
    assert_eq!(get(service, "/plugins/hostile.wasm").unwrap().json()["digest"], *digest);
    agent.until_plugin("hostile", "ready");
    // It is taken back by its content, and by nothing else.
    let back = |of: &str| delete(service, &format!("/plugins/hostile.wasm?digest={of}"), None).unwrap();
    assert_eq!(back("").status, 400);
    assert_eq!(back(&"0".repeat(64)).status, 409);
    assert_eq!(back(&digest).status, 200);
    until("it is gone", || agent.plugins().iter().all(|plugin| plugin.name != "hostile").then_some(()));
    let names = std::fs::read_dir(agent.folder().join("plugins")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [".pushed"]);
}

#[test]
fn pushes_need_a_policy_and_a_key() {
    let world = World::new();
    for wrong in ["push = true", "push = true\ntrust = [\"KEY\"]\npolicy = \"warn\"", "pushes = true"] {
        let key = SecretKey::generate().unwrap().public().to_string();
        let check = world.agent().config(&wrong.replace("KEY", &key)).output(&["check"]);
        let said = String::from_utf8([check.stdout, check.stderr].concat()).unwrap();
        assert!(!check.status.success() && said.contains("push"), "{wrong}: {said}");
    }
}

/// What the README says about pushes, typed.
#[test]
fn the_readmes_push_can_be_typed() {
    let fleet = Fleet::of("GPU", 3, |_, slot| {
        let mode = if slot == 3 { "has-nothing-to-do" } else { "behaves" };
        format!("push = true\ntrust = [\"KEY\"]\n[plugins.settings.acme-cpld]\nmode = \"{mode}\"")
    });
    let manifest = HOSTILE.manifest.replacen("\"hostile\"", "\"acme-cpld\"", 1);
    let file = fleet.manager.folder().join("acme-cpld.wasm");
    let write = |version: &str| {
        let plugin = HOSTILE.packed_with(&manifest.replacen("6.6.6", version, 1));
        std::fs::write(&file, sign(&plugin, &fleet.key).unwrap()).unwrap();
    };
    // A board that runs an older one will be the canary.
    write("1");
    let (good, _, said) = fleet.push(file.to_str().unwrap(), &GROUP);
    assert!(good, "{said}");
    write("2");
    let run = |line: &str| {
        let done = fleet.manager.operator("sh").args(["-c", line]).output().unwrap();
        assert!(done.status.success(), "{line}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let push = typed_as("README.md", "cardcage plugins push ");
    let said = run(&push.command);
    // Ids and digests are others, and with the ids the order.
    let rows = |text: &str| {
        let row = |line: &str| {
            let words: Vec<_> = line.split_whitespace().collect();
            (words[0].to_owned(), words.contains(&"canary"))
        };
        let mut rows: Vec<_> = text.lines().map(row).collect();
        rows.sort();
        rows
    };
    assert_eq!(rows(&said), rows(&push.says), "{said}");
    for part in
        ["  it runs", "not for this board: idle: nothing to do on this board", " runs on 2 of 3 boards"]
    {
        assert!(said.contains(part), "{said}");
    }
    let pushes = run(&typed_as("README.md", "cardcage plugins pushes").command);
    let id = pushes.split_whitespace().find(|word| word.len() == 36).unwrap();
    let stop = typed_as("README.md", "cardcage plugins stop ").command;
    let (words, _) = stop.rsplit_once(' ').unwrap();
    run(&format!("{words} {id}"));
}
