//! Which plugins there are: the built-in ones, and the files of the folder.
//!
//! A name is the key of grants and settings, so two files of one name are both refused; a file replaces the built-in of
//! its name, without inheriting its grants.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::built_in::BuiltIn;
use super::package::{Package, Refused, Source};
use crate::error::{brief, chain};
use crate::model::{Digest, PluginName};

/// Most files that are looked at.
const FILES_LIMIT: usize = 256;

/// All plugins in the order in which they start: cpu and memory first, since reports are poorest without them, then the
/// other built-in ones, so that none waits for a file that takes long to compile.
pub fn find(built_in: &'static [BuiltIn], folder: &Path) -> Vec<Result<Package, Refused>> {
    let built_in = built_in.iter().map(|plugin| open(Source::BuiltIn(plugin), "built-in"));
    let files = files(folder).into_iter().map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        open(Source::File(path), &name)
    });
    let mut all = settle(built_in.chain(files).collect());
    all.sort_by_key(|plugin| {
        let from_file = !plugin.as_ref().is_ok_and(Package::built_in);
        let name = name(plugin).clone();
        (!["cpu", "memory"].contains(&name.as_str()), from_file, name)
    });
    all
}

/// The name of a plugin, whatever became of it.
pub(super) fn name(plugin: &Result<Package, Refused>) -> &PluginName {
    match plugin {
        Ok(package) => &package.name,
        Err(refused) => &refused.name,
    }
}

fn open(source: Source, name: &str) -> Result<Package, Refused> {
    let built_in = matches!(source, Source::BuiltIn(_));
    Package::open(source.clone()).map_err(|error| Refused {
        name: name.chars().filter(|c| !c.is_control()).take(64).collect::<String>().as_str().into(),
        version: String::new(),
        digest: Digest::of(&source.bytes().unwrap_or_default()),
        built_in,
        reason: brief(&chain(&error)),
    })
}

/// One plugin a name.
fn settle(plugins: Vec<Result<Package, Refused>>) -> Vec<Result<Package, Refused>> {
    let mut by_name: BTreeMap<PluginName, Vec<Package>> = BTreeMap::new();
    let mut settled = Vec::new();
    for plugin in plugins {
        match plugin {
            Ok(package) => by_name.entry(package.name.clone()).or_default().push(package),
            Err(refused) => settled.push(Err(refused)),
        }
    }
    for mut packages in by_name.into_values() {
        if packages.iter().any(|package| !package.built_in()) {
            packages.retain(|package| !package.built_in());
        }
        match packages.as_slice() {
            [_] => settled.extend(packages.into_iter().map(Ok)),
            _ => settled.extend(packages.iter().map(|package| Err(package.refused(&several(&packages))))),
        }
    }
    settled
}

fn several(packages: &[Package]) -> String {
    let files: Vec<_> = packages.iter().map(|package| package.source.to_string()).collect();
    format!(
        "several files have this name, and grants are given by name: {}; remove all but one",
        files.join(", ")
    )
}

/// The files that look like plugins. Hidden ones and those that are being copied are not looked at.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            warn!(folder = %folder.display(), %error, "plugin folder cannot be read");
            return Vec::new();
        }
    };
    let mut files: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| looks_right(path)).collect();
    files.sort();
    if files.len() > FILES_LIMIT {
        warn!(folder = %folder.display(), files = files.len(), limit = FILES_LIMIT, "plugin folder holds too many files, the rest is left out");
        files.truncate(FILES_LIMIT);
    }
    files
}

/// Compiled code is looked at too, so that the operator is told why it is refused.
fn looks_right(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let kind = path.extension().is_some_and(|extension| extension == "wasm" || extension == "cwasm");
    // A file without a length is one that is about to be written, or one of the kernel's, which may never end.
    !hidden && kind && path.metadata().is_ok_and(|about| about.is_file() && about.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::package::Role;

    /// A component with a manifest that exports nothing.
    fn without_role(name: &str) -> Vec<u8> {
        cardcage_manifest::pack(b"\0asm\x0d\0\x01\0", &manifest(name)).unwrap()
    }

    static NOTHING: BuiltIn = BuiltIn { wasm: b"", digest: [0; 32], manifest: "", imports: &[] };

    fn manifest(name: &str) -> String {
        format!("name = \"{name}\"\nversion = \"1\"")
    }

    fn package(name: &str, source: Source) -> Result<Package, Refused> {
        let manifest = cardcage_manifest::Manifest::parse(&manifest(name)).unwrap();
        Ok(Package {
            name: name.into(),
            digest: Digest::of(b""),
            manifest,
            role: Role::Probe,
            imports: Vec::new(),
            source,
        })
    }

    #[test]
    fn a_file_replaces_the_built_in_of_its_name() {
        let settled = settle(vec![
            package("cpu", Source::BuiltIn(&NOTHING)),
            package("cpu", Source::File("/plugins/cpu.wasm".into())),
        ]);
        let sources: Vec<_> = settled.into_iter().map(|plugin| plugin.unwrap().source).collect();
        assert_eq!(sources, [Source::File("/plugins/cpu.wasm".into())]);
    }

    #[test]
    fn two_files_of_one_name_are_both_refused() {
        let settled = settle(vec![
            package("psu", Source::File("/plugins/a.wasm".into())),
            package("psu", Source::File("/plugins/b.wasm".into())),
        ]);
        let reasons: Vec<_> = settled.into_iter().map(|plugin| plugin.unwrap_err().reason).collect();
        assert_eq!(reasons.len(), 2);
        assert!(
            reasons[0].contains("/plugins/a.wasm") && reasons[0].contains("/plugins/b.wasm"),
            "{reasons:?}"
        );
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
            find(&[], folder.path()).into_iter().map(|plugin| plugin.unwrap_err().name).collect();
        assert_eq!(refused.iter().map(PluginName::as_str).collect::<Vec<_>>(), ["native", "no-role", "text"]);
    }

    #[test]
    fn a_folder_that_is_not_there_holds_nothing() {
        assert!(find(&[], Path::new("/nonexistent")).is_empty());
    }
}
