//! Hostile plugins that are dropped into the folder of an agent that runs: each is stopped, or bounded, or told apart, and the rest of the board is reported on time
//! meanwhile. What they do is in `tests/guests`.

use std::time::{Duration, Instant};

use cardcage_tests::{LOOPS_AT_START, PANICS_WITHOUT_STD, until};

use crate::siege::Siege;

/// In this mode the plugin is ended again and again, with this reason.
#[track_caller]
fn check_ended(mode: &str, reason: &str) {
    let siege = Siege::by(mode);
    let first = siege.until_ended("hostile", reason);
    siege.others_are_on_time();
    let then = siege.until_ended("hostile", reason);
    assert!(then.restarts > first.restarts, "{then:?}");
    assert_eq!(siege.sensors_of("hostile"), [] as [serde_json::Value; 0]);
}

const LATE: &str = "did not answer within 500ms";
const NO_MEMORY: &str = "trapped after it was refused more than 64 MiB of memory";
const TOO_MUCH: &str = "trapped: too much data is being copied between the host and the guest";

/// Thousands of sensors take a debug build a while to write.
const LONG_REPORT: Duration = Duration::from_secs(1);

#[test]
fn loops_at_start() {
    let siege = Siege::with(|plan| plan);
    siege.drop_in("loops-at-start.wasm", &LOOPS_AT_START.packed());
    siege.until_ended("loops-at-start", LATE);
    siege.others_are_on_time();
    siege.until_ended("loops-at-start", LATE);
}

#[test]
fn panics_without_std() {
    const NAME: &str = "panics-without-std";
    const REASON: &str = "trapped: wasm trap: wasm `unreachable` instruction executed";
    let siege = Siege::with(|plan| plan);
    siege.drop_in("panics-without-std.wasm", &PANICS_WITHOUT_STD.packed());
    let first = siege.until_ended(NAME, REASON);
    assert!(first.imports.iter().all(|import| import.starts_with("cardcage:")), "{:?}", first.imports);
    siege.others_are_on_time();
    let then = siege.until_ended(NAME, REASON);
    assert!(then.restarts > first.restarts && then.samples == 0, "{then:?}");
    let list = siege.agent.output(&["plugin", "list"]);
    let list = String::from_utf8(list.stdout).unwrap();
    let line = list.lines().find(|line| line.contains(NAME)).unwrap();
    assert!(line.contains("trapped"), "{line}");
    // Its last word, from the panic handler of the SDK.
    let log = siege.agent.process.log();
    let says = format!("plugin says plugin={NAME} panicked at ");
    let last = log.lines().find(|line| line.contains(&says)).unwrap();
    assert!(
        last.contains("ERROR") && last.contains("lib.rs:") && last.ends_with("the bus is on fire"),
        "{last}"
    );
}

#[test]
fn loops_in_configure() {
    check_ended("loops-in-configure", LATE);
}

#[test]
fn loops_in_sample() {
    check_ended("loops-in-sample", LATE);
}

#[test]
fn loops_in_host_calls() {
    check_ended("loops-in-host-calls", LATE);
}

#[test]
fn sleeps_in_sample() {
    check_ended("sleeps-in-sample", LATE);
}

#[test]
fn panics_in_configure() {
    check_ended("panics-in-configure", "trapped: wasm trap: wasm `unreachable` instruction executed");
}

#[test]
fn exits_in_sample() {
    check_ended("exits-in-sample", "trapped: Exited with i32 exit status 0");
}

#[test]
fn recurses() {
    check_ended("recurses", "trapped: wasm trap: call stack exhausted");
}

#[test]
fn grows_memory() {
    check_ended("grows-memory", NO_MEMORY);
}

#[test]
fn gigabyte_string() {
    check_ended("gigabyte-string", NO_MEMORY);
}

#[test]
fn string_outside_memory() {
    check_ended("string-outside-memory", "trapped: string pointer/length out of bounds of memory");
}

#[test]
fn long_string() {
    check_ended("long-string", TOO_MUCH);
}

#[test]
fn million_sensors() {
    check_ended("million-sensors", NO_MEMORY);
}

#[test]
fn million_fields() {
    check_ended("million-fields", TOO_MUCH);
}

#[test]
fn panics_in_sample_until_it_is_quarantined() {
    let siege = Siege::by("panics-in-sample");
    // When each failure was seen first.
    let mut failures = Vec::new();
    let plugin = until("hostile is quarantined", || {
        let plugin = siege.agent.plugin("hostile");
        if plugin.failures > failures.len() as u64 {
            failures.push(Instant::now());
        }
        (plugin.state == "quarantined").then_some(plugin)
    });
    assert_eq!((plugin.failures, plugin.restarts, plugin.samples), (8, 7, 0));
    let pauses: Vec<_> = failures.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses.len(), 7, "{pauses:?}");
    for (number, pause) in pauses.iter().enumerate() {
        let least = Duration::from_millis(200) * (1 << number);
        // Each was seen a little after it was.
        assert!(*pause + Duration::from_millis(100) >= least, "pause {number} was {pause:?}, not {least:?}");
    }
    siege.others_are_on_time();
    let list = siege.agent.output(&["plugin", "list"]);
    let list = String::from_utf8(list.stdout).unwrap();
    let line = list.lines().find(|line| line.contains("hostile")).unwrap();
    assert!(line.contains("quarantined") && line.contains("trapped"), "{line}");
    // What it said on its way out is in the log, marked as its own.
    let log = siege.agent.process.log();
    assert!(log.contains("plugin says") && log.contains("panics in sample"), "{log}");
}

#[test]
fn errors_in_sample_do_not_end_it() {
    let siege = Siege::by("errors-in-sample");
    let plugin = siege.until_fault("hostile", "no sample: io: the bus is on fire");
    siege.others_are_on_time();
    let later = siege.agent.plugin("hostile");
    assert!(later.failures > plugin.failures && later.restarts == 0, "{later:?}");
}

#[test]
fn declines_its_settings() {
    let siege = Siege::by("declines");
    let plugin = siege.agent.until_plugin("hostile", "refused");
    assert_eq!(plugin.reason.as_deref(), Some("declines: invalid: this board is beneath me"));
    siege.others_are_on_time();
}

#[test]
fn has_nothing_to_do() {
    let siege = Siege::by("has-nothing-to-do");
    let plugin = siege.agent.until_plugin("hostile", "idle");
    assert_eq!(plugin.reason.as_deref(), Some("nothing to do on this board: there is no fuse to light"));
    siege.others_are_on_time();
}

#[test]
fn five_thousand_sensors_are_cut_to_what_is_taken() {
    let siege = Siege::by("five-thousand-sensors");
    siege.until_fault("hostile", "too-large: 5000 sensors, of which 4096 are taken");
    siege.others_answer_within(LONG_REPORT);
}

#[test]
fn long_names_silence_nobody_else() {
    let siege = Siege::by("long-names");
    siege.agent.until_plugin("hostile", "ready");
    siege.others_answer_within(LONG_REPORT);
    assert_eq!(siege.sensors_of("hostile"), [] as [serde_json::Value; 0]);
    let log = siege.agent.process.log();
    assert!(log.contains("it goes without what this plugin says plugin=hostile"), "{log}");
}

#[test]
fn not_finite_numbers_cost_their_own_item_only() {
    let siege = Siege::by("not-finite");
    let plugin = siege.until_fault("hostile", "invalid: sensor nan has a number that is not finite");
    for item in ["sensor infinite", "sensor minus-infinite", "sensor limit", "gpu 0000:66:00.0", "cpu"] {
        let fault = format!("invalid: {item}");
        assert!(plugin.faults.iter().any(|told| told.starts_with(&fault)), "{fault} in {:?}", plugin.faults);
    }
    let sensors = siege.sensors_of("hostile");
    assert_eq!(sensors.len(), 1, "{sensors:?}");
    assert_eq!(sensors[0]["name"], "fine");
    let readings = siege.readings();
    // The cpu is the built-in probe's, whose number of cores is the right one.
    assert_ne!(readings["cpu"]["cores"], 4096);
    siege.others_are_on_time();
}

#[test]
fn terminal_codes_are_taken_out_of_names() {
    let siege = Siege::by("terminal-codes");
    siege.agent.until_plugin("hostile", "ready");
    siege.others_are_on_time();
    let sensors = siege.sensors_of("hostile");
    let names: Vec<_> = sensors.iter().map(|sensor| sensor["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| name.len() <= 1024 && !name.contains(char::is_control)), "{names:?}");
}

#[test]
fn floods_log() {
    check_flood("floods-log");
}

#[test]
fn floods_standard_error() {
    check_flood("floods-standard-error");
}

/// A hundred thousand lines become twenty, and a count of the rest.
#[track_caller]
fn check_flood(mode: &str) {
    let siege = Siege::by(mode);
    let lines = |log: &str| log.lines().filter(|line| line.contains("flood ")).count();
    until("the flood is cut off", || siege.agent.process.log().contains("lines dropped").then_some(()));
    siege.others_are_on_time();
    let log = siege.agent.process.log();
    assert!((20..60).contains(&lines(&log)), "{} lines", lines(&log));
    assert!(!log.lines().any(|line| line.starts_with("ERROR")), "a forged line");
}

#[test]
fn reads_outside_grant() {
    let siege = Siege::by("reads-outside-grant");
    let plugin = siege.until_fault("hostile", "denied: ");
    let answers: Vec<_> =
        plugin.faults.iter().map(|fault| fault.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        answers,
        [
            "denied: /etc/passwd",
            "denied: /proc/self/environ",
            "denied: /proc/self/mem",
            "denied: /proc/kmsg",
            "invalid: \"/sys/class/hwmon/../../kernel/notes\"",
            "denied: /sys/class/hwmon2/x",
            "denied: /sys/kernel/notes",
            "denied: /dev/mem",
        ]
    );
    siege.others_are_on_time();
}

#[test]
fn hoards_handles() {
    let siege = Siege::by("hoards-handles");
    siege.until_fault("hostile", "too-large: at most 64 batches are held open");
    siege.others_are_on_time();
}

#[test]
fn reaches_out() {
    let siege = Siege::by("reaches-out");
    let plugin = siege.until_fault("hostile", "refused: ");
    let refused: Vec<_> =
        plugin.faults.iter().map(|fault| fault.split(": ").take(2).collect::<Vec<_>>()).collect();
    let attempts = ["read", "list", "write", "connect", "listen", "multicast", "resolve", "environment"];
    assert_eq!(refused, attempts.map(|attempt| ["refused", attempt]), "{:?}", plugin.faults);
    siege.others_are_on_time();
}

/// Compiling is where a plugin can use up a machine before any of it runs.
#[test]
fn takes_long_to_compile() {
    let siege = Siege::with(|plan| plan);
    siege.drop_in("bomb.wasm", &crate::bomb::packed("bomb"));
    siege.agent.until_plugin("bomb", "compiling");
    siege.others_are_on_time();
    assert_eq!(siege.agent.plugin("bomb").state, "compiling", "the bomb is too small");
}

#[test]
fn a_compiler_ends_with_its_agent() {
    let mut siege = Siege::with(|plan| plan.plugin("bomb.wasm", crate::bomb::packed("bomb")));
    let agent = siege.agent.process.pid();
    let compiler = until("the compiler runs", || children_of(agent).into_iter().next());
    siege.agent.kill();
    until("the compiler is gone", || parent_of(compiler).is_none().then_some(()));
}

/// The processes that this one has started, and that are not over.
fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|process| parent_of(*process) == Some(parent)).collect()
}

/// `None` for a process that is over.
fn parent_of(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // 1234 (name) S 1 …
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let over = fields.next()? == "Z";
    fields.next()?.parse().ok().filter(|_| !over)
}

#[test]
fn behaves_in_the_end() {
    let siege = Siege::by("behaves");
    siege.agent.until_plugin("hostile", "ready");
    siege.others_are_on_time();
    assert_eq!(siege.sensors_of("hostile").len(), 1);
}
