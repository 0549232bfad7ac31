//! The types and traits of `wit/`, generated. What is older than that text and still spoken stands beside it, a module a
//! version: [`probe_0_1`].

wasmtime::component::bindgen!({
    path: ["../wit/types", "../wit/host", "../wit/probe"],
    world: "cardcage:probe/probe",
    imports: {
        "cardcage:host/files.[drop]batch": async | trappable,
        "cardcage:host/native.[drop]function": async | trappable,
        "cardcage:host/native.[drop]library": async | trappable,
        default: async,
    },
    exports: { default: async },
    additional_derives: [serde::Serialize, serde::Deserialize],
    with: {
        "cardcage:host/files.batch": crate::capability::files::guest::Batch,
        "cardcage:host/native.function": cardcage_native::Function,
        "cardcage:host/native.library": cardcage_native::Library,
    },
});

/// Probes as they were in 0.1, of the text as it was released. Types and capabilities are still those of today.
pub mod probe_0_1 {
    wasmtime::component::bindgen!({
        path: ["../wit/released/0.1.0/types", "../wit/released/0.1.0/host", "../wit/released/0.1.0/probe"],
        world: "cardcage:probe/probe",
        imports: { default: async },
        exports: { default: async },
        with: {
            "cardcage:types/errors": super::cardcage::types::errors,
            "cardcage:types/readings": super::cardcage::types::readings,
            "cardcage:host/kernel": super::cardcage::host::kernel,
            "cardcage:host/files": super::cardcage::host::files,
            "cardcage:host/log": super::cardcage::host::log,
            "cardcage:host/native": super::cardcage::host::native,
        },
    });
}

/// Those of deploy backends. What probes have too is theirs.
pub mod deploy {
    wasmtime::component::bindgen!({
        path: ["../wit/types", "../wit/host", "../wit/deploy"],
        world: "cardcage:deploy/backend",
        imports: {
            "cardcage:host/artifacts.[drop]artifact": async | trappable,
            "cardcage:host/artifacts.[drop]tree": async | trappable,
            "cardcage:host/containers.[drop]container": async | trappable,
            "cardcage:host/processes.[drop]process": async | trappable,
            default: async,
        },
        exports: { default: async },
        with: {
            "cardcage:types/errors": super::cardcage::types::errors,
            "cardcage:host/kernel": super::cardcage::host::kernel,
            "cardcage:host/files": super::cardcage::host::files,
            "cardcage:host/log": super::cardcage::host::log,
            "cardcage:host/artifacts.artifact": crate::capability::artifacts::guest::Artifact,
            "cardcage:host/artifacts.tree": crate::capability::artifacts::guest::Tree,
            "cardcage:host/containers.container": crate::capability::containers::guest::Container,
            "cardcage:host/processes.process": crate::capability::processes::guest::Process,
        },
    });
}

/// Those of tasks.
pub mod task {
    wasmtime::component::bindgen!({
        path: ["../wit/types", "../wit/host", "../wit/task"],
        world: "cardcage:task/task",
        imports: { default: async },
        exports: { default: async },
        with: {
            "cardcage:types/errors": super::cardcage::types::errors,
            "cardcage:host/kernel": super::cardcage::host::kernel,
            "cardcage:host/files": super::cardcage::host::files,
            "cardcage:host/log": super::cardcage::host::log,
        },
    });
}

impl cardcage::types::errors::Error {
    /// A failure as guests see it: a word for programs, a sentence for people.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }
}
