//! Which plugins there are: the built-in ones, and the files of the folder, looked at once. The running agent looks again
//! and again: [`super::watch`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tracing::warn;

use cardcage_signature::PublicKey;

use super::built_in::BuiltIn;
use super::package::{Package, Refused, Source};
use super::resolve::resolve;
use crate::error::{brief, chain};
use crate::model::{Digest, PluginName};

/// Most files that are looked at.
pub(super) const FILES_LIMIT: usize = 256;
/// Most names of a folder that are read.
const NAMES_LIMIT: usize = 65_536;

/// All plugins in the order in which they start.
pub fn find(
    built_in: &'static [BuiltIn],
    folder: &Path,
    keys: &[PublicKey],
) -> Vec<Result<Package, Refused>> {
    let files = match names(folder) {
        Ok(names) => {
            names.into_iter().map(|name| folder.join(name)).filter(|path| is_regular(path)).collect()
        }
        Err(error) => {
            warn!(folder = %folder.display(), %error, "plugin folder cannot be read");
            Vec::new()
        }
    };
    let kept = files.iter().take(FILES_LIMIT);
    if files.len() > FILES_LIMIT {
        warn_of_too_many(folder, files.len());
    }
    let files = kept.map(|path| open(Source::file(path.clone()), stem(path), keys)).collect();
    resolve(built_in_packages(built_in), files, |_| false, |_| false)
}

/// The files of the folder that are this plugin, whether or not it may run.
pub fn holding(folder: &Path, name: &PluginName) -> std::io::Result<Vec<PathBuf>> {
    let files = names(folder)?.into_iter().map(|file| folder.join(file)).filter(|path| is_regular(path));
    let is = |path: &PathBuf| {
        Package::open(Source::file(path.clone()), &[]).is_ok_and(|package| package.name == *name)
    };
    Ok(files.filter(is).collect())
}

/// Those that come with the agent.
pub(super) fn built_in_packages(built_in: &'static [BuiltIn]) -> Vec<Result<Package, Refused>> {
    built_in.iter().map(|plugin| open(Source::BuiltIn(plugin), "built-in", &[])).collect()
}

pub(super) fn warn_of_too_many(folder: &Path, files: usize) {
    warn!(
        folder = %folder.display(), files, limit = FILES_LIMIT,
        "plugin folder holds too many files, the rest is left out"
    );
}

/// The name of a plugin, whatever became of it.
pub fn name(plugin: &Result<Package, Refused>) -> &PluginName {
    match plugin {
        Ok(package) => &package.name,
        Err(refused) => &refused.name,
    }
}

/// What a file that is no plugin is called in lists.
pub(super) fn stem(path: &Path) -> PluginName {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.chars().filter(|c| !c.is_control()).take(64).collect::<String>().as_str().into()
}

fn open(source: Source, name: impl Into<PluginName>, keys: &[PublicKey]) -> Result<Package, Refused> {
    let built_in = matches!(source, Source::BuiltIn(_));
    Package::open(source.clone(), keys).map_err(|error| Refused {
        name: name.into(),
        version: String::new(),
        digest: Digest::of(&source.bytes().unwrap_or_default()),
        built_in,
        source: Box::new(source),
        reason: brief(&chain(&error)),
    })
}

/// The names that plugins may have, sorted. Hidden ones are those of files that are being copied. Compiled code is among
/// them, so that the operator is told why it is refused.
pub(super) fn names(folder: &Path) -> std::io::Result<Vec<OsString>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries.take(NAMES_LIMIT) {
        let name = entry?.file_name();
        if looks_right(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn looks_right(name: &OsString) -> bool {
    let hidden = name.to_string_lossy().starts_with('.');
    let kind = Path::new(name).extension();
    !hidden && kind.is_some_and(|extension| extension == "wasm" || extension == "cwasm")
}

/// A file without a length is one that is about to be written, or one of the kernel's, which may never end.
fn is_regular(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with a manifest that exports nothing.
    fn without_role(name: &str) -> Vec<u8> {
        cardcage_manifest::pack(b"\0asm\x0d\0\x01\0", &format!("name = \"{name}\"\nversion = \"1\"")).unwrap()
    }

    #[test]
    fn what_is_no_plugin_is_refused_by_the_name_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("text.wasm"), "hello").unwrap();
        std::fs::write(folder.path().join("native.cwasm"), b"\x7fELF").unwrap();
        std::fs::write(folder.path().join("no-role.wasm"), without_role("no-role")).unwrap();
        std::fs::write(folder.path().join(".half-copied.wasm"), "").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        let refused: Vec<_> =
            find(&[], folder.path(), &[]).into_iter().map(|plugin| plugin.unwrap_err().name).collect();
        assert_eq!(refused.iter().map(PluginName::as_str).collect::<Vec<_>>(), ["native", "no-role", "text"]);
    }

    #[test]
    fn a_folder_that_is_not_there_holds_nothing() {
        assert!(find(&[], Path::new("/nonexistent"), &[]).is_empty());
    }
}
