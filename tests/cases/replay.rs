//! Boards that are not here, replayed from a folder; and boards whose kernel says nothing, or nonsense, or nothing in
//! time.

use std::ffi::CString;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cardcage_tests::{Agent, Listener, World, until};
use expect_test::{ExpectFile, expect_file};
use serde_json::Value;

const PHYTIUM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/boards/phytium-d2000");
const PROBES: [&str; 7] = ["cpu", "disk", "gpu", "hwmon", "identity", "memory", "network"];

/// A copy of a board that a test may damage.
fn copy(world: &World, board: &str) -> PathBuf {
    let copy = world.folder().join("board");
    let done = Command::new("cp").args(["-a", board]).arg(&copy).status().unwrap();
    assert!(done.success());
    copy
}

/// Waits until every probe that does so often was asked for as many more samples, whether it had one or not.
#[track_caller]
fn until_sampled(agent: &Agent, more: u64) {
    let asked = |probe| {
        let plugin = agent.plugin(probe);
        plugin.samples + plugin.failures
    };
    let often = ["cpu", "gpu", "hwmon", "memory", "network"];
    let wanted = often.map(|probe| asked(probe) + more);
    for (probe, wanted) in often.into_iter().zip(wanted) {
        until(&format!("{probe} was asked"), || (asked(probe) >= wanted).then_some(()));
    }
}

/// Without what differs each time: ages, identities, digests.
fn settled(mut report: Value) -> Value {
    match &mut report {
        Value::Object(fields) => {
            for unsettled in ["age_ms", "agent_id", "query_id", "host_ip", "service_port", "digest"] {
                fields.remove(unsettled);
            }
            for value in fields.values_mut() {
                *value = settled(value.take());
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = settled(item.take());
            }
        }
        _ => {}
    }
    report
}

#[track_caller]
fn check(manager: &Listener, url: &str, expected: &ExpectFile) {
    let report = settled(manager.answer(url).body);
    expected.assert_eq(&(serde_json::to_string_pretty(&report).unwrap() + "\n"));
}

#[test]
fn an_arm_board_is_reported_as_it_was_recorded() {
    let world = World::new();
    let agent = world.agent().replaying(Path::new(PHYTIUM)).start();
    let manager = world.listener();
    for probe in PROBES {
        agent.until_plugin(probe, "ready");
    }
    // The power that a counter of energy tells is a difference.
    until_sampled(&agent, 1);
    check(
        &manager,
        "/heartbeat",
        &expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/boards/phytium-d2000/heartbeat.json")],
    );
    check(
        &manager,
        "/resource",
        &expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/boards/phytium-d2000/resource.json")],
    );
    let faults: Vec<_> = agent.plugins().into_iter().flat_map(|plugin| plugin.faults).collect();
    assert_eq!(faults, [] as [String; 0]);
}

#[test]
fn usage_is_the_share_of_the_time_since_the_last_sample() {
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    let agent = world.agent().replaying(&board).start();
    let manager = world.listener();
    until_sampled(&agent, 1);
    // 300 more ticks in user mode, 100 more idle.
    let stat = fs::read_to_string(board.join("proc/stat")).unwrap();
    let later = stat.replace("cpu  1000 50 400 8000", "cpu  1300 50 400 8100");
    assert_ne!(stat, later);
    fs::write(board.join("proc/stat.new"), later).unwrap();
    fs::rename(board.join("proc/stat.new"), board.join("proc/stat")).unwrap();
    until("usage is 75 %", || {
        (manager.answer("/resource").readings()["cpu"]["usage_percent"] == 75.0).then_some(())
    });
}

/// The agent is asked while something is done to the board, and answers at once.
#[track_caller]
fn answers_while(agent: &Agent, manager: &Listener, mut act: impl FnMut(u32), rounds: u32) {
    for round in 0..rounds {
        act(round);
        let asked = Instant::now();
        let took = manager.answer("/resource").at.saturating_duration_since(asked);
        assert!(took < Duration::from_secs(1), "the report took {took:?}");
    }
    for probe in PROBES {
        let plugin = agent.plugin(probe);
        assert_eq!((plugin.restarts, plugin.state.as_str()), (0, "ready"), "{plugin:?}");
    }
}

#[test]
fn files_that_come_and_go_cost_their_own_readings_only() {
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    let agent = world.agent().replaying(&board).start();
    let manager = world.listener();
    until_sampled(&agent, 1);
    let victims = [
        "sys/class/hwmon",
        "sys/class/hwmon/hwmon0",
        "sys/devices/platform",
        "sys/devices/pci0000:00/0000:00:04.0",
        "sys/class/thermal/thermal_zone0",
        "sys/class/net/eth0",
        "sys/class/drm",
        "sys/devices/virtual/powercap/psu-meter/psu-meter:0/energy_uj",
        "proc/stat",
        "proc/meminfo",
        "proc/net/dev",
        "proc/self/mountinfo",
        "proc/loadavg",
        "proc/sys",
    ];
    let aside = board.join("aside");
    let mut gone: Option<PathBuf> = None;
    let act = |round: u32| {
        if let Some(path) = gone.take() {
            fs::rename(&aside, path).unwrap();
        }
        let path = board.join(victims[round as usize % victims.len()]);
        fs::rename(&path, &aside).unwrap();
        gone = Some(path);
        std::thread::sleep(Duration::from_millis(150));
    };
    answers_while(&agent, &manager, act, 42);
    fs::rename(&aside, gone.unwrap()).unwrap();
    until("everything is there again", || {
        let readings = manager.answer("/resource").readings().clone();
        let sensors = readings["sensors"].as_array().unwrap();
        let fine = sensors.iter().filter(|sensor| sensor["status"] == "ok").count();
        let there = ["cpu", "memory"].iter().all(|part| readings[part].is_object());
        (fine == 20 && there && readings["gpu"][0]["name"] == "AMD Instinct MI100").then_some(())
    });
}

#[test]
fn files_full_of_nonsense_are_no_readings() {
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    let agent = world.agent().replaying(&board).start();
    let manager = world.listener();
    until_sampled(&agent, 1);
    let files = |folder: &str| {
        let found = Command::new("find").arg(board.join(folder)).args(["-type", "f"]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().map(PathBuf::from).collect::<Vec<_>>()
    };
    let files = [files("proc"), files("sys")].concat();
    assert!(files.len() > 100);
    let nonsense: [&[u8]; 8] = [
        b"",
        b"\n\n\n",
        b"\xff\xfe\x00\x80",
        b"99999999999999999999999999999999999999",
        b"-1",
        b"NaN inf -inf 1e999",
        b"cpu  18446744073709551615 18446744073709551615 18446744073709551615 18446744073709551615\n",
        &[b'7'; 200_000],
    ];
    let act = |round: u32| {
        for (number, file) in files.iter().enumerate() {
            fs::write(file, nonsense[(number + round as usize) % nonsense.len()]).unwrap();
        }
        until_sampled(&agent, 1);
    };
    answers_while(&agent, &manager, act, 8);
}

#[test]
fn things_that_are_no_files_are_never_opened() {
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    let chip = board.join("sys/class/hwmon/hwmon2/");
    let secret = world.folder().join("secret");
    fs::File::create(&secret).unwrap().write_all(b"31337000").unwrap();
    for (file, make) in [
        ("fan1_input", Box::new(|path: &Path| make_pipe(path)) as Box<dyn Fn(&Path)>),
        ("temp1_input", Box::new(|path: &Path| symlink(&secret, path).unwrap())),
        ("temp2_enable", Box::new(|path: &Path| symlink(path, path).unwrap())),
        ("temp2_input", Box::new(|path: &Path| fs::create_dir(path).unwrap())),
    ] {
        let path = chip.join(file);
        fs::remove_file(&path).unwrap();
        make(&path);
    }
    let mut agent = world.agent().replaying(&board).start();
    let manager = world.listener();
    until_sampled(&agent, 2);
    let report = manager.answer("/resource");
    let text = report.readings().to_string();
    assert!(!text.contains("31337"), "a link led out of the recording: {text}");
    let sensors = report.readings()["sensors"].as_array().unwrap();
    let of_chip: Vec<_> = sensors
        .iter()
        .filter(|sensor| sensor["name"].as_str().unwrap().contains("/002f/") && sensor["status"] == "ok")
        .collect();
    assert!(of_chip.is_empty(), "{of_chip:?}");
    assert!(agent.stop().success());
}

#[test]
fn a_pipe_among_the_kernels_files_delays_nothing() {
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    // To open a pipe that nobody writes may take for ever.
    let load = board.join("proc/loadavg");
    fs::remove_file(&load).unwrap();
    make_pipe(&load);
    let mut agent = world.agent().replaying(&board).start();
    let manager = world.listener();
    until_sampled(&agent, 1);
    answers_while(&agent, &manager, |_| until_sampled(&agent, 1), 2);
    let readings = manager.answer("/resource").readings().clone();
    assert_eq!(readings["cpu"]["cores"], 8);
    assert!(readings["cpu"].get("load_avg_1m").is_none(), "{}", readings["cpu"]);
    let faults = agent.plugin("cpu").faults;
    assert_eq!(faults, ["absent: /proc/loadavg is not there, or does not say"]);
    assert!(agent.stop().success());
}

#[test]
fn a_board_whose_kernel_says_nothing_is_still_a_board() {
    let world = World::new();
    let board = world.place("board");
    for folder in ["proc", "sys"] {
        fs::create_dir(board.join(folder)).unwrap();
    }
    fs::write(board.join("agent.toml"), "[kernel]\nproc = \"proc\"\nsys = \"sys\"\n[board]\nslot_id = 3\n")
        .unwrap();
    let _agent = world.agent().replaying(&board).start();
    let manager = world.listener();
    let report = manager.answer("/heartbeat");
    assert_eq!(report.data()["slot_id"], 3);
    assert_eq!(report.data()["hostname"], "");
    let report = manager.answer("/resource");
    assert_eq!(report.data()["resource"]["cpu"]["core_count"], 0);
    // 0 is for v1.1 alone.
    let readings = report.readings().as_object().unwrap();
    assert!(!readings.contains_key("memory"), "{readings:?}");
    for list in ["network", "disk", "gpu", "sensors"] {
        assert_eq!(readings[list], serde_json::json!([]), "{list}");
    }
}

fn make_pipe(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    nix::unistd::mkfifo(path.as_c_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
}
