//! Builds the guests for WebAssembly with a cargo of its own, and leaves each, not yet packed, for the crate to embed.

use std::path::{Path, PathBuf};
use std::process::Command;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let workspace = tests.join("..").canonicalize()?;
    for input in ["tests/guests", "plugins/example-task", "plugins/probe-redfish", "sdk/rust", "wit"] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    for guest in std::fs::read_dir(tests.join("guests"))? {
        let guest = guest?.file_name().into_string().map_err(|name| format!("{name:?} is no guest"))?;
        let built = build(&workspace, &out, &format!("guest-{guest}"))?;
        let component = format!("guest_{}.wasm", guest.replace('-', "_"));
        std::fs::copy(built.join(component), out.join(format!("{guest}.wasm")))?;
    }
    // The examples for vendors that nothing else builds for WebAssembly.
    for example in ["example-task", "probe-redfish"] {
        let built = build(&workspace, &out, example)?;
        let component = format!("{}.wasm", example.replace('-', "_"));
        std::fs::copy(built.join(component), out.join(format!("{example}.wasm")))?;
    }
    Ok(())
}

/// As the agent's build script builds the built-in plugins, and in the same target directory, but each guest by itself:
/// built with others, a guest without std would get what their dependencies bring, std among it.
fn build(workspace: &Path, out: &Path, package: &str) -> Result<PathBuf, Error> {
    let outer = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let target = outer.unwrap_or(out).join("guests");
    let mut cargo = Command::new(std::env::var("CARGO")?);
    cargo.current_dir(workspace).env("CARGO_TARGET_DIR", &target);
    cargo.args(["build", "--locked", "--profile", "guest", "--target", "wasm32-wasip2"]);
    cargo.args(["--package", package]);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let meant_for_outer = ["RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS"]
            .contains(&&*text)
            || ["CARGO_ENCODED_", "CARGO_FEATURE_", "CARGO_CFG_"]
                .iter()
                .any(|prefix| text.starts_with(prefix));
        if meant_for_outer {
            cargo.env_remove(&name);
        }
    }
    match cargo.status()?.success() {
        true => Ok(target.join("wasm32-wasip2/guest")),
        false => Err(format!(
            "{package} does not build (see above; a missing target: rustup target add wasm32-wasip2)"
        )
        .into()),
    }
}
