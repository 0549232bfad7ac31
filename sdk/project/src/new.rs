//! `new`: a project that builds as it is, with the interfaces and, for Rust, the SDK in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cardcage_manifest::{Kind, Manifest};
use clap::{Args, ValueEnum};

use crate::language::Language;
use crate::{bindings, embedded};

/// What a template is called until it is somebody's.
const PLACEHOLDER: &str = "my-plugin";

/// What `new` takes.
#[derive(Debug, Args)]
pub struct New {
    /// What the plugin is called: lower-case letters, digits and hyphens, a letter first, at most 64.
    #[arg(value_parser = name)]
    pub name: String,
    /// The language that it is written in.
    #[arg(long, value_enum, default_value = "rust")]
    pub lang: Language,
    /// What it is called for: a probe reads a board, a backend starts and stops software.
    #[arg(long, value_enum, default_value = "probe")]
    pub kind: ProjectKind,
    /// Its folder, which must be empty or not there yet [default: ./NAME].
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// What a project can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProjectKind {
    /// It says how the board is.
    Probe,
    /// It starts and stops software of one type.
    Backend,
}

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// Somebody's files are there.
    #[error("{} is not empty: say another folder with --dir", .0.display())]
    NotEmpty(PathBuf),
    /// Somebody's file is in its place.
    #[error("{} is a file: say another folder with --dir", .0.display())]
    IsFile(PathBuf),
    /// There is no template.
    #[error("a backend is written in Rust: leave --lang out")]
    RustOnly,
    /// Cargo cannot tell two packages of one name apart.
    #[error("cardcage-sdk is what the SDK is called: say another name")]
    Sdk,
    /// Of the folder or a file.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// Of C's side of the interfaces.
    #[error("cannot make the bindings")]
    Bindings(#[source] anyhow::Error),
}

impl NewError {
    /// Whether other arguments are the remedy.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NotEmpty(_) | Self::IsFile(_) | Self::RustOnly | Self::Sdk)
    }
}

/// The rule for names is the manifest's.
fn name(name: &str) -> Result<String, String> {
    // A JSON text is a TOML text too.
    let manifest = format!("name = {}\nversion = \"1\"", serde_json::Value::from(name));
    Manifest::parse(&manifest).map(|manifest| manifest.name).map_err(|error| error.to_string())
}

impl New {
    /// Makes the project; what comes back is its folder.
    pub fn create(&self) -> Result<PathBuf, NewError> {
        if self.kind == ProjectKind::Backend && self.lang != Language::Rust {
            return Err(NewError::RustOnly);
        }
        if self.lang == Language::Rust && self.name == "cardcage-sdk" {
            return Err(NewError::Sdk);
        }
        let folder = self.dir.clone().unwrap_or_else(|| Path::new(&self.name).to_owned());
        empty(&folder)?;
        for (path, text) in self.files() {
            write(&folder.join(path), &text)?;
        }
        if self.lang == Language::C {
            bindings::write(&folder).map_err(NewError::Bindings)?;
        }
        Ok(folder)
    }

    /// What to do next, for a person.
    pub fn next_steps(&self, folder: &Path) -> String {
        let Self { name, lang, kind, .. } = self;
        let trial = match kind {
            ProjectKind::Probe => format!("cardcage-agent plugin try {name}.wasm --config try.toml"),
            ProjectKind::Backend => "cardcage-agent run --config try.toml".to_owned(),
        };
        let (kind, install) = (kind.kind().as_str(), lang.install());
        let folder = quoted(&folder.display().to_string());
        format!(
            "{name} is a {kind} in {lang}, built with {}. Next:\n  cd {folder}\n  {install}\n  \
             cardcage-agent plugin build\n  {trial}\n",
            lang.tools()
        )
    }

    /// Every file, by its path. A later template has precedence.
    fn files(&self) -> BTreeMap<String, String> {
        let interfaces = match self.lang {
            Language::Rust => "wit",
            Language::Python | Language::C | Language::Js => "wit/deps",
        };
        let below = |folder: &str, files: &[(&str, &str)]| -> Vec<_> {
            files.iter().map(|(path, text)| (format!("{folder}/{path}"), (*text).to_owned())).collect()
        };
        let mut files = BTreeMap::from_iter(below(interfaces, embedded::INTERFACES));
        if self.lang == Language::Rust {
            files.extend(below("sdk/rust", embedded::SDK));
        }
        for template in self.templates() {
            files.extend(
                embedded::template(template).map(|(path, text)| (path.to_owned(), self.fill_in(text))),
            );
        }
        files
    }

    fn templates(&self) -> &'static [&'static str] {
        match (self.kind, self.lang) {
            (ProjectKind::Backend, _) => &["new/common", "rust-backend", "new/rust-backend"],
            (_, Language::Rust) => &["new/common", "new/rust"],
            (_, Language::Python) => &["new/common", "new/world", "new/python"],
            (_, Language::C) => &["new/common", "new/world", "new/c"],
            (_, Language::Js) => &["new/common", "new/world", "new/js"],
        }
    }

    fn fill_in(&self, text: &str) -> String {
        let text = match self.kind {
            ProjectKind::Probe => text.to_owned(),
            ProjectKind::Backend => kit(text),
        };
        text.replace(PLACEHOLDER, &self.name)
            .replace("@language@", &self.lang.to_string())
            .replace("@source@", self.lang.source())
            .replace("@tools@", self.lang.tools())
            .replace("@install@", self.lang.install())
    }
}

impl ProjectKind {
    const fn kind(self) -> Kind {
        match self {
            Self::Probe => Kind::Probe,
            Self::Backend => Kind::Backend,
        }
    }
}

/// The guide's template of a backend is a project of its own, to which the reader adds the SDK.
fn kit(text: &str) -> String {
    let sdk = "cardcage-sdk = { path = \"sdk/rust\" }";
    let is_hint = |line: &str| line.starts_with("# The SDK comes with `cargo add");
    let lines = text.lines().map(|line| match line {
        hint if is_hint(hint) => sdk,
        "[lib]" => "[lib]\nname = \"plugin\"",
        "[workspace]" => "[workspace]\nexclude = [\"sdk/rust\"]",
        "type = \"kit\"" => "type = \"my-plugin\"",
        other => other,
    });
    lines.map(|line| format!("{line}\n")).collect::<String>().replace("acme-kit", PLACEHOLDER)
}

/// As one word of a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Makes the folder, unless there is an empty one.
fn empty(folder: &Path) -> Result<(), NewError> {
    if folder.is_file() {
        return Err(NewError::IsFile(folder.to_owned()));
    }
    let failed = |error| NewError::Write(folder.to_owned(), error);
    fs::create_dir_all(folder).map_err(failed)?;
    match fs::read_dir(folder).map_err(failed)?.next() {
        Some(_) => Err(NewError::NotEmpty(folder.to_owned())),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), NewError> {
    let written = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        File::create_new(path)?.write_all(text.as_bytes())
    };
    written().map_err(|error| NewError::Write(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(lang: Language, kind: ProjectKind) -> BTreeMap<String, String> {
        New { name: "acme-psu".into(), lang, kind, dir: None }.files()
    }

    #[test]
    fn names_are_those_of_manifests() {
        assert_eq!(name("acme-psu"), Ok("acme-psu".into()));
        for wrong in ["", "Acme", "1st", "a b", "../a", "a\"\nversion = \"2", "ä", &"a".repeat(65)] {
            assert!(name(wrong).unwrap_err().contains("name"), "{wrong}");
        }
    }

    #[test]
    fn the_next_steps_name_the_plugin_and_can_be_pasted() {
        let new = New { name: "acme".into(), lang: Language::C, kind: ProjectKind::Probe, dir: None };
        let steps = |folder: &str| new.next_steps(Path::new(folder));
        assert!(steps("/a b/it's").starts_with("acme is a probe in C"), "{}", steps("/a b/it's"));
        assert!(steps("/a b/it's").contains("\n  cd '/a b/it'\\''s'\n"), "{}", steps("/a b/it's"));
        assert!(steps("../acme-1.0").contains("\n  cd ../acme-1.0\n"), "{}", steps("../acme-1.0"));
    }

    #[test]
    fn nothing_of_the_templates_own_is_left() {
        for lang in Language::ALL {
            for (path, text) in files(lang, ProjectKind::Probe) {
                assert!(
                    !["my-plugin", "@language@", "@install@"].iter().any(|word| text.contains(word)),
                    "{path}"
                );
            }
        }
        for (path, text) in files(Language::Rust, ProjectKind::Backend) {
            let own = !path.starts_with("sdk/") && !path.starts_with("wit/");
            assert!(
                !own || !["acme-kit", "my-plugin", "cargo add"].iter().any(|word| text.contains(word)),
                "{path}"
            );
        }
    }

    #[test]
    fn a_manifest_is_right_and_a_name_may_hold_the_placeholder() {
        for kind in [ProjectKind::Probe, ProjectKind::Backend] {
            let new = New { name: "my-plugin-2".into(), lang: Language::Rust, kind, dir: None };
            assert_eq!(Manifest::parse(&new.files()["plugin.toml"]).unwrap().name, "my-plugin-2");
        }
    }

    #[test]
    fn the_sdk_stands_alone() {
        let files = files(Language::Rust, ProjectKind::Probe);
        assert!(!files["sdk/rust/Cargo.toml"].contains("workspace"));
        assert!(files["sdk/rust/Cargo.toml"].contains("unsafe_code = \"deny\""));
        assert!(files["wit/types/errors.wit"].contains("interface errors"));
    }

    #[test]
    fn what_an_sdk_less_project_imports_it_says_itself() {
        for lang in [Language::Python, Language::C, Language::Js] {
            let files = files(lang, ProjectKind::Probe);
            let world = &files["wit/world.wit"];
            assert!(world.contains("import cardcage:host/kernel@"), "{world}");
            assert!(files.contains_key("wit/deps/types/errors.wit"));
            let lines = files[lang.source()].lines().count();
            assert!(lines <= 40, "{lang}: {lines} lines");
        }
    }
}
