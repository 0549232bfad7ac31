//! Builds the built-in plugins for WebAssembly with a cargo of its own, packs each with its manifest, and hands them to
//! the crate, with what can be known of them beforehand.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

type Error = Box<dyn std::error::Error>;

/// In the order in which they start.
const PLUGINS: [&str; 10] = [
    "probe-cpu",
    "probe-memory",
    "probe-network",
    "probe-disk",
    "probe-hwmon",
    "probe-identity",
    "probe-gpu",
    "probe-gpu-nvidia",
    "deploy-docker",
    "deploy-bar",
];

fn main() -> Result<(), Error> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    for input in ["plugins", "sdk/bar", "sdk/rust", "wit"] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let built = build(&workspace, &out)?;
    let mut list = String::from("&[\n");
    for name in PLUGINS {
        let packed = out.join(format!("{name}.wasm"));
        let component = std::fs::read(built.join(format!("{}.wasm", name.replace('-', "_"))))?;
        let manifest = std::fs::read_to_string(workspace.join(format!("plugins/{name}/plugin.toml")))?;
        let wasm = cardcage_manifest::pack(&component, &manifest)?;
        let imports = cardcage_manifest::Plugin::read(&wasm)?.imports;
        std::fs::write(&packed, &wasm)?;
        writeln!(
            list,
            "BuiltIn {{ wasm: include_bytes!({packed:?}), digest: {:?}, manifest: {manifest:?}, imports: &{imports:?} }},",
            <[u8; 32]>::from(Sha256::digest(&wasm)),
        )?;
    }
    list.push_str("]\n");
    std::fs::write(out.join("built_in.rs"), list)?;
    Ok(())
}

/// A nested cargo must not wait for the lock of the outer one, so it has a target directory of its own, below the outer one,
/// where every profile and clippy find what is built. And it must not inherit flags that were meant for the outer target.
fn build(workspace: &Path, out: &Path) -> Result<PathBuf, Error> {
    let outer = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let target = outer.unwrap_or(out).join("guests");
    let mut cargo = Command::new(std::env::var("CARGO")?);
    cargo.current_dir(workspace).args([
        "build",
        "--locked",
        "--profile",
        "guest",
        "--target",
        "wasm32-wasip2",
    ]);
    cargo.args(PLUGINS.iter().flat_map(|name| ["--package".to_owned(), (*name).to_owned()]));
    cargo.env("CARGO_TARGET_DIR", &target);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let wrapper = ["RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS"].contains(&&*text);
        if wrapper
            || text.starts_with("CARGO_ENCODED_")
            || text.starts_with("CARGO_FEATURE_")
            || text.starts_with("CARGO_CFG_")
        {
            cargo.env_remove(&name);
        }
    }
    let built = cargo.status()?;
    if !built.success() {
        return Err("the built-in plugins do not build; they need the target wasm32-wasip2: rustup target add wasm32-wasip2".into());
    }
    Ok(target.join("wasm32-wasip2/guest"))
}
