//! Libraries that plugins call: what they say is in the report, and what they break is theirs alone.

use cardcage_tests::census::{Seen, children};
use cardcage_tests::{Agent, AgentPlan, CALLS_NATIVELY, Nvml, Plugin, World, until};
use serde_json::{Value, json};

use crate::siege::Siege;

const PROBE: &str = "gpu-nvidia";
const GUEST: &str = "calls-natively";
/// What the operator writes for the guest.
const GRANT: &str = "[plugins.grants.calls-natively.native]\n\"libc.so.6\" = [\"*\"]";

/// The processes that call libraries for an agent's plugins.
fn helpers(agent: &Agent) -> Vec<Seen> {
    children(i32::try_from(agent.process.pid()).unwrap(), "cardcage-native")
}

/// Whether this is somebody's machine with the library and its driver, where the probe of accelerators has a helper.
fn has_accelerators() -> bool {
    std::path::Path::new("/proc/driver/nvidia").exists()
}

#[track_caller]
fn until_no_helper(agent: &Agent) {
    until("no helper is left", || helpers(agent).is_empty().then_some(()));
}

#[track_caller]
fn until_one_helper(agent: &Agent) -> Seen {
    until("there is one helper", || match helpers(agent)[..] {
        [helper] => Some(helper),
        _ => None,
    })
}

/// The guest in one of its modes, granted what it requests.
fn in_mode(mode: &str) -> impl FnOnce(AgentPlan) -> AgentPlan {
    let settings = format!("[plugins.settings.calls-natively]\nmode = {mode:?}\n{GRANT}");
    move |plan| plan.plugin("calls-natively.wasm", CALLS_NATIVELY.packed()).config(&settings)
}

/// An agent of a board with two accelerators, besieged by nobody.
struct Accelerators {
    siege: Siege,
    nvml: Nvml,
}

impl Accelerators {
    #[track_caller]
    fn told(words: &str) -> Self {
        let mut library = None;
        let siege = Siege::with(|plan| {
            let nvml = library.insert(Nvml::below(plan.folder()));
            if !words.is_empty() {
                nvml.told(words);
            }
            nvml.seen_by(plan)
        });
        Self { siege, nvml: library.unwrap() }
    }

    fn probe(&self) -> Plugin {
        self.siege.agent.plugin(PROBE)
    }

    #[track_caller]
    fn until_samples_after(&self, samples: u64) -> Plugin {
        until("it takes samples again", || {
            let probe = self.probe();
            (probe.samples > samples && probe.state == "ready").then_some(probe)
        })
    }
}

/// The items of a list of readings that are of the probe, or of NVIDIA, without their ages.
fn of_nvidia(readings: &Value, list: &str) -> Vec<Value> {
    let items = readings[list].as_array().unwrap().iter();
    let mut items: Vec<_> =
        items.filter(|item| item["plugin"] == PROBE || item["vendor"] == "NVIDIA").cloned().collect();
    for item in &mut items {
        assert!(item.as_object_mut().unwrap().remove("age_ms").unwrap().is_u64());
    }
    items
}

#[test]
fn two_accelerators_are_in_the_report_with_what_the_library_says() {
    let board = Accelerators::told("");
    let probe = board.until_samples_after(0);
    assert_eq!((probe.support.as_deref(), probe.built_in), (Some("family"), true));
    let readings = board.siege.readings();
    let mut gpus = of_nvidia(&readings, "gpu");
    for gpu in &mut gpus {
        // The neighbour has one too, between them.
        gpu.as_object_mut().unwrap().remove("index").unwrap();
    }
    assert_eq!(
        gpus,
        [
            json!({
                "device": "0000:3b:00.0", "name": "NVIDIA H200", "vendor": "NVIDIA", "driver": "nvidia",
                "compute_usage": 37.0, "memory_usage": 25.0,
                "memory_used": 37_849_399_296_u64, "memory_total": 151_397_597_184_u64,
                "extra": {
                    "uuid": "GPU-5f0e6b2c-0000", "pci-id": "10de:2335", "driver-version": "570.00.1",
                    "memory-controller-percent": 12.0, "power-limit-watts": 700.0,
                },
            }),
            // Its utilization failed, and it knows no limit of its power: absent. Its memory in use is a measured zero.
            json!({
                "device": "0000:af:00.0", "name": "NVIDIA A100", "vendor": "NVIDIA", "driver": "nvidia",
                "memory_usage": 0.0, "memory_used": 0, "memory_total": 85_899_345_920_u64,
                "extra": {
                    "uuid": "GPU-5f0e6b2c-0001", "pci-id": "10de:20b0", "driver-version": "570.00.1",
                },
            }),
        ]
    );
    let mut sensors: Vec<_> = of_nvidia(&readings, "sensors")
        .iter()
        .map(|sensor| {
            assert_eq!(sensor["status"], "ok");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let place = text(&sensor["place"]["name"]);
            (place, text(&sensor["kind"]), text(&sensor["name"]), sensor["value"].as_f64().unwrap())
        })
        .collect();
    sensors.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let expected = [
        ("0000:3b:00.0", "frequency", "graphics", 1.98e9),
        ("0000:3b:00.0", "frequency", "memory", 3.201e9),
        ("0000:3b:00.0", "frequency", "sm", 1.965e9),
        ("0000:3b:00.0", "frequency", "video", 1.545e9),
        ("0000:3b:00.0", "power", "board", 123.456),
        ("0000:3b:00.0", "temperature", "gpu", 41.0),
        ("0000:af:00.0", "frequency", "graphics", 3.45e8),
        ("0000:af:00.0", "frequency", "memory", 1.593e9),
        ("0000:af:00.0", "frequency", "sm", 3.45e8),
        ("0000:af:00.0", "power", "board", 61.0),
        ("0000:af:00.0", "temperature", "gpu", 29.0),
    ];
    let expected = expected
        .map(|(place, kind, name, value)| (place.to_owned(), kind.to_owned(), name.to_owned(), value));
    assert_eq!(sensors, expected);
    let fault = "io: nvmlDeviceGetUtilizationRates of 0000:af:00.0: GPU is lost (15)";
    assert_eq!(board.probe().faults, [fault]);
    let log = board.siege.agent.process.log();
    assert!(log.contains("a native library says: the library greets"), "{log}");
}

#[test]
fn a_library_that_crashes_costs_one_sample() {
    let board = Accelerators::told("");
    let before = board.until_samples_after(0);
    let helper = until_one_helper(&board.siege.agent);
    board.nvml.told("crash");
    until("it crashed", || board.nvml.has_obeyed().then_some(()));
    let after = board.until_samples_after(board.probe().samples);
    assert_eq!((after.failures, after.restarts), (before.failures + 1, 0));
    // The one that the healthy library has too.
    assert_eq!(after.faults.len(), 1, "{:?}", after.faults);
    assert!(after.faults[0].contains("GPU is lost"), "{:?}", after.faults);
    assert_ne!(until_one_helper(&board.siege.agent), helper);
    assert!(!helper.lives());
    assert_eq!(of_nvidia(&board.siege.readings(), "gpu").len(), 2);
    let log = board.siege.agent.process.log();
    assert!(!log.contains("plugin ended"), "{log}");
}

#[test]
fn a_library_that_hangs_is_late_and_the_others_are_on_time() {
    let board = Accelerators::told("hang");
    let late = "late: nvmlDeviceGetTemperature of libnvidia-ml.so.1: no answer by the deadline";
    until("the sample is late", || {
        board.probe().faults.iter().any(|fault| fault.contains(late)).then_some(())
    });
    board.siege.others_are_on_time();
    // The device that hangs is asked last, so the other one is reported.
    until("the other accelerator is reported", || {
        let gpus = of_nvidia(&board.siege.readings(), "gpu");
        (gpus.len() == 1 && gpus[0]["device"] == "0000:af:00.0").then_some(())
    });
    board.nvml.told("healthy");
    until("both are reported", || (of_nvidia(&board.siege.readings(), "gpu").len() == 2).then_some(()));
    assert_eq!(board.probe().restarts, 0);
}

#[test]
fn a_library_without_its_driver_is_tried_until_it_has_one() {
    let board = Accelerators::told("uninitialized");
    board.siege.until_fault(PROBE, "no sample: io: nvmlInit_v2: Driver Not Loaded (9)");
    board.nvml.told("healthy one-only");
    let probe = board.until_samples_after(0);
    assert!(probe.faults.is_empty(), "{:?}", probe.faults);
    assert_eq!(of_nvidia(&board.siege.readings(), "gpu").len(), 1);
    // One that is plugged in.
    board.nvml.told("healthy");
    until("the other is found", || (of_nvidia(&board.siege.readings(), "gpu").len() == 2).then_some(()));
    assert_eq!(board.probe().restarts, 0);
}

#[test]
fn a_board_without_the_library_pays_nothing_for_it() {
    if has_accelerators() {
        return;
    }
    let siege = Siege::with(|plan| plan);
    siege.agent.until_plugin(PROBE, "idle");
    until_no_helper(&siege.agent);
}

#[test]
fn what_is_granted_is_called_and_what_is_not_is_refused() {
    let siege = Siege::with(in_mode("counts"));
    let plugin = siege.until_fault(GUEST, "denied");
    let denied = "is not granted";
    let faults = [
        "denied: system of libc.so.6 ".to_owned() + denied,
        "denied: the library libm.so.6 ".to_owned() + denied,
        "denied: the library /usr/lib/libc.so.6 ".to_owned() + denied,
        "denied: strlens of libc.so.6 ".to_owned() + denied,
        "invalid: argument 1 holds a NUL; the parameter is Text".to_owned(),
    ];
    assert_eq!(plugin.faults, faults);
    let value = |name: &str| {
        let sensors = siege.sensors_of(GUEST);
        sensors.iter().find(|sensor| sensor["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!((value("abs"), value("strlen")), (json!(7.0), json!(12.0)));
}

#[track_caller]
fn check_refused(config: &str, manifest: impl FnOnce(&str) -> String, words: &str) {
    let manifest = manifest(CALLS_NATIVELY.manifest);
    let siege = Siege::with(|plan| {
        plan.plugin("calls-natively.wasm", CALLS_NATIVELY.packed_with(&manifest)).config(config)
    });
    let reason = siege.agent.until_plugin(GUEST, "refused").reason.unwrap();
    assert!(reason.contains(words), "{reason}");
    if !has_accelerators() {
        siege.agent.until_plugin(PROBE, "idle");
        until_no_helper(&siege.agent);
    }
}

const MISSING: &str = "imports cardcage:host/native but is granted no function: give it what it requests with \
     [plugins.grants.calls-natively] native = { \"libc.so.6\" = [\"abs\", \"strlen\", \"sleep\", \"exit\"] }";

#[test]
fn a_library_that_is_not_granted() {
    check_refused("", str::to_owned, MISSING);
}

#[test]
fn a_grant_of_another_function() {
    let config = "[plugins.grants.calls-natively.native]\n\"libc.so.6\" = [\"system\"]";
    check_refused(config, str::to_owned, MISSING);
}

#[test]
fn a_library_that_is_not_requested() {
    let manifest =
        |manifest: &str| manifest.replace("\"libc.so.6\" = [\"abs\"", "#").replace("[requests.native]", "");
    let words = "its manifest requests no function of a library under [requests.native]";
    check_refused(GRANT, manifest, words);
}

#[test]
fn a_grant_of_what_is_no_library() {
    let check = |grant: &str, words: &str| {
        let world = World::new();
        let config = format!("[plugins.grants.acme.native]\n{grant}");
        let checked = world.agent().config(&config).output(&["check"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(!checked.status.success() && said.contains(words), "{said}");
    };
    check(
        "\"../liba.so\" = [\"f\"]",
        "plugins.grants.acme.native names \"../liba.so\"; a library is a file name",
    );
    check(
        "\"liba.so\" = [\"f(int)\"]",
        "plugins.grants.acme.native.\"liba.so\" is [\"f(int)\"]; it lists names",
    );
}

/// A guest in a mode that ends the helper in every sample, and lives on itself.
#[track_caller]
fn check_survives(mode: &str, fault: &str) -> Siege {
    let siege = Siege::with(in_mode(mode));
    siege.until_fault(GUEST, fault);
    // What the sample before opened is of no use any more, and says so.
    siege.until_fault(GUEST, "closed: abs of libc.so.6 is from before the helper's end");
    siege.others_are_on_time();
    let plugin = siege.agent.plugin(GUEST);
    assert_eq!((plugin.restarts, plugin.state.as_str()), (0, "ready"));
    assert!(plugin.samples > 0);
    siege
}

#[test]
fn a_guest_that_lies_about_a_signature() {
    check_survives("lies", "crashed: strlen of libc.so.6: the helper was ended by SIGSEGV");
}

#[test]
fn a_guest_that_ends_its_process() {
    check_survives("exits", "crashed: exit of libc.so.6: the helper exited with status 7");
}

#[test]
fn a_guest_that_calls_what_does_not_return() {
    check_survives("hangs", "late: sleep of libc.so.6: no answer by the deadline; the helper was killed");
}

#[test]
fn a_guest_that_ends_leaves_no_helper_behind() {
    let siege = Siege::with(in_mode("panics"));
    siege.until_ended(GUEST, "trapped");
    until_no_helper(&siege.agent);
    siege.answers();
}

#[test]
fn a_plugin_that_is_removed_takes_its_helper_with_it() {
    let siege = Siege::with(in_mode("counts"));
    siege.until_fault(GUEST, "denied");
    let helper = until_one_helper(&siege.agent);
    std::fs::remove_file(siege.agent.folder().join("plugins/calls-natively.wasm")).unwrap();
    until("the helper is gone", || (!helper.lives()).then_some(()));
    until_no_helper(&siege.agent);
}

#[test]
fn an_agent_that_ends_takes_its_helpers_with_it() {
    let ways: [fn(&mut Agent); 2] = [|agent| assert!(agent.stop().success()), Agent::kill];
    for ends in ways {
        let mut siege = Siege::with(in_mode("counts"));
        siege.until_fault(GUEST, "denied");
        let helper = until_one_helper(&siege.agent);
        ends(&mut siege.agent);
        until("the helper is gone", || (!helper.lives()).then_some(()));
    }
}

#[test]
fn an_agent_without_its_helper_says_which_file_is_missing() {
    let siege = Siege::with(|plan| in_mode("counts")(plan.without_compiler()));
    let path = siege.agent.folder().join("bin/cardcage-native");
    let fault = format!("no sample: io: {} cannot be started: No such file or directory", path.display());
    siege.until_fault(GUEST, &fault);
    siege.agent.install("cardcage-native");
    siege.until_fault(GUEST, "denied");
    assert_eq!(siege.agent.plugin(GUEST).restarts, 0);
}
