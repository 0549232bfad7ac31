//! The guests of `tests/guests`, as files for a plugin folder.

/// One of them, not yet packed.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    /// As its compiler made it.
    pub component: &'static [u8],
    /// Its `plugin.toml`.
    pub manifest: &'static str,
}

macro_rules! guest {
    ($name:literal) => {
        Guest {
            component: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm")),
            manifest: include_str!(concat!("../guests/", $name, "/plugin.toml")),
        }
    };
}

/// A vendor's plugin for a board of its own, well-behaved, five samples a second.
pub const ACME_BOARD: Guest = guest!("acme-board");
/// Asks one address over HTTP in every sample.
pub const ASKS_HTTP: Guest = guest!("asks-http");
/// Calls the C library, well or badly, as its setting `mode` says.
pub const CALLS_NATIVELY: Guest = guest!("calls-natively");
/// A vendor's backend for programs that are started once, well-behaved.
pub const DEPLOY_ONESHOT: Guest = guest!("deploy-oneshot");
/// The example of a plugin that can be asked, from `plugins/`.
pub const EXAMPLE_TASK: Guest = Guest {
    component: include_bytes!(concat!(env!("OUT_DIR"), "/example-task.wasm")),
    manifest: include_str!("../../plugins/example-task/plugin.toml"),
};
/// A backend that does whatever an order's `file` says.
pub const HOSTILE_BACKEND: Guest = guest!("hostile-backend");
/// Tasks that misbehave.
pub const HOSTILE_TASK: Guest = guest!("hostile-task");
/// Does whatever its setting `mode` says.
pub const HOSTILE: Guest = guest!("hostile");
/// Never ends starting.
pub const LOOPS_AT_START: Guest = guest!("loops-at-start");
/// Panics in every sample, as the built-in plugins would: without std.
pub const PANICS_WITHOUT_STD: Guest = guest!("panics-without-std");
/// A probe as it was built for the contract 0.1.
pub const PROBE_0_1: Guest = guest!("probe-0-1");
/// A probe that imports the container engine.
pub const PROBE_THAT_DEPLOYS: Guest = guest!("probe-that-deploys");
/// The example of a probe that asks a management controller, from `plugins/`.
pub const REDFISH: Guest = Guest {
    component: include_bytes!(concat!(env!("OUT_DIR"), "/probe-redfish.wasm")),
    manifest: include_str!("../../plugins/probe-redfish/plugin.toml"),
};
/// A probe and a backend in one file.
pub const TWO_ROLES: Guest = guest!("two-roles");

impl Guest {
    /// All of them that run.
    pub(crate) const ALL: [(&str, Self); 11] = [
        ("acme-board", ACME_BOARD),
        ("asks-http", ASKS_HTTP),
        ("calls-natively", CALLS_NATIVELY),
        ("deploy-oneshot", DEPLOY_ONESHOT),
        ("example-task", EXAMPLE_TASK),
        ("hostile-backend", HOSTILE_BACKEND),
        ("hostile-task", HOSTILE_TASK),
        ("hostile", HOSTILE),
        ("loops-at-start", LOOPS_AT_START),
        ("panics-without-std", PANICS_WITHOUT_STD),
        ("probe-0-1", PROBE_0_1),
    ];

    /// The plugin as its vendor ships it.
    #[track_caller]
    pub fn packed(self) -> Vec<u8> {
        self.packed_with(self.manifest)
    }

    /// The plugin with another manifest.
    #[track_caller]
    pub fn packed_with(self, manifest: &str) -> Vec<u8> {
        cardcage_manifest::pack(self.component, manifest).unwrap()
    }
}
