//! What a probe was told is recorded, and played where there is no such board; and what the conformance suite finds.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use cardcage_tests::{ASKS_HTTP, AgentPlan, Guest, HOSTILE, Nvml, World, in_ci, skip};
use serde_json::Value;

use crate::http::{config as asking, servers::Server};
use crate::replay::{PHYTIUM, copy};

/// A folder with a plugin and its configuration, where commands run.
struct Bench {
    world: World,
}

impl Bench {
    fn new() -> Self {
        Self { world: World::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.folder().join(name)
    }

    fn guest(&self, guest: Guest) -> String {
        let path = self.path("plugin.wasm");
        std::fs::write(&path, guest.packed()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// An agent whose guest [`HOSTILE`] is in this mode.
    fn hostile(&self, mode: &str) -> AgentPlan {
        self.world.agent().config(&format!("[plugins.settings.hostile]\nmode = {mode:?}"))
    }

    /// Runs `cardcage-agent plugin`, with the configuration of this plan or with none to speak of.
    fn plugin(&self, plan: Option<AgentPlan>, arguments: &[&str]) -> Output {
        let arguments = [&["plugin"], arguments].concat();
        plan.unwrap_or_else(|| self.world.agent()).output(&arguments)
    }

    #[track_caller]
    fn record(&self, plan: AgentPlan, plugin: &str) -> String {
        let recording = self.path("board.recording").to_str().unwrap().to_owned();
        let arguments = ["record", plugin, "--count", "3", "--every", "10ms", "--output", &recording];
        said(&self.plugin(Some(plan), &arguments));
        recording
    }

    #[track_caller]
    fn replay(&self, plugin: &str, recording: &str) -> Value {
        let output = self.plugin(None, &["try", plugin, "--replay", recording, "--json"]);
        serde_json::from_str(&said(&output)).unwrap()
    }

    /// What the conformance suite says of each check.
    #[track_caller]
    fn check(&self, arguments: &[&str]) -> (bool, Value) {
        let arguments: Vec<&str> =
            ["check", "--json", "--samples", "400"].iter().chain(arguments).copied().collect();
        let output = self.plugin(None, &arguments);
        let report = serde_json::from_slice::<Value>(&output.stdout);
        assert!(report.is_ok(), "{output:?}");
        let report = report.unwrap();
        assert_eq!(report["passed"], output.status.success());
        (output.status.success(), report["checks"].clone())
    }
}

#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The names of the checks with a verdict.
fn with(checks: &Value, verdict: &str) -> Vec<String> {
    let checks = checks.as_array().unwrap().iter();
    checks
        .filter(|check| check["verdict"] == verdict)
        .map(|check| check["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_recorded_board_says_the_same_bit_for_bit_when_it_is_gone() {
    let bench = Bench::new();
    let folder = copy(&bench.world, PHYTIUM);
    let recording = bench.record(bench.world.agent().replaying(&folder), "hwmon");
    std::fs::remove_dir_all(folder).unwrap();
    let mode = std::fs::metadata(&recording).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "what only the agent could read is not for everybody");
    let said = bench.replay("hwmon", &recording);
    assert_eq!(
        (&said["like_recorded"], said["samples"].as_array().unwrap().len()),
        (&true.into(), 3),
        "{said}"
    );
    assert_eq!(said["not_recorded"], serde_json::json!([]));
    assert!(said["samples"][2]["sample"]["sensors"].as_array().unwrap().len() > 3, "{said}");
}

#[test]
fn expected_samples_in_a_file_make_it_a_test() {
    let bench = Bench::new();
    let folder = copy(&bench.world, PHYTIUM);
    let recording = bench.record(bench.world.agent().replaying(&folder), "hwmon");
    let expected = bench.path("expected.json");
    let expect = |more: &[&str]| {
        let arguments = ["try", "hwmon", "--replay", &recording, "--expect", expected.to_str().unwrap()];
        bench.plugin(None, &[&arguments, more].concat())
    };
    assert!(complaint(&expect(&[])).contains("--accept"));
    said(&expect(&["--accept"]));
    said(&expect(&[]));
    let more = complaint(&expect(&["--count", "10"]));
    assert!(more.contains("has 3 samples, the recording has 3, and --count says 10"), "{more}");
    let mut samples: Value = serde_json::from_slice(&std::fs::read(&expected).unwrap()).unwrap();
    let value = &mut samples[1]["sample"]["sensors"][0]["value"];
    let before = value.as_f64().unwrap();
    // The next number that a double can be.
    *value = f64::from_bits(before.to_bits() + 1).into();
    std::fs::write(&expected, samples.to_string()).unwrap();
    let complaint = complaint(&expect(&[]));
    assert!(complaint.contains("[1].sample.sensors[0].value is"), "{complaint}");
}

#[test]
fn where_expected_samples_go_is_looked_at_before_any_is_taken() {
    let bench = Bench::new();
    let recording = bench.record(bench.world.agent(), "memory");
    let missing = bench.path("missing/expected.json");
    let missing = missing.to_str().unwrap();
    let tried =
        bench.plugin(None, &["try", "memory", "--replay", &recording, "--expect", missing, "--accept"]);
    assert!(complaint(&tried).contains("cannot be written"), "{tried:?}");
    assert!(tried.stdout.is_empty(), "{tried:?}");
}

#[test]
fn samples_beyond_the_recording_are_compared_with_nothing() {
    let bench = Bench::new();
    let recording = bench.record(bench.world.agent(), "memory");
    let tried = bench.plugin(None, &["try", "memory", "--replay", &recording, "--count", "10"]);
    let same = "3 of 10 samples were recorded, and they are the same, bit for bit";
    assert!(said(&tried).contains(same), "{tried:?}");
}

#[test]
fn where_a_recording_goes_is_looked_at_before_the_first_sample() {
    let bench = Bench::new();
    let record = |output: &Path| {
        let output = output.to_str().unwrap();
        bench.plugin(None, &["record", "memory", "--count", "1", "--output", output])
    };
    let notes = bench.path("notes");
    std::fs::write(&notes, "{\"notes\": []}\n").unwrap();
    let cases = [
        (bench.path("missing/board.recording"), "cannot be written"),
        (notes.clone(), "is no recording"),
        (bench.world.folder().to_owned(), "is no recording"),
    ];
    for (output, reason) in cases {
        let complaint = complaint(&record(&output));
        assert!(complaint.contains(reason) && !complaint.contains("sample 1 of 1"), "{complaint}");
    }
    assert_eq!(std::fs::read_to_string(notes).unwrap(), "{\"notes\": []}\n");
    let recording = bench.path("board.recording");
    let first = said(&record(&recording));
    assert!(first.contains("board.recording holds one sample of memory"), "{first}");
    let second = said(&record(&recording));
    assert!(second.contains("board.recording is replaced, and holds one sample of memory"), "{second}");
}

#[test]
fn a_recording_ends_where_the_probe_trapped() {
    let bench = Bench::new();
    let plugin = bench.guest(HOSTILE);
    let recording = bench.path("board.recording");
    let recording = recording.to_str().unwrap();
    let recorded =
        bench.plugin(Some(bench.hostile("panics-in-sample")), &["record", &plugin, "--output", recording]);
    let reason = complaint(&recorded);
    assert!(reason.contains("trapped") && reason.contains("the recording ends with that"), "{reason}");
    let holds = String::from_utf8(recorded.stdout).unwrap();
    assert!(holds.contains("holds no sample of hostile"), "{holds}");
    let played = complaint(&bench.plugin(None, &["try", &plugin, "--replay", recording]));
    assert!(played.contains("trapped"), "{played}");
}

/// Made on x86-64 with `plugin record` and `--accept`: wherever these tests run, the samples are the same to the last bit.
#[test]
fn a_recording_that_was_made_elsewhere_says_here_what_it_said_there() {
    let bench = Bench::new();
    let file = |name: &str| format!("{PHYTIUM}/hwmon.{name}");
    let (recording, expected) = (file("recording"), file("expected.json"));
    let tried = bench.plugin(None, &["try", "hwmon", "--replay", &recording, "--expect", &expected]);
    assert!(said(&tried).contains("bit for bit"), "{tried:?}");
}

#[test]
fn time_and_randomness_are_recorded_too() {
    let bench = Bench::new();
    let plugin = bench.guest(HOSTILE);
    let plan = || bench.hostile("tells-time");
    let recording = bench.record(plan(), &plugin);
    let said = bench.replay(&plugin, &recording);
    assert_eq!(said["like_recorded"], true, "{said}");
    // Another run on the board is another.
    let other = bench.path("other.recording");
    bench.plugin(Some(plan()), &["record", &plugin, "--count", "1", "--output", other.to_str().unwrap()]);
    let outcome = |recording: &Path| {
        let text = std::fs::read_to_string(recording).unwrap();
        text.lines().rfind(|line| line.contains("\"sample\"")).unwrap().to_owned()
    };
    assert_ne!(outcome(&other), outcome(Path::new(&recording)));
}

#[test]
fn what_libraries_said_is_played_without_them() {
    let bench = Bench::new();
    let nvml = Nvml::below(bench.world.folder());
    let recording = bench.record(nvml.seen_by(bench.world.agent()), "gpu-nvidia");
    drop(nvml);
    let said = bench.replay("gpu-nvidia", &recording);
    assert_eq!(said["like_recorded"], true, "{said}");
    assert_eq!(said["samples"][2]["sample"]["gpus"].as_array().unwrap().len(), 2, "{said}");
}

/// The real library, where there is what it is for. No machine can be made to have that, CI's neither.
#[test]
fn what_the_real_library_said_of_a_real_accelerator_is_played() {
    if !Path::new("/dev/nvidiactl").exists() {
        if !in_ci() {
            skip("the real library of NVIDIA's", "an accelerator of NVIDIA's, and its driver");
        }
        return;
    }
    let bench = Bench::new();
    let recording = bench.record(bench.world.agent(), "gpu-nvidia");
    let said = bench.replay("gpu-nvidia", &recording);
    assert_eq!(said["like_recorded"], true, "{said}");
    assert!(!said["samples"][2]["sample"]["gpus"].as_array().unwrap().is_empty(), "{said}");
}

#[test]
fn what_hosts_said_is_played_without_them_and_without_their_secrets() {
    let bench = Bench::new();
    let plugin = bench.guest(ASKS_HTTP);
    let server = Server::start(bench.world.address(70), |caller| {
        caller.say("200 OK", "x-auth-token: sesame\r\n", "hello");
    });
    let url = server.url();
    let grants = format!("http = [\"{url}\"]");
    let recording = bench.record(bench.world.agent().config(&asking(&url, &grants)), &plugin);
    drop(server);
    let said = bench.replay(&plugin, &recording);
    assert_eq!(said["like_recorded"], true, "{said}");
    assert!(said["samples"].to_string().contains("hello"), "{said}");
    let text = std::fs::read_to_string(&recording).unwrap();
    assert!(!text.contains("sesame") && text.contains("x-auth-token"), "{text}");
}

#[test]
fn a_recording_that_is_none_is_refused_with_its_line() {
    let bench = Bench::new();
    let path = bench.path("bad.recording");
    let cases = [
        ("", "does not begin"),
        ("{}\n", "line 1"),
        ("{\"stage\":\"start\"}\n", "does not begin"),
        ("not json", "line 1"),
        (
            concat!(
                r#"{"recording":{"format":9,"plugin":"a","version":"1","digest":"","agent":"","architecture":"","every_ms":1,"seed":"00000000-0000-0000-0000-000000000000","settings":{}}}"#,
                "\n"
            ),
            "format 9",
        ),
    ];
    for (text, reason) in cases {
        std::fs::write(&path, text).unwrap();
        let output = bench.plugin(None, &["try", "cpu", "--replay", path.to_str().unwrap()]);
        let complaint = complaint(&output);
        assert!(complaint.contains(reason), "{text}: {complaint}");
    }
    let device = bench.plugin(None, &["try", "cpu", "--replay", "/dev/zero"]);
    assert!(complaint(&device).contains("it is no file"));
}

#[test]
fn the_agents_own_probes_pass_the_conformance_suite() {
    let bench = Bench::new();
    let folder = copy(&bench.world, PHYTIUM);
    for probe in ["cpu", "memory", "network", "disk", "hwmon", "identity"] {
        let recording = bench.record(bench.world.agent().replaying(&folder), probe);
        let (passed, checks) = bench.check(&[probe, "--replay", &recording]);
        assert!(passed, "{probe}: {checks:#}");
        assert_eq!(with(&checks, "passed").len(), 7, "{probe}: {checks:#}");
    }
}

#[test]
fn the_conformance_suite_finds_what_is_wrong() {
    let bench = Bench::new();
    let plugin = bench.guest(HOSTILE);
    let folder = copy(&bench.world, PHYTIUM);
    let cases = [
        ("behaves", vec![]),
        ("trusts-files", vec!["missing", "refused"]),
        ("hoards", vec!["leak"]),
        ("wrong-units", vec!["units"]),
        ("errors-in-sample", vec!["readings"]),
    ];
    for (mode, failing) in cases {
        let recording = bench.record(bench.hostile(mode).replaying(&folder), &plugin);
        let (_, checks) = bench.check(&[&plugin, "--replay", &recording]);
        assert_eq!(with(&checks, "failed"), failing, "{mode}: {checks:#}");
    }
}

#[test]
fn another_board_is_advised_only_where_the_probe_has_nothing_to_do() {
    let bench = Bench::new();
    let plugin = bench.guest(HOSTILE);
    let check = |mode: &str| complaint(&bench.plugin(Some(bench.hostile(mode)), &["check", &plugin]));
    let nothing = check("has-nothing-to-do");
    assert!(nothing.contains("has nothing to do on this board; record a board"), "{nothing}");
    let cases = [
        ("declines", "declines"),
        ("panics-in-sample", "trapped"),
        ("loops-in-sample", "did not answer within 500ms"),
    ];
    for (mode, reason) in cases {
        let said = check(mode);
        assert!(said.contains(reason) && !said.contains("--replay"), "{mode}: {said}");
    }
}

#[test]
fn a_plugin_that_was_built_again_is_told_from_the_recorded_one_by_its_digest() {
    let bench = Bench::new();
    let plugin = bench.guest(HOSTILE);
    let recording = bench.record(bench.hostile("behaves"), &plugin);
    let text = std::fs::read_to_string(&recording).unwrap();
    let header: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let recorded = &header["recording"]["digest"].as_str().unwrap()[..12];
    let manifest = format!("{}\n# Built again.\n", HOSTILE.manifest);
    std::fs::write(&plugin, HOSTILE.packed_with(&manifest)).unwrap();
    let (passed, checks) = bench.check(&[&plugin, "--replay", &recording]);
    let mut determinism = checks.as_array().unwrap().iter().filter(|check| check["name"] == "determinism");
    let said = determinism.next().unwrap()["said"].as_str().unwrap();
    let expected = format!("another file was recorded, {recorded} of version 6.6.6, and this is ");
    assert!(passed && said.contains(&expected), "{checks:#}");
    assert_eq!(said.matches(recorded).count(), 1, "{said}");
}
