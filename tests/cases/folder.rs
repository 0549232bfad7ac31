//! What may lie in a plugin folder and is not run: each is refused with its reason, and the rest of the board is reported
//! meanwhile.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use cardcage_manifest::Plugin;
use cardcage_tests::{ACME_BOARD, AgentPlan, HOSTILE, World, until};

use crate::siege::Siege;

/// The hostile guest, which behaves, under another manifest.
pub(crate) fn packed(from: &str, to: &str) -> Vec<u8> {
    assert!(HOSTILE.manifest.contains(from), "{from}");
    HOSTILE.packed_with(&HOSTILE.manifest.replacen(from, to, 1))
}

/// The hostile guest under another name.
fn named(name: &str) -> Vec<u8> {
    packed("name = \"hostile\"", &format!("name = {name:?}"))
}

/// The same file with a text in it replaced by another of the same length.
pub(crate) fn forged(plugin: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut forged = plugin.to_vec();
    let mut found = 0;
    for at in 0..forged.len() - from.len() {
        if forged[at..].starts_with(from.as_bytes()) {
            forged[at..at + from.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "{from} is not in the plugin");
    forged
}

/// Asserts that the one plugin in the folder is refused for this reason, and that the rest is reported.
#[track_caller]
fn check_refused(name: &str, reason: &str, besiege: impl FnOnce(AgentPlan) -> AgentPlan) {
    let siege = Siege::with(besiege);
    let plugin = siege.agent.until_plugin(name, "refused");
    let why = plugin.reason.unwrap();
    assert!(why.contains(reason), "{why}");
    // The operator's way to see it.
    let list = siege.agent.output(&["plugin", "list"]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.lines().any(|line| line.contains(name) && line.contains("refused")), "{list}");
    siege.answers();
}

#[test]
fn a_component_without_a_manifest() {
    check_refused("bare", "a component without a manifest", |plan| {
        plan.plugin("bare.wasm", HOSTILE.component)
    });
}

#[test]
fn a_component_with_two_manifests() {
    let mut twice = HOSTILE.packed();
    // The section is the same text at the end, once more.
    twice.extend(&HOSTILE.packed()[HOSTILE.component.len()..]);
    check_refused("twice", "a component with several manifests", |plan| plan.plugin("twice.wasm", twice));
}

#[test]
fn a_core_module() {
    check_refused("module", "a core module, not a component", |plan| {
        plan.plugin("module.wasm", b"\0asm\x01\0\0\0")
    });
}

#[test]
fn a_component_that_is_no_probe() {
    let empty = cardcage_manifest::pack(b"\0asm\x0d\0\x01\0", "name = \"empty\"\nversion = \"1\"").unwrap();
    check_refused("empty", "exports no interface that this agent calls", |plan| {
        plan.plugin("empty.wasm", empty)
    });
}

#[test]
fn a_truncated_file() {
    let packed = HOSTILE.packed();
    let half = &packed[..packed.len() / 2];
    check_refused("half", "not a WebAssembly file, or a damaged one", |plan| plan.plugin("half.wasm", half));
}

#[test]
fn a_file_that_is_whole_outside_and_broken_inside() {
    let whole = HOSTILE.packed();
    let damaged = |at: usize| {
        let mut plugin = whole.clone();
        plugin[at..at + 16].fill(0xff);
        plugin
    };
    // Within the code of a function: what lies around it can still be read.
    let mut places = (HOSTILE.component.len() / 4..HOSTILE.component.len() - 16).step_by(61).map(damaged);
    let broken = places.find(|plugin| Plugin::read(plugin).is_ok()).unwrap();
    check_refused("hostile", "does not compile", |plan| plan.plugin("broken.wasm", broken));
}

#[test]
fn an_import_that_the_agent_does_not_have() {
    let wants = forged(&HOSTILE.packed(), "cardcage:host/kernel@", "cardcage:host/secret@");
    check_refused("hostile", "imports cardcage:host/secret@0.1.0, which this agent does not have", |plan| {
        plan.plugin("wants.wasm", wants)
    });
}

#[test]
fn an_import_that_is_not_granted() {
    let wants = packed("/sys/class/hwmon", "/sys/kernel/debug");
    check_refused("hostile", "[plugins.grants.hostile] files = [\"/sys/kernel/debug\"]", |plan| {
        plan.plugin("wants.wasm", wants)
    });
}

#[test]
fn a_grant_that_is_pinned_to_another_file() {
    check_refused("hostile", "the grant is for the file with SHA-256 0123", |plan| {
        plan.plugin("hostile.wasm", HOSTILE.packed())
            .config(&format!("[plugins.grants.hostile]\nsha256 = \"0123{}\"", "0".repeat(60)))
    });
}

#[test]
fn a_setting_that_it_does_not_have() {
    check_refused("hostile", "there is no setting \"moed\"; known are: mode", |plan| {
        plan.plugin("hostile.wasm", HOSTILE.packed()).config("[plugins.settings.hostile]\nmoed = \"behaves\"")
    });
}

#[test]
fn a_setting_that_does_not_fit_is_named_by_its_path() {
    const SETTINGS: &str = "[settings.rails]\ntype = \"object\"\ndefault = {}\n\
                            additionalProperties = { type = \"object\", properties = { scale = { type = \"number\" } } }\n";
    let manifest = format!("{}\n{SETTINGS}", HOSTILE.manifest);
    check_refused("hostile", "rails.in0.scale", |plan| {
        plan.plugin("hostile.wasm", HOSTILE.packed_with(&manifest))
            .config("[plugins.settings.hostile.rails.in0]\nscale = \"twice\"")
    });
}

#[test]
fn a_kind_that_it_does_not_export() {
    let lies = format!("kind = \"backend\"\n{}", HOSTILE.manifest);
    check_refused("hostile-file", "kind", |plan| {
        plan.plugin("hostile-file.wasm", HOSTILE.packed_with(&lies))
    });
}

#[test]
fn one_folder_serves_boards_of_several_kinds() {
    let for_boards = |name: &str, rules: &str| {
        let manifest = HOSTILE.manifest.replacen("name = \"hostile\"", &format!("name = {name:?}"), 1);
        HOSTILE.packed_with(&format!("{manifest}\n[[boards]]\n{rules}"))
    };
    let siege = Siege::with(|plan| {
        plan.config("[board]\nboard_type = \"ACME-C2\"")
            .plugin("a.wasm", for_boards("for-another-processor", "arch = [\"riscv32\"]"))
            .plugin("b.wasm", for_boards("for-this-one", "exists = [\"/sys/class\"]"))
            .plugin("c.wasm", for_boards("for-what-is-not-here", "exists = [\"/sys/class/acme-*\"]"))
    });
    siege.agent.until_plugin("for-this-one", "ready");
    for name in ["for-another-processor", "for-what-is-not-here"] {
        let reason = siege.agent.until_plugin(name, "idle").reason.unwrap();
        assert!(reason.starts_with("is for other boards: "), "{reason}");
    }
    siege.answers();
}

#[test]
fn memory_that_its_manifest_does_not_ask_for() {
    let manifest = format!("{}\n[limits]\nmemory = \"2MiB\"\n", HOSTILE.manifest);
    let manifest = manifest.replacen("default = \"behaves\"", "default = \"grows-memory\"", 1);
    let siege = Siege::with(|plan| plan.plugin("hostile.wasm", HOSTILE.packed_with(&manifest)));
    siege.until_ended("hostile", "refused more than 2 MiB of memory");
    siege.answers();
    let too_much = format!("{}\n[limits]\nmemory = \"65MiB\"\n", HOSTILE.manifest);
    // Too much to be packed at all: somebody else packed it.
    assert!(cardcage_manifest::pack(HOSTILE.component, &too_much).is_err());
}

#[test]
fn a_name_that_leads_out_of_the_folder() {
    let climbs = forged(&HOSTILE.packed(), "name = \"hostile\"", "name = \"../hos\"\n");
    check_refused("climbs", "the manifest's name is \"../hos\"", |plan| plan.plugin("climbs.wasm", climbs));
}

#[test]
fn two_files_of_one_name() {
    check_refused("hostile", "several files have this name", |plan| {
        plan.plugin("a.wasm", HOSTILE.packed()).plugin("b.wasm", packed("6.6.6", "6.6.7"))
    });
}

#[test]
fn a_file_of_65_mib() {
    check_refused("huge", "has more than 67108864 bytes", |plan| {
        let folder = plan.folder().join("plugins");
        std::fs::create_dir_all(&folder).unwrap();
        // Takes no space on the disk.
        File::create(folder.join("huge.wasm")).unwrap().set_len(65 << 20).unwrap();
        plan
    });
}

#[test]
fn compiled_code_whatever_it_is_called() {
    let world = World::new();
    let donor = world.agent().start();
    let compiled = std::fs::read_dir(donor.folder().join("state/compiled")).unwrap().next().unwrap().unwrap();
    let code = std::fs::read(compiled.path()).unwrap();
    for file in ["native.cwasm", "disguised.wasm"] {
        let name = file.split('.').next().unwrap();
        check_refused(name, "is compiled code, which is native code of unknown origin", |plan| {
            plan.plugin(file, code.clone())
        });
    }
}

#[test]
fn what_is_no_file_is_not_looked_at() {
    let siege = Siege::with(|plan| {
        let folder = plan.folder().join("plugins");
        std::fs::create_dir_all(folder.join("folder.wasm")).unwrap();
        symlink("/nowhere", folder.join("dangling.wasm")).unwrap();
        symlink("/dev/zero", folder.join("endless.wasm")).unwrap();
        make_pipe(&folder.join("pipe.wasm"));
        plan.plugin(".half-copied.wasm", "half").plugin("notes.txt", "do not run").plugin("wasm", "")
    });
    let names: Vec<_> = siege.agent.plugins().into_iter().map(|plugin| plugin.name).collect();
    let backends = ["deploy-bar", "deploy-docker"];
    let probes = ["disk", "gpu", "gpu-nvidia", "hwmon", "identity", "memory", "network"];
    assert_eq!(names, [&["acme-board", "cpu"][..], &backends, &probes].concat());
    siege.answers();
}

fn make_pipe(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    nix::unistd::mkfifo(path.as_c_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
}

#[test]
fn a_file_replaces_the_built_in_plugin_of_its_name_without_its_grants() {
    // The built-in plugin of the name gpu is granted /sys/class/drm with the agent; a file of that name is not.
    let gpu = packed("name = \"hostile\"", "name = \"gpu\"");
    let gpu = forged(&gpu, "/sys/class/hwmon\"", "/sys/class/drm\"  ");
    let siege = Siege::with(|plan| plan.plugin("hwmon.wasm", named("hwmon")).plugin("gpu.wasm", gpu));
    until("the file's hwmon runs", || {
        let hwmon = siege.agent.until_plugin("hwmon", "ready");
        (!hwmon.built_in && hwmon.version == "6.6.6").then_some(())
    });
    until("the reason why the file's gpu does not is shown", || {
        let reason = siege.agent.plugin("gpu").replacement?.reason?;
        reason.contains("[plugins.grants.gpu] files = [\"/sys/class/drm\"]").then_some(())
    });
}

#[test]
fn the_same_files_are_what_list_and_check_say_without_an_agent() {
    let world = World::new();
    let plan = || {
        let plan = world.agent().plugin("acme-board.wasm", ACME_BOARD.packed());
        plan.plugin("bare.wasm", HOSTILE.component)
    };
    let list = plan().output(&["plugin", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    let state = |name| list.as_array().unwrap().iter().find(|plugin| plugin["name"] == name).unwrap();
    assert_eq!(state("acme-board")["state"], "not running");
    assert_eq!(state("bare")["state"], "refused");
    let check = plan().output(&["check"]);
    assert_eq!(check.status.code(), Some(1));
    let check = String::from_utf8(check.stdout).unwrap();
    assert!(check.contains("wrong: plugin bare is refused: a component without a manifest"), "{check}");
}
