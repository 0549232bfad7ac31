//! Which of the plugins that are there may be one together. A name is the key of grants and settings, and a type of
//! deploys is served by one, so of several files with one of them none can be right; except that what runs stays.

use std::collections::BTreeMap;

use super::folder::name;
use super::package::{Package, Refused, Role};
use crate::model::PluginName;

/// One plugin a name, and one backend a type, in the order in which they start: cpu and memory first, since reports are
/// poorest without them, then the other built-in ones, so that none waits for a file that takes long to compile.
///
/// A file replaces the built-in plugin of its name, without inheriting its grants. Of several files of one name the one
/// that `holds_name` stays; if none does, all are refused. Of several backends of one type the one that `holds_type`
/// stays, or else the first.
pub(super) fn resolve(
    built_in: Vec<Result<Package, Refused>>,
    files: Vec<Result<Package, Refused>>,
    holds_name: impl Fn(&Package) -> bool,
    holds_type: impl Fn(&Package) -> bool,
) -> Vec<Result<Package, Refused>> {
    let mut all = one_a_name(built_in.into_iter().chain(files).collect(), holds_name);
    all.sort_by_key(|plugin| {
        let from_file = !plugin.as_ref().is_ok_and(Package::built_in);
        let name = name(plugin).clone();
        (!["cpu", "memory"].contains(&name.as_str()), from_file, name)
    });
    one_a_type(&mut all, holds_type);
    all
}

fn one_a_name(
    plugins: Vec<Result<Package, Refused>>,
    holds: impl Fn(&Package) -> bool,
) -> Vec<Result<Package, Refused>> {
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
        if packages.len() == 1 {
            settled.extend(packages.into_iter().map(Ok));
            continue;
        }
        let reason = several(&packages);
        let mut holder = packages.iter().position(&holds);
        for package in packages {
            settled.push(match holder {
                Some(0) => Ok(package),
                _ => Err(package.refused(&reason)),
            });
            holder = holder.and_then(|index| index.checked_sub(1));
        }
    }
    settled
}

fn several(packages: &[Package]) -> String {
    const SHOWN: usize = 4;
    let files: Vec<_> = packages.iter().take(SHOWN).map(|package| package.source.to_string()).collect();
    let more = packages.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "several files have this name, and grants are given by name: {}{more}; remove all but one",
        files.join(", ")
    )
}

fn one_a_type(plugins: &mut [Result<Package, Refused>], holds: impl Fn(&Package) -> bool) {
    let mut serving: BTreeMap<String, PluginName> = BTreeMap::new();
    let of_type = |plugin: &Result<Package, Refused>| match plugin {
        Ok(Package { role: Role::Backend { kind }, name, .. }) => Some((kind.clone(), name.clone())),
        _ => None,
    };
    for plugin in plugins.iter().filter(|plugin| plugin.as_ref().is_ok_and(&holds)) {
        serving.extend(of_type(plugin));
    }
    for plugin in plugins.iter_mut() {
        let Some((kind, name)) = of_type(plugin) else { continue };
        let other = serving.entry(kind.clone()).or_insert_with(|| name.clone());
        if *other != name
            && let Ok(package) = &*plugin
        {
            let reason =
                format!("serves the type {kind:?}, which {other} serves already; remove one of them");
            *plugin = Err(package.refused(&reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;
    use crate::plugin::built_in::BuiltIn;
    use crate::plugin::package::Source;

    static NOTHING: BuiltIn = BuiltIn { wasm: b"", digest: [0; 32], manifest: "", imports: &[] };

    fn package(name: &str, source: Source, role: Role) -> Result<Package, Refused> {
        let manifest = format!("name = \"{name}\"\nversion = \"1\"");
        Ok(Package {
            name: name.into(),
            digest: Digest::of(b""),
            manifest: cardcage_manifest::Manifest::parse(&manifest).unwrap(),
            role,
            imports: Vec::new(),
            exports: Vec::new(),
            signed: Ok(Vec::new()),
            source,
        })
    }

    fn file(name: &str, path: &str) -> Result<Package, Refused> {
        package(name, Source::file(path.into()), Role::Probe)
    }

    fn backend(name: &str, kind: &str) -> Result<Package, Refused> {
        package(name, Source::file(format!("/{name}").into()), Role::Backend { kind: kind.into() })
    }

    fn lies_in(path: &'static str) -> impl Fn(&Package) -> bool {
        move |package| package.source.to_string() == path
    }

    /// What became of each: its path, or that it is refused.
    fn outcome(resolved: &[Result<Package, Refused>]) -> Vec<String> {
        resolved
            .iter()
            .map(|plugin| plugin.as_ref().map_or("refused".into(), |plugin| plugin.source.to_string()))
            .collect()
    }

    #[test]
    fn a_file_replaces_the_built_in_of_its_name() {
        let built_in = package("cpu", Source::BuiltIn(&NOTHING), Role::Probe);
        let resolved = resolve(vec![built_in], vec![file("cpu", "/cpu")], |_| false, |_| false);
        assert_eq!(outcome(&resolved), ["/cpu"]);
    }

    #[test]
    fn of_several_files_of_one_name_the_one_that_runs_stays() {
        let files = || vec![file("psu", "/a"), file("psu", "/b"), file("psu", "/c")];
        let resolved = resolve(vec![], files(), |_| false, |_| false);
        assert_eq!(outcome(&resolved), ["refused"; 3]);
        let reason = &resolved[0].as_ref().unwrap_err().reason;
        assert!(reason.contains("/a, /b, /c"), "{reason}");
        for (holder, expected) in [
            ("/a", ["/a", "refused", "refused"]),
            ("/b", ["refused", "/b", "refused"]),
            ("/c", ["refused", "refused", "/c"]),
        ] {
            assert_eq!(outcome(&resolve(vec![], files(), lies_in(holder), |_| false)), expected);
        }
    }

    #[test]
    fn of_several_backends_of_one_type_the_one_that_serves_stays() {
        let files = || vec![backend("a", "tape"), backend("b", "tape"), backend("c", "disc")];
        assert_eq!(outcome(&resolve(vec![], files(), |_| false, |_| false)), ["/a", "refused", "/c"]);
        assert_eq!(outcome(&resolve(vec![], files(), |_| false, lies_in("/b"))), ["refused", "/b", "/c"]);
    }

    #[test]
    fn cpu_and_memory_start_first_and_files_last() {
        let built_in = |name| package(name, Source::BuiltIn(&NOTHING), Role::Probe);
        let all = vec![built_in("disk"), built_in("memory"), built_in("cpu")];
        let resolved = resolve(all, vec![file("acme", "/acme")], |_| false, |_| false);
        let names: Vec<_> = resolved.iter().map(|plugin| name(plugin).as_str()).collect();
        assert_eq!(names, ["cpu", "memory", "disk", "acme"]);
    }
}
