//! The types and traits of `wit/`, generated. One module a major version: a second can stand beside it.

wasmtime::component::bindgen!({
    path: ["../wit/types", "../wit/host", "../wit/probe"],
    world: "cardcage:probe/probe",
    imports: {
        "cardcage:host/files.[drop]batch": async | trappable,
        default: async,
    },
    exports: { default: async },
    with: {
        "cardcage:host/files.batch": crate::capability::files::guest::Batch,
    },
});

impl cardcage::types::errors::Error {
    /// A failure as guests see it: a word for programs, a sentence for people.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }
}
