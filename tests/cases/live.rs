//! Files that come, change and go in the plugin folder of an agent that runs. A neighbour and a manager watch that nobody
//! else notices.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use sha2::Digest as _;

use cardcage_tests::{HOSTILE, HOSTILE_BACKEND, PROBE_THAT_DEPLOYS, Plugin, until};

use crate::folder::packed;
use crate::siege::Siege;

/// The hostile guest in one of its modes, as a version of its own.
fn version(version: &str, mode: &str) -> Vec<u8> {
    let manifest = HOSTILE.manifest.replacen("6.6.6", version, 1);
    let manifest = manifest.replacen("default = \"behaves\"", &format!("default = \"{mode}\""), 1);
    HOSTILE.packed_with(&manifest)
}

/// An agent whose folder changes.
struct Live(Siege);

impl Live {
    #[track_caller]
    fn new() -> Self {
        Self(Siege::with(|plan| plan))
    }

    /// With the hostile guest in the folder, which behaves and is version 1.
    #[track_caller]
    fn with_version_1() -> Self {
        let live = Self::new();
        live.move_in("hostile.wasm", version("1", "behaves"));
        live.until_version("1");
        live
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.agent.folder().join("plugins").join(file)
    }

    #[track_caller]
    fn copy(&self, file: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(file), bytes).unwrap();
    }

    #[track_caller]
    fn move_in(&self, file: &str, bytes: impl AsRef<[u8]>) {
        self.copy(".incoming", bytes);
        fs::rename(self.path(".incoming"), self.path(file)).unwrap();
    }

    #[track_caller]
    fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    fn find(&self, name: &str) -> Option<Plugin> {
        self.0.agent.plugins().into_iter().find(|plugin| plugin.name == name)
    }

    #[track_caller]
    fn until_version(&self, version: &str) -> Plugin {
        until(&format!("version {version} of hostile runs"), || {
            let plugin = self.find("hostile")?;
            (plugin.version == version && plugin.state == "ready" && plugin.samples > 0).then_some(plugin)
        })
    }

    #[track_caller]
    fn until_gone(&self, name: &str) {
        until(&format!("{name} is gone"), || self.find(name).is_none().then_some(()));
    }

    /// Waits until what lies in the folder in place of a plugin that runs is not taken for this reason.
    #[track_caller]
    fn until_kept_out(&self, name: &str, state: &str, reason: &str) -> Plugin {
        self.until_this_is_kept_out(name, None, state, reason)
    }

    #[track_caller]
    fn until_this_is_kept_out(&self, name: &str, digest: Option<&str>, state: &str, reason: &str) -> Plugin {
        until(&format!("what is to replace {name} is {state}: {reason}"), || {
            let plugin = self.find(name)?;
            let replacement = plugin.replacement.as_ref()?;
            let (why, this) = (replacement.reason.as_deref().unwrap_or_default(), &replacement.digest);
            let is_this = digest.is_none_or(|digest| digest == this);
            (replacement.state == state && why.contains(reason) && is_this).then_some(plugin)
        })
    }

    /// Version 1 runs, gives readings, and is what the operator sees.
    #[track_caller]
    fn version_1_goes_on(&self) {
        let before = self.until_version("1").samples;
        until("it takes more samples", || (self.find("hostile")?.samples > before).then_some(()));
        assert!(!self.0.sensors_of("hostile").is_empty());
        self.0.answers();
    }

    /// Puts this in the place of version 1, which goes on while the reason is shown.
    #[track_caller]
    fn keeps_out(&self, bytes: impl AsRef<[u8]>, state: &str, reason: &str) {
        self.move_in("hostile.wasm", &bytes);
        let digest = sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        self.until_this_is_kept_out("hostile", Some(&digest), state, reason);
        self.version_1_goes_on();
        let list = String::from_utf8(self.0.agent.output(&["plugin", "list"]).stdout).unwrap();
        let shown = |line: &str| {
            line.trim_start().starts_with("hostile")
                && [" 1 ", "ready", reason].iter().all(|word| line.contains(word))
        };
        assert!(list.lines().any(shown), "{list}");
    }
}

#[test]
fn a_file_that_is_copied_in_is_in_the_reports_and_gone_when_it_is_removed() {
    let live = Live::new();
    live.copy("hostile.wasm", version("1", "behaves"));
    live.until_version("1");
    assert!(!live.0.sensors_of("hostile").is_empty());
    live.remove("hostile.wasm");
    live.until_gone("hostile");
    assert!(live.0.sensors_of("hostile").is_empty());
    live.0.others_are_on_time();
}

#[test]
fn what_a_plugin_costs_and_is_given_is_shown() {
    let live = Live::with_version_1();
    let plugin = until("it has been sampled", || live.find("hostile").filter(|plugin| plugin.samples > 2));
    assert_eq!(
        (plugin.asked, plugin.given),
        (vec!["files /sys/class/hwmon".to_owned()], vec!["files /sys/class/hwmon".to_owned()])
    );
    assert!(plugin.cpu_ms > 0.0 && plugin.cpu_ms < 1000.0, "{} ms", plugin.cpu_ms);
    assert!(plugin.readings > Some(0) && plugin.longest_sample_ms > Some(0.0) && plugin.last_error.is_none());
    // One that asks the kernel.
    let cpu = live.0.agent.plugin("cpu");
    assert!(cpu.host_calls >= cpu.samples && cpu.asked.is_empty(), "{cpu:?}");
    live.move_in("hostile.wasm", version("2", "errors-in-sample"));
    live.until_kept_out("hostile", "ready", "no sample");
    live.remove("hostile.wasm");
    live.until_gone("hostile");
    // Nothing to replace: it runs, and what went wrong is said.
    live.move_in("hostile.wasm", version("3", "errors-in-sample"));
    until("its last error is shown", || {
        live.find("hostile")?.last_error?.contains("no sample").then_some(())
    });
}

#[test]
fn a_file_that_is_written_slowly_is_taken_when_it_is_whole() {
    let live = Live::new();
    let bytes = version("1", "behaves");
    let (begin, end) = bytes.split_at(bytes.len() / 2);
    let mut file = File::create(live.path("hostile.wasm")).unwrap();
    file.write_all(begin).unwrap();
    // A second file makes the agent look at the folder meanwhile.
    live.copy("other.wasm", "no plugin");
    live.0.agent.until_plugin("other", "refused");
    assert!(live.find("hostile").is_none());
    file.write_all(end).unwrap();
    drop(file);
    live.until_version("1");
    let log = live.0.agent.process.log();
    assert!(!log.contains("plugin refused plugin=hostile"), "{log}");
}

#[test]
fn links_and_files_with_odd_names_are_taken() {
    let live = Live::new();
    let elsewhere = live.0.agent.folder().join("elsewhere");
    fs::write(&elsewhere, version("1", "behaves")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, live.path("日本 \u{7}\n.wasm")).unwrap();
    live.until_version("1");
    // What the link leads to changes: no event of the folder says so.
    fs::write(&elsewhere, version("2", "behaves")).unwrap();
    live.until_version("2");
    fs::remove_file(&elsewhere).unwrap();
    live.until_gone("hostile");
}

#[test]
fn a_new_version_takes_over_without_a_gap() {
    let live = Live::with_version_1();
    // Looks at every moment until the version runs.
    let watch = |version: &str| loop {
        let sensors = live.0.sensors_of("hostile");
        assert_eq!(sensors.len(), 1, "a gap, or two at once: {sensors:?}");
        // As often as a manager may ask.
        thread::sleep(Duration::from_millis(200));
        if live.find("hostile").unwrap().version == version {
            break;
        }
    };
    live.move_in("hostile.wasm", version("2", "behaves"));
    watch("2");
    assert!(live.until_version("2").replacement.is_none());
    live.copy("hostile.wasm", version("3", "behaves"));
    watch("3");
    let before = live.until_version("3").samples;
    fs::rename(live.path("hostile.wasm"), live.path("renamed.wasm")).unwrap();
    while live.find("hostile").unwrap().samples < before + 3 {
        watch("3");
    }
    live.remove("renamed.wasm");
    live.until_gone("hostile");
}

#[test]
fn what_is_no_plugin_does_not_replace_one() {
    let live = Live::with_version_1();
    live.keeps_out("no plugin", "refused", "not a WebAssembly file");
    live.keeps_out(b"\0asm\x01\0\0\0", "refused", "a core module, not a component");
    live.keeps_out(HOSTILE.component, "refused", "a component without a manifest");
    let half = version("2", "behaves");
    live.keeps_out(&half[..half.len() / 2], "refused", "damaged");
    live.keeps_out(PROBE_THAT_DEPLOYS.packed(), "refused", "which only deploy backends have");
    let another_world = cardcage_manifest::pack(b"\0asm\x0d\0\x01\0", "name = \"hostile\"\nversion = \"1\"");
    live.keeps_out(another_world.unwrap(), "refused", "exports no interface that this agent calls");
    let lies = packed("/sys/class/hwmon", "/sys/kernel/debug");
    live.keeps_out(lies, "refused", "[plugins.grants.hostile] files = [\"/sys/kernel/debug\"]");
    // Takes no space on the disk.
    let huge = live.path(".huge");
    File::create(&huge).unwrap().set_len(200 << 20).unwrap();
    fs::rename(huge, live.path("hostile.wasm")).unwrap();
    live.until_kept_out("hostile", "refused", "has more than 67108864 bytes");
    live.version_1_goes_on();
    // What it was before is no replacement.
    live.move_in("hostile.wasm", version("1", "behaves"));
    until("nothing is shown beside it", || live.find("hostile")?.replacement.is_none().then_some(()));
    live.version_1_goes_on();
    live.move_in("hostile.wasm", version("2", "behaves"));
    live.until_version("2");
}

#[test]
fn what_misbehaves_does_not_replace_what_behaves() {
    let live = Live::with_version_1();
    live.keeps_out(version("2", "panics-in-sample"), "backoff", "trapped");
    live.keeps_out(version("2", "loops-in-configure"), "backoff", "did not answer within 500ms");
    live.keeps_out(version("2", "loops-in-sample"), "backoff", "did not answer within 500ms");
    live.keeps_out(version("2", "sleeps-in-sample"), "backoff", "did not answer within 500ms");
    live.keeps_out(version("2", "grows-memory"), "backoff", "more than 64 MiB");
    live.keeps_out(version("2", "recurses"), "backoff", "trapped");
    live.keeps_out(version("2", "declines"), "refused", "declines");
    live.keeps_out(version("2", "has-nothing-to-do"), "idle", "nothing to do on this board");
    live.keeps_out(version("2", "errors-in-sample"), "ready", "no sample");
    live.move_in("hostile.wasm", version("3", "behaves"));
    live.until_version("3");
    live.0.others_are_on_time();
}

#[test]
fn what_proved_itself_is_there_after_a_restart_in_which_its_file_was_spoilt() {
    let mut live = Live::with_version_1();
    let record = live.0.agent.folder().join("state/accepted/files");
    until("version 1 is recorded", || {
        fs::read_to_string(&record).ok()?.contains("hostile.wasm").then_some(())
    });
    live.keeps_out("no plugin", "refused", "not a WebAssembly file");
    live.0.agent.stop();
    live.0.agent.start_again();
    live.until_kept_out("hostile", "refused", "not a WebAssembly file");
    live.version_1_goes_on();
    // A full disk leaves no byte of it.
    live.0.agent.stop();
    fs::write(live.path("hostile.wasm"), "").unwrap();
    live.0.agent.start_again();
    live.until_kept_out("hostile", "refused", "is empty");
    live.version_1_goes_on();
    live.0.agent.kill();
    fs::write(live.path("hostile.wasm"), version("2", "panics-in-sample")).unwrap();
    live.0.agent.start_again();
    // With the last word of it.
    live.until_kept_out("hostile", "backoff", "panics in sample");
    live.version_1_goes_on();
    live.0.agent.stop();
    live.remove("hostile.wasm");
    live.0.agent.start_again();
    live.0.agent.until_plugin("acme-board", "ready");
    assert!(live.find("hostile").is_none());
    let copies = live.0.agent.folder().join("state/accepted");
    until("only what lies in the folder is kept", || {
        // The neighbour's, and the record.
        (fs::read_dir(&copies).unwrap().count() == 2).then_some(())
    });
}

#[test]
fn of_two_files_of_one_name_the_one_that_runs_stays() {
    let mut live = Live::with_version_1();
    live.move_in("newer.wasm", version("2", "behaves"));
    until("the newcomer is refused", || {
        let all = live.0.agent.plugins();
        let newcomer = all.into_iter().find(|plugin| plugin.name == "hostile" && plugin.version == "2")?;
        newcomer.reason?.contains("several files have this name").then_some(())
    });
    live.version_1_goes_on();
    // Nothing about that changes with a restart.
    live.0.agent.stop();
    live.0.agent.start_again();
    live.version_1_goes_on();
    live.remove("hostile.wasm");
    live.until_version("2");
}

#[test]
fn a_built_in_plugin_gives_way_to_a_file_and_comes_back() {
    let live = Live::new();
    let cpu = |mode: &str| {
        let manifest = HOSTILE.manifest.replacen("name = \"hostile\"", "name = \"cpu\"", 1);
        HOSTILE.packed_with(&manifest.replacen("default = \"behaves\"", &format!("default = \"{mode}\""), 1))
    };
    let version = |wanted: &str| {
        until(&format!("version {wanted} of cpu runs"), || {
            let plugin = live.0.agent.plugin("cpu");
            (plugin.version.starts_with(wanted) && plugin.state == "ready").then_some(plugin)
        })
    };
    let built_in = version("").version;
    live.move_in("cpu.wasm", cpu("panics-in-sample"));
    live.until_kept_out("cpu", "backoff", "trapped");
    live.0.answers();
    live.move_in("cpu.wasm", cpu("behaves"));
    version("6.6.6");
    live.remove("cpu.wasm");
    assert!(version(&built_in).built_in);
    live.0.answers();
}

#[test]
fn a_file_that_changes_while_it_is_read() {
    let live = Live::with_version_1();
    let (good, path) = (version("2", "behaves"), live.path("hostile.wasm"));
    // Ends with the sender, also where an assertion fails.
    let (over, ends) = mpsc::channel::<()>();
    let writer = thread::spawn(move || {
        for round in 0_u64.. {
            // Opened again and again: closed, and so whole, as far as anybody can tell.
            let mut file = OpenOptions::new().write(true).open(&path).unwrap();
            for step in 0..64 {
                file.seek(SeekFrom::Start((round * 64 + step) * 37 % 60_000)).unwrap();
                file.write_all(&round.to_le_bytes()).unwrap();
            }
            if ends.try_recv() == Err(mpsc::TryRecvError::Disconnected) {
                return;
            }
        }
    });
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        live.0.answers();
        assert_eq!(live.find("hostile").unwrap().version, "1");
        thread::sleep(Duration::from_millis(100));
    }
    let refusals = live.0.agent.process.log().matches("plugin refused").count();
    assert!(refusals < 16, "{refusals} refusals in three seconds");
    drop(over);
    writer.join().unwrap();
    live.version_1_goes_on();
    live.copy("hostile.wasm", good);
    live.until_version("2");
}

#[test]
fn a_thousand_files_at_once() {
    let live = Live::with_version_1();
    for n in 0..1000 {
        live.copy(&format!("a{n:04}.wasm"), format!("no plugin {n}"));
    }
    until("as many are looked at as the agent takes", || {
        (live.0.agent.plugins().iter().filter(|plugin| plugin.state == "refused").count() == 254)
            .then_some(())
    });
    live.version_1_goes_on();
    // What is in their midst is found, once there is room.
    (0..1000).for_each(|n| live.remove(&format!("a{n:04}.wasm")));
    live.move_in("hostile.wasm", version("2", "behaves"));
    live.until_version("2");
    live.0.others_are_on_time();
}

#[test]
fn the_folder_itself_comes_and_goes() {
    let live = Live::with_version_1();
    let (folder, aside) = (live.path(""), live.0.agent.folder().join("aside"));
    fs::rename(&folder, &aside).unwrap();
    live.until_gone("hostile");
    fs::create_dir(&folder).unwrap();
    fs::copy(aside.join("acme-board.wasm"), live.path("acme-board.wasm")).unwrap();
    live.move_in("hostile.wasm", version("2", "behaves"));
    live.until_version("2");
    live.0.agent.until_plugin("acme-board", "ready");
}

#[test]
fn a_backend_that_is_dropped_in_serves_its_type() {
    let siege = Siege::with(|plan| {
        plan.config("[plugins.grants.hostile-backend]\nartifacts = [\"*\"]\n[plugins.grants.hostile-backend.containers]\n[plugins.grants.hostile-backend.processes]")
    });
    let live = Live(siege);
    live.move_in("backend.wasm", HOSTILE_BACKEND.packed());
    live.0.agent.until_plugin("hostile-backend", "ready");
    live.keep_backend_through_a_bad_file();
    live.remove("backend.wasm");
    live.until_gone("hostile-backend");
}

impl Live {
    #[track_caller]
    fn keep_backend_through_a_bad_file(&self) {
        self.move_in("backend.wasm", "no plugin");
        let plugin = self.until_kept_out("hostile-backend", "refused", "not a WebAssembly file");
        assert_eq!(plugin.state, "ready");
    }
}

/// Four plugins, each changed 250 times. Each version comes as a file of its own, and the earlier one goes.
#[test]
fn a_thousand_changes_leave_nothing_behind() {
    const PLUGINS: usize = 4;
    let live = Live::new();
    let process = &live.0.agent.process;
    let packed = |plugin: usize, version: &str| {
        let manifest = HOSTILE.manifest.replacen("hostile", &format!("p{plugin}"), 1);
        HOSTILE.packed_with(&manifest.replacen("6.6.6", version, 1))
    };
    let plugins: Vec<_> =
        (0..PLUGINS).map(|plugin| ["1", "2"].map(|version| packed(plugin, version))).collect();
    let file = |plugin: usize, round: usize| format!("p{plugin}-{round}.wasm");
    let change = |round: usize| {
        for (plugin, versions) in plugins.iter().enumerate() {
            if let Some(before) = round.checked_sub(1) {
                live.remove(&file(plugin, before));
            }
            live.move_in(&file(plugin, round), &versions[round % 2]);
        }
        let version = ["1", "2"][round % 2];
        until(&format!("version {version} of all runs"), || {
            let all = live.0.agent.plugins();
            let changed = |plugin: &&Plugin| plugin.version == version && plugin.samples > 0;
            (all.iter().filter(changed).count() == PLUGINS).then_some(())
        });
    };
    // Allocators and pools have seen it all by then.
    (0..20).for_each(change);
    let before = (process.memory_kib(), process.descriptors());
    (20..270).for_each(change);
    let after = (process.memory_kib(), process.descriptors());
    let more = after.0.saturating_sub(before.0);
    assert!(more < 2048 && after.1 <= before.1 + 2, "KiB and descriptors: {before:?}, then {after:?}");
}
