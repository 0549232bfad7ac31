//! Boards whose kernel says nothing, or nonsense, or nothing in time.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cardcage_tests::{Agent, Content, Listener, Report, StuckFiles, World, until};
use serde_json::{Value, json};

use crate::replay::{PHYTIUM, PROBES, copy, until_sampled};

#[track_caller]
fn answers_soon(manager: &Listener) -> Report {
    let asked = Instant::now();
    let report = manager.answer("/resource");
    let took = report.at.saturating_duration_since(asked);
    assert!(took < Duration::from_secs(1), "the report took {took:?}");
    report
}

/// The agent is asked while something is done to the board, and answers at once.
#[track_caller]
fn answers_while(agent: &Agent, manager: &Listener, mut act: impl FnMut(u32), rounds: u32) {
    for round in 0..rounds {
        act(round);
        answers_soon(manager);
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

/// The sensors of a report: the name, the value and the status of each.
type Sensors = Vec<(String, Value, String)>;

fn sensors(report: &Report) -> Sensors {
    let text = |sensor: &Value, field: &str| sensor[field].as_str().unwrap().to_owned();
    let sensors = report.readings()["sensors"].as_array().unwrap().iter();
    sensors.map(|sensor| (text(sensor, "name"), sensor["value"].clone(), text(sensor, "status"))).collect()
}

/// What the sensors of a chip say.
fn sensors_of(manager: &Listener, chip: &str) -> Sensors {
    let sensors = sensors(&manager.answer("/resource")).into_iter();
    sensors.filter(|(name, _, _)| name.starts_with(chip)).collect()
}

#[test]
fn a_sensor_that_never_answers_is_failed_and_delays_nothing() {
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    let files = [
        ("name", Content::Now("slow\n")),
        ("temp1_input", Content::Never),
        ("temp2_input", Content::Now("45125\n")),
    ];
    let test = "a_sensor_that_never_answers_is_failed_and_delays_nothing";
    let Some(_stuck) = StuckFiles::at(test, &board.join("sys/class/hwmon/hwmon11"), files) else { return };
    let mut agent = world.agent().replaying(&board).start();
    let manager = world.listener();
    until_sampled(&agent, 2);
    answers_while(&agent, &manager, |_| until_sampled(&agent, 1), 3);
    let found = sensors_of(&manager, "slow/");
    let expected = [
        ("slow/temp1".to_owned(), Value::Null, "failed".to_owned()),
        ("slow/temp2".to_owned(), Value::from(45.125), "ok".to_owned()),
    ];
    assert_eq!(found, expected);
    let asked = Instant::now();
    assert!(agent.stop().success());
    assert!(asked.elapsed() < Duration::from_secs(5), "a stuck reader held it up");
}

/// More than the threads that one plugin may block.
#[test]
fn a_chip_full_of_sensors_that_never_answer_costs_its_own_sensors_only() {
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    let mut files = vec![("name".to_owned(), Content::Now("dead\n"))];
    files.extend((1..=20).map(|number| (format!("temp{number}_input"), Content::Never)));
    let test = "a_chip_full_of_sensors_that_never_answer_costs_its_own_sensors_only";
    // Before others in the order in which they are read.
    let Some(_stuck) = StuckFiles::at(test, &board.join("sys/class/hwmon/hwmon5"), files) else { return };
    check_dead_chips(&world, &board, 20);
}

#[test]
fn four_chips_that_are_half_dead_cost_their_own_sensors_only() {
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    let files = [
        ("name", Content::Now("dead\n")),
        ("temp1_input", Content::Never),
        ("temp2_input", Content::Now("45125\n")),
        ("temp3_input", Content::Never),
    ];
    let mut stuck = Vec::new();
    for number in 5..9 {
        let test = "four_chips_that_are_half_dead_cost_their_own_sensors_only";
        let chip = board.join(format!("sys/class/hwmon/hwmon{number}"));
        let Some(files) = StuckFiles::at(test, &chip, files) else { return };
        stuck.push(files);
    }
    check_dead_chips(&world, &board, 12);
}

/// Sensors of the board as it was recorded that are `ok`, and those that have limits.
const HEALTHY: usize = 20;
const LIMITED: usize = 6;

/// Of a board with as many sensors on chips called `dead`: those fail, and every other one is as it was recorded, from
/// the moment on that it is known what never answers.
#[track_caller]
fn check_dead_chips(world: &World, board: &Path, dead: usize) {
    let agent = world.agent().replaying(board).start();
    let manager = world.listener();
    let settled = |report: &Report| {
        let (dead_ones, others): (Vec<_>, Vec<_>) =
            sensors(report).into_iter().partition(|(name, _, _)| name.starts_with("dead/"));
        let healthy = others.iter().filter(|(_, _, status)| status == "ok").count();
        let failed = dead_ones.iter().all(|(_, value, status)| status == "failed" && value.is_null());
        (dead_ones.len() == dead && failed && healthy == HEALTHY).then_some(())
    };
    until("it is known what never answers", || settled(&manager.answer("/resource")));
    for _ in 0..4 {
        until_sampled(&agent, 1);
        let report = answers_soon(&manager);
        assert!(settled(&report).is_some(), "{}", report.readings());
        assert_eq!(report.readings()["cpu"]["cores"], 8);
        assert_eq!(report.readings()["gpu"][0]["name"], "AMD Instinct MI100");
        assert_eq!(report.readings()["network"].as_array().unwrap().len(), 4);
    }
    for probe in PROBES {
        let plugin = agent.plugin(probe);
        assert_eq!((plugin.restarts, plugin.state.as_str()), (0, "ready"), "{plugin:?}");
    }
}

/// All of it takes longer than a call may: each of its sensors is read in some call, and so is each of its limits.
#[test]
fn a_chip_on_a_slow_bus_is_read_in_turn_and_delays_nothing() {
    const SENSORS: usize = 16;
    const TRANSFER: Duration = Duration::from_millis(150);
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    let mut files = vec![("name".to_owned(), Content::Now("slow\n"))];
    for number in 1..=SENSORS {
        files.push((format!("temp{number}_input"), Content::After(TRANSFER, "45125\n")));
        files.push((format!("temp{number}_max"), Content::After(TRANSFER, "85000\n")));
    }
    let test = "a_chip_on_a_slow_bus_is_read_in_turn_and_delays_nothing";
    // Before others in the order in which they are read.
    let Some(_slow) = StuckFiles::at(test, &board.join("sys/class/hwmon/hwmon5"), files) else { return };
    let agent = world.agent().replaying(&board).start();
    let manager = world.listener();
    until_sampled(&agent, 4);
    // One sample later: the sensors of the slow chip, and how many of the others have limits.
    let sampled = || {
        until_sampled(&agent, 1);
        let plugin = agent.plugin("hwmon");
        assert_eq!((plugin.restarts, plugin.failures, plugin.state.as_str()), (0, 0, "ready"), "{plugin:?}");
        let report = answers_soon(&manager);
        let sensors = report.readings()["sensors"].as_array().unwrap().iter().cloned();
        let (slow, fast): (Vec<_>, Vec<_>) =
            sensors.partition(|sensor| sensor["name"].as_str().unwrap().starts_with("slow/"));
        let healthy = fast.iter().filter(|sensor| sensor["status"] == "ok").count();
        assert_eq!((slow.len(), healthy), (SENSORS, HEALTHY), "{fast:?}");
        (slow, fast.iter().filter(|sensor| sensor["limits"] != json!({})).count())
    };
    let mut read = BTreeSet::new();
    until("each slow sensor was read", || {
        for sensor in sampled().0 {
            match sensor["status"].as_str() {
                Some("ok") => {
                    assert_eq!(sensor["value"], 45.125);
                    read.insert(sensor["name"].as_str().unwrap().to_owned());
                }
                status => assert_eq!(status, Some("unavailable"), "{sensor}"),
            }
        }
        (read.len() == SENSORS).then_some(())
    });
    until("the limits of the fast sensors are known", || (sampled().1 == LIMITED).then_some(()));
    until("the limits of the slow sensors are known", || {
        sampled().0.iter().all(|sensor| sensor["limits"]["upper_caution"] == 85.0).then_some(())
    });
}

#[test]
fn a_kernel_file_that_never_answers_is_blocked_and_delays_nothing() {
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    fs::rename(board.join("proc"), board.join("real-proc")).unwrap();
    let files = [
        (
            "stat",
            Content::Now("cpu  1000 50 400 8000 100 20 30 0 0 0\ncpu0 1000 50 400 8000 100 20 30 0 0 0\n"),
        ),
        ("meminfo", Content::Now("MemTotal: 1024 kB\nMemFree: 512 kB\nMemAvailable: 768 kB\n")),
        ("loadavg", Content::Never),
    ];
    let test = "a_kernel_file_that_never_answers_is_blocked_and_delays_nothing";
    let Some(_stuck) = StuckFiles::at(test, &board.join("proc"), files) else { return };
    let agent = world.agent().replaying(&board).start();
    let manager = world.listener();
    let fault = until("cpu says what blocks", || {
        agent.plugin("cpu").faults.into_iter().find(|fault| fault.starts_with("blocked: "))
    });
    assert!(fault.contains("loadavg"), "{fault}");
    for _ in 0..3 {
        until_sampled(&agent, 1);
        assert_eq!(answers_soon(&manager).readings()["memory"]["total"], 1 << 20);
    }
    let cpu = manager.answer("/resource").readings()["cpu"].clone();
    assert!(cpu.get("load_avg_1m").is_none(), "{cpu}");
}

/// A driver that waits for its card holds the lock that `speed` asks for.
#[test]
fn an_interface_that_never_answers_keeps_its_counters() {
    let world = World::new();
    let board = copy(&world, PHYTIUM);
    let interface = board.join("sys/class/net/eth0");
    fs::rename(&interface, board.join("aside")).unwrap();
    let files = [
        ("address", Content::Now("02:00:00:00:00:01\n")),
        ("operstate", Content::Now("up\n")),
        ("speed", Content::Never),
    ];
    let test = "an_interface_that_never_answers_keeps_its_counters";
    let Some(_stuck) = StuckFiles::at(test, &interface, files) else { return };
    let agent = world.agent().replaying(&board).start();
    let manager = world.listener();
    until_sampled(&agent, 2);
    answers_while(&agent, &manager, |_| until_sampled(&agent, 1), 2);
    let readings = manager.answer("/resource").readings().clone();
    let networks = readings["network"].as_array().unwrap();
    assert_eq!(networks.len(), 4, "{networks:?}");
    let named = |name: &str| networks.iter().find(|network| network["interface"] == name).unwrap();
    assert!(named("eth0")["rx_packets"] == 4_000_000 && named("eth0").get("mtu").is_none(), "{networks:?}");
    assert!(named("eth1")["mtu"].is_u64(), "{networks:?}");
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
        assert_eq!(readings[list], json!([]), "{list}");
    }
}

fn make_pipe(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    nix::unistd::mkfifo(path.as_c_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
}
