//! `build`: what a project's own tool makes of it, with its manifest, as one file.

mod c;
mod js;
mod python;
mod rust;

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cardcage_manifest::{Kind, Manifest, Plugin, pack};
use clap::Args;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::language::Language;

/// Largest file that the agent takes for a plugin, in bytes.
const LARGEST: usize = 64 << 20;

/// What `build` takes.
#[derive(Debug, Args)]
pub struct Build {
    /// The project's folder.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Where the plugin goes [default: NAME.wasm in the project's folder].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Why there is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The argument names something else.
    #[error("{} has no plugin.toml: say the folder that `plugin new` made", .0.display())]
    NoProject(PathBuf),
    /// No language's.
    #[error("{} has none of Cargo.toml, app.py, package.json and *.c: it is of no known language", .0.display())]
    NoLanguage(PathBuf),
    /// Something else is where the plugin would go.
    #[error("{} is there and is no WebAssembly file: say another file with --output", .0.display())]
    Taken(PathBuf),
    /// It was tried.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl BuildError {
    /// Whether other arguments are the remedy.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoProject(_) | Self::NoLanguage(_) | Self::Taken(_))
    }
}

/// The file to ship.
#[derive(Debug)]
pub struct Built {
    /// Where it is.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: usize,
    /// Its SHA-256, in hexadecimal digits.
    pub digest: String,
}

impl Build {
    /// Builds the project, and replaces the plugin's file if all went well.
    pub fn run(&self) -> Result<Built, BuildError> {
        // Tools run in it, and are told paths below it.
        let no_project = || BuildError::NoProject(self.dir.clone());
        let project = self.dir.canonicalize().map_err(|_| no_project())?;
        if !project.join("plugin.toml").exists() {
            return Err(no_project());
        }
        let language = Language::of(&project).ok_or_else(|| BuildError::NoLanguage(self.dir.clone()))?;
        let text = manifest(&project.join("plugin.toml"))?;
        let Manifest { name, .. } = Manifest::parse(&text).context("plugin.toml")?;
        let file = self.output.clone().unwrap_or_else(|| self.dir.join(format!("{name}.wasm")));
        if is_taken(&file) {
            return Err(BuildError::Taken(file));
        }

        let component = component(language, &project)?;
        let plugin = finish(&component, &text)?;
        replace(&file, &plugin).with_context(|| format!("cannot write {}", file.display()))?;
        let digest = Sha256::digest(&plugin).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Built { file, size: plugin.len(), digest })
    }
}

/// Whether somebody wrote something else there, such as the source. An empty file is nobody's loss.
fn is_taken(file: &Path) -> bool {
    let head = || -> std::io::Result<Vec<u8>> {
        let mut head = Vec::new();
        File::open(file)?.take(4).read_to_end(&mut head)?;
        Ok(head)
    };
    file.is_file() && head().is_ok_and(|head| !head.is_empty() && !head.starts_with(b"\0asm"))
}

fn manifest(path: &Path) -> Result<String> {
    let mut text = String::new();
    // One byte more than is right, so that what is longer is refused as such.
    let most = u64::try_from(cardcage_manifest::LIMIT)? + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_string(&mut text));
    read.context("cannot read plugin.toml")?;
    Ok(text)
}

fn component(language: Language, project: &Path) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let made = match language {
        Language::Rust => rust::build(project)?,
        Language::Python => python::build(project, folder.path())?,
        Language::C => c::build(project, folder.path())?,
        Language::Js => js::build(project, folder.path())?,
    };
    let bytes = fs::read(&made).with_context(|| format!("cannot read {}", made.display()))?;
    match language {
        Language::C => c::componentize(&bytes),
        Language::Rust | Language::Python | Language::Js => Ok(bytes),
    }
}

/// Packs the component, and looks at the outcome as the agent will.
fn finish(component: &[u8], manifest: &str) -> Result<Vec<u8>> {
    let plugin = pack(component, manifest)?;
    let Plugin { manifest, exports, .. } = Plugin::read(&plugin)?;
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.is_exported(&exports)) else {
        let known = Kind::ALL.map(Kind::interface).join(", ");
        bail!("the component exports none of {known}: it does nothing that the agent would call");
    };
    manifest.agrees(kind)?;
    if plugin.len() > LARGEST {
        bail!("the plugin has {} bytes; the agent takes at most {LARGEST}", plugin.len());
    }
    Ok(plugin)
}

/// At any moment there is the old file or the new one.
fn replace(file: &Path, contents: &[u8]) -> Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = NamedTempFile::new_in(folder)?;
    new.write_all(contents)?;
    new.as_file().set_permissions(Permissions::from_mode(0o644))?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "name = \"a\"\nversion = \"1\"\n";

    #[test]
    fn what_the_agent_would_not_take_is_refused_at_home() {
        let refused = |wasm: &[u8]| format!("{:#}", finish(wasm, MANIFEST).unwrap_err());
        assert!(refused(b"\0asm\x01\0\0\0").contains("a core module"));
        assert!(refused(b"\0asm\x0d\0\x01\0").contains("exports none of cardcage:probe/sampler"));
        assert!(refused(b"elf").contains("not a WebAssembly file"));
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        for contents in ["one", "two"] {
            replace(&file, contents.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), contents);
        }
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(&folder.path().join("none/a.wasm"), b"").is_err());
    }
}
