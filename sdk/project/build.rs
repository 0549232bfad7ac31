//! Puts what a project is made of into the executable: the interfaces, the SDK, the templates. A vendor needs no copy of
//! this repository, and nothing has to be published for him.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result};
use toml::{Table, Value};

/// What is left behind by whoever builds a template where it stands.
const MADE: [&str; 3] = ["target", "node_modules", "try"];

fn main() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let sdk = out.join("sdk.toml");
    fs::write(&sdk, stand_alone(&root)?)?;

    let mut interfaces = Files::default();
    interfaces.add(&root.join("wit"), "")?;
    // The texts of old versions, where there are any, are for the agent that still speaks them.
    interfaces.0.retain(|(path, _)| !path.starts_with("released/"));
    let mut crate_files = Files(vec![("Cargo.toml".into(), sdk)]);
    crate_files.add(&root.join("sdk/rust/src"), "src/")?;
    let mut templates = Files::default();
    for template in ["new", "rust-backend"] {
        templates.add(&root.join("sdk/templates").join(template), &format!("{template}/"))?;
    }

    let mut text = String::new();
    for (name, files) in [("INTERFACES", interfaces), ("SDK", crate_files), ("TEMPLATES", templates)] {
        writeln!(text, "pub const {name}: &[(&str, &str)] = &[")?;
        for (path, file) in files.0 {
            writeln!(
                text,
                "    ({path:?}, include_str!({:?})),",
                file.to_str().context("a path not in UTF-8")?
            )?;
        }
        writeln!(text, "];")?;
    }
    Ok(fs::write(out.join("embedded.rs"), text)?)
}

/// Files, by their path in what they belong to.
#[derive(Default)]
struct Files(Vec<(String, PathBuf)>);

impl Files {
    fn add(&mut self, folder: &Path, below: &str) -> Result<()> {
        println!("cargo::rerun-if-changed={}", folder.display());
        let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().into_string().ok().context("a name not in UTF-8")?;
            match entry.file_type()?.is_dir() {
                true if MADE.contains(&name.as_str()) => {}
                true => self.add(&entry.path(), &format!("{below}{name}/"))?,
                false if name.ends_with(".wasm") || name == "Cargo.lock" => {}
                false => self.0.push((format!("{below}{name}"), entry.path())),
            }
        }
        Ok(())
    }
}

/// The SDK's Cargo.toml with what it takes from this workspace written out, and without its tests' dependencies.
fn stand_alone(root: &Path) -> Result<String> {
    let read = |path: &str| -> Result<Table> {
        let path = root.join(path);
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    };
    let mut sdk = read("sdk/rust/Cargo.toml")?;
    let workspace = read("Cargo.toml")?.remove("workspace").context("no [workspace]")?;
    sdk.remove("dev-dependencies");
    for (key, value) in &mut sdk {
        resolve(value, workspace.get(key.as_str()), &workspace)?;
    }
    Ok(format!("# Cardcage's SDK, as it came with `plugin new`.\n{}", toml::to_string(&sdk)?))
}

/// Puts in the place of each `workspace = true` below a value what the workspace says under the same key.
fn resolve(value: &mut Value, inherited: Option<&Value>, workspace: &Value) -> Result<()> {
    let Value::Table(table) = value else { return Ok(()) };
    if table.remove("workspace").is_none() {
        for (key, value) in table {
            // Wherever dependencies stand, those of the workspace are in one table.
            let inherited = match key.ends_with("dependencies") {
                true => workspace.get("dependencies"),
                false => inherited.and_then(|inherited| inherited.get(key.as_str())),
            };
            resolve(value, inherited, workspace)?;
        }
        return Ok(());
    }
    let own = std::mem::take(table);
    *value = inherited.cloned().context("workspace = true, for what the workspace does not have")?;
    if own.is_empty() {
        return Ok(());
    }
    // Such as features that are added to those of the workspace.
    if let Value::String(version) = value {
        *value =
            Value::Table(Table::from_iter([("version".to_owned(), Value::String(std::mem::take(version)))]));
    }
    let table = value.as_table_mut().context("workspace = true with more beside it")?;
    for (key, more) in own {
        match (table.get_mut(&key), more) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (_, more) => drop(table.insert(key, more)),
        }
    }
    Ok(())
}
