//! Plugins of other times: what was built for an earlier contract runs, what was built for a later one is refused with a
//! sentence that says what to do.

use cardcage_tests::{ACME_BOARD, HOSTILE, PROBE_0_1, World};
use wasm_encoder::{
    Component, ComponentExportKind, ComponentExportSection, ComponentImportSection, ComponentInstanceSection,
    ComponentTypeRef, ComponentTypeSection, ComponentValType, InstanceType, PrimitiveValType,
};

use crate::folder::{forged, packed};

#[test]
fn a_plugin_of_the_contract_0_1_runs_beside_those_of_today() {
    let world = World::new();
    let mut agent = world
        .agent()
        .plugin("acme-board.wasm", ACME_BOARD.packed())
        .plugin("probe-0-1.wasm", PROBE_0_1.packed())
        .start();
    let manager = world.listener();
    let old = agent.until_plugin("probe-0-1", "ready");
    assert_eq!((old.support.as_deref(), old.note), (Some("family"), None));
    assert!(old.faults.iter().any(|fault| fault.starts_with("absent: ")), "{:?}", old.faults);
    let new = agent.until_plugin("acme-board", "ready");
    assert_eq!(new.note.as_deref(), Some("an ACME C2 with firmware 4.1"));
    let list = String::from_utf8(agent.output(&["plugin", "list"]).stdout).unwrap();
    assert!(list.contains("an ACME C2 with firmware 4.1"), "{list}");

    let report = manager.answer("/resource");
    let readings = report.readings();
    assert_eq!(readings["memory"]["extra"]["spoken"], "0.1");
    let sensors = readings["sensors"].as_array().unwrap();
    let sensor = sensors.iter().find(|sensor| sensor["plugin"] == "probe-0-1").unwrap();
    assert_eq!((&sensor["value"], &sensor["limits"]["upper_caution"]), (&41.5.into(), &80.0.into()));
    agent.process.until_log("a probe of the contract 0.1 is configured");
}

/// The hostile guest, which behaves, under a name, made for another version of something.
fn of_another_time(name: &str, from: &str, to: &str) -> Vec<u8> {
    forged(&packed("name = \"hostile\"", &format!("name = {name:?}")), from, to)
}

/// Calls a function of the log that came with 0.1.7.
fn shouts() -> Vec<u8> {
    let mut component = Component::new();
    let mut function = InstanceType::new();
    function.ty().function().params([("message", PrimitiveValType::String)]).result(None::<ComponentValType>);
    function.export("shout", ComponentTypeRef::Func(0));
    let mut types = ComponentTypeSection::new();
    types.instance(&function);
    let mut imports = ComponentImportSection::new();
    imports.import("cardcage:host/log@0.1.7", ComponentTypeRef::Instance(0));
    let mut instances = ComponentInstanceSection::new();
    instances.export_items([] as [(&str, ComponentExportKind, u32); 0]);
    let mut exports = ComponentExportSection::new();
    exports.export("cardcage:probe/sampler@0.2.0", ComponentExportKind::Instance, 1, None);
    component.section(&types).section(&imports).section(&instances).section(&exports);
    let manifest = "name = \"shouts\"\nversion = \"1\"\n";
    cardcage_manifest::pack(&component.finish(), manifest).unwrap()
}

#[test]
fn plugins_from_the_future_are_told_what_is_missing() {
    let (kernel, sampler) = ("cardcage:host/kernel@0.", "cardcage:probe/sampler@0.");
    let later = |interface: &str, version| format!("{interface}{version}");
    let world = World::new();
    let agent = world
        .agent()
        // A later patch that is not needed is no hindrance.
        .plugin("a.wasm", of_another_time("later", &later(kernel, "1.0"), &later(kernel, "1.7")))
        .plugin("b.wasm", of_another_time("imports", &later(kernel, "1.0"), &later(kernel, "9.0")))
        .plugin("c.wasm", of_another_time("exports", &later(sampler, "2.0"), &later(sampler, "9.0")))
        .plugin("format.wasm", format_2())
        .plugin("kind.wasm", forged(&HOSTILE.packed(), "cardcage:probe/sampler@", "cardcage:alarm/sampler@"))
        .plugin("shouts.wasm", shouts())
        .start();
    agent.until_plugin("later", "ready");
    for (name, reason) in [
        (
            "imports",
            "imports cardcage:host/kernel@0.9.0, but of cardcage:host this agent speaks 0.1.0: the plugin is made for a \
             newer agent; update the agent, or take a version of the plugin that is made for this one",
        ),
        (
            "exports",
            "exports cardcage:probe/sampler@0.9.0, but of cardcage:probe this agent speaks 0.1.0 and 0.2.0: the plugin is \
             made for a newer agent; update the agent",
        ),
        ("format", "the manifest is of format 2, and this agent reads format 1: update the agent"),
        ("kind", "but cardcage:alarm/sampler@0.2.0: a newer agent may call that"),
        (
            "shouts",
            "does not fit this agent, which has cardcage:host 0.1.0, and the plugin is made for 0.1.7 (update the agent)",
        ),
    ] {
        let why = agent.until_plugin(name, "refused").reason.unwrap();
        assert!(why.contains(reason), "{why}");
    }
}

/// A plugin whose manifest is of a format that nobody knows yet.
fn format_2() -> Vec<u8> {
    let plugin = HOSTILE.packed_with(&format!("format = 1\n{}", HOSTILE.manifest));
    forged(&plugin, "format = 1\nname", "format = 2\nname")
}
