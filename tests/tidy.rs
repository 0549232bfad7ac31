//! The invariants of ARCHITECTURE.md that can be seen in the text of the repository.

#![expect(clippy::unwrap_used, reason = "a test may panic, that is how it fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// A file of the repository, by its path from the root.
struct File {
    path: String,
    text: String,
}

impl File {
    fn below(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }

    /// Number and text of each line.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// The lines without comments, up to the tests that stand at the end of a module.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.lines().find(|(_, line)| line.starts_with("#[cfg(test)]"));
        let end = tests.map_or(usize::MAX, |(number, _)| number);
        self.lines()
            .take_while(move |(number, _)| *number < end)
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every file with one of these extensions.
fn files(extensions: &[&str]) -> Vec<File> {
    let (root, mut found) = (root(), Vec::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            // Recorded boards are full of links, some in circles.
            if name.starts_with('.') || name.starts_with("target") || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|of| extensions.iter().any(|wanted| of == *wanted)) {
                let text = fs::read_to_string(&path).unwrap();
                found.push(File { path: path.strip_prefix(&root).unwrap().display().to_string(), text });
            }
        }
    }
    assert!(!found.is_empty(), "no {extensions:?}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn rust() -> Vec<File> {
    files(&["rs"])
}

#[track_caller]
fn none(what: &str, offences: impl IntoIterator<Item = String>) {
    let offences: Vec<_> = offences.into_iter().collect();
    assert!(offences.is_empty(), "{what}:\n{}", offences.join("\n"));
}

/// Lines that hold a word, in files outside of where it belongs.
fn outside(word: &'static str, belongs: impl Fn(&File) -> bool) -> Vec<String> {
    lines_outside(|line| line.contains(word), belongs)
}

fn lines_outside(holds: impl Fn(&str) -> bool, belongs: impl Fn(&File) -> bool) -> Vec<String> {
    let files = rust().into_iter().filter(|file| !belongs(file) && file.path != "tests/tidy.rs");
    files
        .flat_map(|file| {
            let lines = file.code().filter(|(_, line)| holds(line));
            lines.map(|(number, line)| format!("{}: {}", file.at(number), line.trim())).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn wire_types_stop_at_protocol() {
    let belongs = |file: &File| {
        file.path.contains("/protocol/")
            || file.path.ends_with("/protocol.rs")
            || file.path.contains("/tests/")
            || file.below(&["tests/", "host/wire/"])
    };
    none("cardcage_wire is for protocol/ and tests", outside("cardcage_wire", belongs));
}

#[test]
fn the_model_has_no_wire_format() {
    let in_model = |file: &File| {
        let path = file.path.strip_prefix("host/src/").or_else(|| file.path.strip_prefix("manager/src/"));
        path.is_some_and(|path| path == "model.rs" || path.starts_with("model/"))
    };
    none("model/ has no serde", outside("serde", |file| !in_model(file)));
}

#[test]
fn wasmtime_is_known_to_plugins_and_their_side_of_capabilities() {
    let belongs = |file: &File| {
        file.below(&["host/src/plugin/", "host/compile/"])
            || file.below(&["host/src/capability/"]) && file.path.ends_with("/guest.rs")
            // What stands between the guest sides of probes and the plugin.
            || file.below(&["host/src/capability/tape/"])
            // The table of handles that the guest sides of a backend share.
            || file.path == "host/src/capability/deploys.rs"
    };
    none("wasmtime is for plugin/, capability/*/guest.rs and the compiler", outside("wasmtime", belongs));
}

#[test]
fn what_carries_deploys_out_knows_no_plugins() {
    for mechanism in ["artifacts", "containers", "processes"] {
        let manifest = format!("host/{mechanism}/Cargo.toml");
        let text = fs::read_to_string(root().join(&manifest)).unwrap();
        let depends = text.lines().filter(|line| {
            ["wasmtime", "cardcage-agent", "cardcage-manifest"].iter().any(|other| line.starts_with(other))
        });
        none(&format!("{manifest} depends on"), depends.map(str::to_owned));
    }
}

#[test]
fn one_crate_knows_container_engines() {
    none("bollard", outside("bollard", |file| file.below(&["host/containers/"])));
    let manifests = files(&["toml"]).into_iter().filter(|file| file.path.ends_with("Cargo.toml"));
    let depend = manifests.filter(|file| file.lines().any(|(_, line)| line.starts_with("bollard")));
    // The workspace's table of versions, and who uses it.
    assert_eq!(
        depend.map(|file| file.path).collect::<Vec<_>>(),
        ["Cargo.toml", "host/containers/Cargo.toml"]
    );
    let belongs = |file: &File| {
        let named_for_what_it_is = [
            // An address of an engine, and the name of a plugin.
            "host/src/config.rs",
            "host/src/config/",
            "host/build.rs",
            // What its bridges are called, and a header of every registry.
            "host/src/discovery/choice.rs",
            "host/artifacts/src/registry",
        ];
        !file.below(&["host/"])
            || file.below(&["host/containers/"])
            || file.below(&named_for_what_it_is)
            || file.path.contains("/tests/")
    };
    let holds = |line: &str| line.to_lowercase().contains("docker");
    none("the agent knows containers, not one engine's name", lines_outside(holds, belongs));
}

#[test]
fn agent_and_manager_meet_in_the_wire_only() {
    for (manifest, other) in [("manager", "cardcage-agent"), ("host", "cardcage-manager")] {
        let text = fs::read_to_string(root().join(manifest).join("Cargo.toml")).unwrap();
        let depends = text.lines().filter(|line| line.starts_with(other) && !line.contains("name ="));
        none(&format!("{manifest} does not depend on {other}"), depends.map(str::to_owned));
    }
}

#[test]
fn a_built_in_plugin_uses_nothing_that_a_vendor_cannot() {
    for entry in fs::read_dir(root().join("plugins")).unwrap() {
        let folder = entry.unwrap().path();
        let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let (_, dependencies) = text.split_once("\n[dependencies]\n").unwrap();
        let own: Vec<_> = dependencies.lines().take_while(|line| !line.starts_with('[')).collect();
        // The two crates of sdk/, which a vendor has.
        let for_vendors = ["cardcage-sdk.", "cardcage-sdk =", "cardcage-bar."];
        let of_ours = own.iter().filter(|line| {
            line.starts_with("cardcage") && !for_vendors.iter().any(|name| line.starts_with(name))
        });
        none(&folder.display().to_string(), of_ours.map(|line| (*line).to_owned()));
    }
}

#[test]
fn nothing_is_unsafe_but_what_maps_compiled_code_and_what_guests_export() {
    let belongs = |file: &File| {
        // A guest's exports are names of the canonical ABI; hostile guests do what no safe code does. A vendor's library is
        // called from a process of its own.
        file.below(&[
            "host/src/plugin/map.rs",
            "host/native/src/helper/foreign",
            "sdk/rust/src/",
            "tests/guests/",
        ])
    };
    none("unsafe", outside("unsafe ", belongs));
    none("unsafe", outside("unsafe(", belongs));
}

#[test]
fn an_exception_from_a_lint_has_a_reason() {
    for file in rust().iter().filter(|file| file.path != "tests/tidy.rs") {
        for word in ["[allow(", "[expect("] {
            for (at, _) in file.text.match_indices(word) {
                let exception = file.text[at..].split(']').next().unwrap();
                assert!(exception.contains("reason ="), "{}: {exception}", file.path);
            }
        }
    }
}

#[test]
fn every_module_says_what_it_is() {
    none(
        "//! is missing",
        rust().iter().filter(|file| !file.text.starts_with("//!")).map(|file| file.path.clone()),
    );
    none("mod.rs", rust().into_iter().filter(|file| file.path.ends_with("/mod.rs")).map(|file| file.path));
}

#[test]
fn no_file_is_longer_than_a_reader_bears() {
    let long = rust().into_iter().filter(|file| file.text.lines().count() > 600);
    none("more than 600 lines", long.map(|file| file.path));
}

/// The items of a WIT file that have no comment.
fn uncommented(file: &File) -> Vec<String> {
    // What is only about other items: where they are from, where they go.
    let silent = ["package ", "use ", "import ", "export ", "include ", "@", "}", "{", "//"];
    let (mut found, mut commented, mut open) = (Vec::new(), false, 0_i32);
    for (number, line) in file.lines() {
        let line = line.trim();
        let comment = line.starts_with("///");
        let item = !line.is_empty() && open == 0 && !silent.iter().any(|word| line.starts_with(word));
        if item && !commented {
            found.push(format!("{}: {line}", file.at(number)));
        }
        if !comment {
            // The parameters of a function may take several lines.
            let count = |bracket| i32::try_from(line.matches(bracket).count()).unwrap();
            open += count('(') - count(')');
        }
        commented = comment || line.is_empty() && commented;
    }
    found
}

#[test]
fn every_item_of_the_contract_is_commented() {
    none("no comment", files(&["wit"]).iter().flat_map(uncommented));
    let text = "package a:b;\n/// An interface (of two).\ninterface c {\n  d: func(\n    e: u8,\n  ) -> u8;\n  /// F.\n  f: func();\n}\n";
    let made_up = File { path: "made-up.wit".into(), text: text.into() };
    assert_eq!(uncommented(&made_up), ["made-up.wit:4: d: func("]);
}

/// SHA-256 over what is below a folder of `wit/released`: of each file its path, its length and its text, in order.
const RELEASED: [(&str, &str); 1] =
    [("0.1.0", "608aabe96850a33e7504e0770bd8c1449ec2e9fa285fbbac709d5b69811b49cc")];

#[test]
fn what_was_released_never_changes() {
    let there = fs::read_dir(root().join("wit/released")).unwrap();
    let there: BTreeSet<_> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, RELEASED.map(|(version, _)| version.to_owned()).into());
    for (version, digest) in RELEASED {
        let folder = format!("wit/released/{version}/");
        let mut hash = Sha256::new();
        for File { path, text } in files(&["wit"]).iter().filter(|file| file.below(&[&folder])) {
            hash.update(format!("{} {}\n{text}", &path[folder.len()..], text.len()));
        }
        let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            found, digest,
            "plugins were built for the text of {folder}: put it back, and change wit/ instead"
        );
    }
}

#[test]
fn a_released_version_has_one_text() {
    let package = |file: &File| file.text.lines().next().unwrap().to_owned();
    let name = |file: &File| file.path.rsplit('/').next().unwrap().to_owned();
    let texts = files(&["wit"]).into_iter().filter(|file| file.below(&["wit/"]));
    let (released, today): (Vec<_>, Vec<_>) = texts.partition(|file| file.below(&["wit/released/"]));
    let of_released: BTreeSet<_> = released.iter().map(package).collect();
    let changed = today.iter().filter(|file| of_released.contains(&package(file))).filter(|file| {
        !released
            .iter()
            .any(|old| package(old) == package(file) && name(old) == name(file) && old.text == file.text)
    });
    none("changed under a released version: give the package another", changed.map(|file| file.path.clone()));
}

#[test]
fn every_sample_of_the_protocol_is_used() {
    let uses: String = rust().into_iter().map(|file| file.text).collect();
    let samples = files(&["json"]).into_iter().filter(|file| file.below(&["host/wire/samples/"]));
    let unused = samples.map(|file| file.path).filter(|path| {
        let name = path.strip_prefix("host/wire/").unwrap();
        !uses.contains(name)
    });
    none("no test uses", unused);
}

#[test]
fn every_hostile_guest_has_a_test() {
    let below = |folder: &str| -> String {
        rust().into_iter().filter(|file| file.below(&[folder])).map(|file| file.text).collect()
    };
    let cases = below("tests/cases/");
    for guest in fs::read_dir(root().join("tests/guests")).unwrap() {
        let guest = guest.unwrap().file_name().into_string().unwrap();
        let constant = guest.to_uppercase().replace('-', "_");
        assert!(cases.contains(&constant), "no test uses the guest {guest}");
    }
    let backends = below("tests/cases/backend/");
    for (guest, cases) in [("hostile", cases), ("hostile-backend", backends)] {
        let guest = fs::read_to_string(root().join("tests/guests").join(guest).join("src/lib.rs")).unwrap();
        let modes = guest.split_once("enum Mode {").unwrap().1.split_once("\n}").unwrap().0;
        let modes = modes.lines().filter_map(|line| line.trim().strip_suffix(','));
        let untested = modes.map(kebab_case).filter(|mode| !cases.contains(&format!("{mode:?}")));
        none("no test of the hostility", untested);
    }
}

fn kebab_case(name: &str) -> String {
    let words = name.chars().flat_map(|c| [c.is_uppercase().then_some('-'), Some(c.to_ascii_lowercase())]);
    words.flatten().collect::<String>().trim_start_matches('-').to_owned()
}

/// What is typed: the blocks of a document that have a language.
fn commands(document: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let mut inside = false;
    let mut commands = BTreeSet::new();
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            inside = !inside && ["sh", "console", "toml"].contains(&language);
            continue;
        }
        // Comments are in the language of the document.
        let command = line.split(" #").next().unwrap().trim();
        if inside && !command.is_empty() && !command.starts_with('#') {
            commands.insert(command.to_owned());
        }
    }
    commands
}

#[test]
fn the_chinese_documents_have_the_commands_of_the_english() {
    assert!(root().join("README.zh-CN.md").is_file());
    let translations = files(&["md"]).into_iter().filter(|file| file.path.ends_with(".zh-CN.md"));
    for file in translations {
        let english = commands(&file.path.replace(".zh-CN.md", ".md"));
        // Some have only text.
        assert!(english.len() > 1 || !file.text.contains("```"), "{}: no commands", file.path);
        assert_eq!(commands(&file.path), english, "{}", file.path);
    }
}
