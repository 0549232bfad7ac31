//! Generated from `wit/`: what only tasks have. Types and capabilities that probes have too are those of
//! [`crate::bindings`].

wit_bindgen::generate!({
    path: ["../../wit/types", "../../wit/host", "../../wit/task"],
    world: "cardcage:task/task",
    with: {
        "cardcage:types/errors@0.1.0": crate::bindings::cardcage::types::errors,
        "cardcage:host/kernel@0.1.0": crate::bindings::cardcage::host::kernel,
        "cardcage:host/files@0.1.0": crate::bindings::cardcage::host::files,
        "cardcage:host/log@0.1.0": crate::bindings::cardcage::host::log,
    },
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_task_world",
    default_bindings_module: "cardcage_sdk::task_bindings",
    additional_derives: [PartialEq],
});
