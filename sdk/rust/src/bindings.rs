//! Generated from `wit/`: the types of every interface, the imports, and the glue of the export.
//!
//! The rest of the crate re-exports what a probe needs under plain names; only [`crate::export_probe!`] names this
//! module.

wit_bindgen::generate!({
    path: ["../../wit/types", "../../wit/host", "../../wit/probe"],
    world: "cardcage:probe/probe",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_sampler",
    default_bindings_module: "cardcage_sdk::bindings",
    additional_derives: [PartialEq],
    // Records whose fields may all be left out, and those that tests build by the dozen.
    additional_type_attributes: {
        "cardcage:types/readings@0.1.0/cpu": [#[derive(Default)]],
        "cardcage:types/readings@0.1.0/memory": [#[derive(Default)]],
        "cardcage:types/readings@0.1.0/network": [#[derive(Default)]],
        "cardcage:types/readings@0.1.0/disk": [#[derive(Default)]],
        "cardcage:types/readings@0.1.0/gpu": [#[derive(Default)]],
        "cardcage:types/readings@0.1.0/limits": [#[derive(Default)]],
        "cardcage:types/readings@0.1.0/identity": [#[derive(Default)]],
        "cardcage:types/readings@0.1.0/sample": [#[derive(Default)]],
        "cardcage:host/kernel@0.1.0/cpu-times": [#[derive(Default)]],
        "cardcage:host/kernel@0.1.0/load-average": [#[derive(Default)]],
        "cardcage:host/kernel@0.1.0/memory-info": [#[derive(Default)]],
        "cardcage:host/kernel@0.1.0/network-interface": [#[derive(Default)]],
        "cardcage:host/kernel@0.1.0/mount": [#[derive(Default)]],
        "cardcage:host/kernel@0.1.0/space": [#[derive(Default)]],
        "cardcage:host/kernel@0.1.0/system-info": [#[derive(Default)]],
    },
});
