//! Rust: cargo makes the component itself.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::language::Language;
use crate::tool::Tool;

const TARGET: &str = "wasm32-wasip2";

pub fn build(project: &Path) -> Result<PathBuf> {
    let remedy = format!("install Rust with rustup, then `{}`", Language::Rust.install());
    let tool = |program: &str, purpose| Tool { program: program.into(), purpose, remedy: remedy.clone() };
    let cargo = tool("cargo", "builds the plugin");
    let rustc = tool("rustc", "compiles the plugin");
    // Without it the compiler complains of each crate that it can't find `core`.
    let asked =
        rustc.output(rustc.command(project).args(["--print", "target-libdir", "--target", TARGET]))?;
    if !Path::new(String::from_utf8_lossy(&asked.stdout).trim_end()).is_dir() {
        let target = Tool { remedy: format!("`{}`", Language::Rust.install()), ..rustc };
        return Err(target.lacks(format!("Rust's target {TARGET}"), "is what plugins run on").into());
    }
    let arguments = ["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"];
    let built = cargo.output(cargo.command(project).args(arguments))?;
    let messages = String::from_utf8_lossy(&built.stdout);
    let component = messages.lines().filter_map(component).next_back();
    component.context("cargo made no .wasm: Cargo.toml needs [lib] with crate-type = [\"cdylib\"]")
}

/// The component that one of cargo's messages says was made.
fn component(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message.get("reason")? != "compiler-artifact" {
        return None;
    }
    let files = message.get("filenames")?.as_array()?.iter().filter_map(Value::as_str);
    files.map(PathBuf::from).find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}
