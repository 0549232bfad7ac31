//! Projects as vendors make them, and what people do wrong. That each language comes to a reading in a report is tried in
//! `tests/cases/projects.rs`.

#![expect(clippy::unwrap_used, reason = "a test may panic, that is how it fails")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cardcage_manifest::{Kind, Plugin};
use cardcage_project::Language;
use tempfile::TempDir;

/// A folder for projects, and the executable that makes them.
struct Desk(TempDir);

/// What the executable said.
#[derive(Debug)]
struct Said {
    status: Option<i32>,
    out: String,
    error: String,
}

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cardcage-project"));
        command.current_dir(self.0.path()).args(arguments).env_remove("WASI_SDK_PATH");
        // Dependencies are compiled once for all tests.
        command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        said(&self.command(arguments).output().unwrap())
    }

    /// As on a machine on which nothing is installed.
    fn run_without_tools(&self, arguments: &[&str]) -> Said {
        said(&self.command(arguments).env("PATH", "/nowhere").output().unwrap())
    }

    /// A project that is known to be made.
    #[track_caller]
    fn project(&self, name: &str, options: &[&str]) -> PathBuf {
        let made = self.run(&[&["new", name], options].concat());
        assert_eq!(made.status, Some(0), "{}", made.error);
        assert!(made.out.lines().count() <= 5, "{}", made.out);
        let project = self.path(name);
        if project.join("Cargo.toml").exists() {
            // The versions that this workspace is tested with.
            let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
            fs::copy(lock, project.join("Cargo.lock")).unwrap();
        }
        project
    }
}

fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { status: output.status.code(), out: text(&output.stdout), error: text(&output.stderr) }
}

/// Says that a test was left out, and why.
fn skip<T>(language: Language, why: &str) -> Option<T> {
    let told = ["CI", "CARDCAGE_CI"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(!told, "{language}: {why}");
    // Not by eprintln, which is only shown for tests that fail.
    let _unread = writeln!(std::io::stderr(), "skipped: plugins in {language}: {}", why.trim());
    None
}

#[test]
fn a_backend_builds() {
    let desk = Desk::new();
    desk.project("acme-kit", &["--kind", "backend", "--dir", "acme-kit"]);
    let output = desk.path("elsewhere.wasm");
    let Some(built) = build_to(&desk, "acme-kit", &output) else { return };
    assert_eq!(built.status, Some(0), "{}", built.error);
    let plugin = Plugin::read(&fs::read(output).unwrap()).unwrap();
    assert!(Kind::Backend.is_exported(&plugin.exports), "{:?}", plugin.exports);
    assert_eq!(plugin.manifest.deploy.unwrap().kind, "acme-kit");
    assert!(!desk.path("acme-kit/acme-kit.wasm").exists());
}

fn build_to(desk: &Desk, name: &str, output: &Path) -> Option<Said> {
    let built = desk.run(&["build", name, "-o", output.to_str().unwrap()]);
    if built.error.contains("is not there, which") { skip(Language::Rust, &built.error) } else { Some(built) }
}

#[test]
fn a_tool_that_is_missing_is_named_with_how_it_is_installed() {
    let desk = Desk::new();
    for (word, tool, remedy) in [
        ("rust", "rustc", "rustup target add wasm32-wasip2"),
        ("python", "componentize-py", "pip install componentize-py=="),
        ("c", "clang", "apt install clang lld wasi-libc"),
        ("js", "node", "Node.js"),
    ] {
        desk.project(word, &["--lang", word]);
        let built = desk.run_without_tools(&["build", word]);
        assert_eq!(built.status, Some(1), "{}", built.error);
        assert!(built.error.contains(&format!("{tool} is not there, which ")), "{}", built.error);
        assert!(built.error.contains(remedy), "{}", built.error);
    }
}

#[test]
fn a_name_that_no_manifest_may_have_makes_nothing() {
    let desk = Desk::new();
    for name in ["Acme", "../acme", "1st", "a b", "", "/etc", "a\nb"] {
        let refused = desk.run(&["new", name]);
        assert_eq!(refused.status, Some(2), "{name:?}: {}", refused.error);
        assert!(refused.error.contains("name"), "{name:?}: {}", refused.error);
    }
    let backend = desk.run(&["new", "acme", "--kind", "backend", "--lang", "c"]);
    assert_eq!(backend.status, Some(2), "{}", backend.error);
    assert!(backend.error.contains("a backend is written in Rust"), "{}", backend.error);
    assert_eq!(fs::read_dir(desk.0.path()).unwrap().count(), 0);
}

#[test]
fn what_somebody_has_stays() {
    let desk = Desk::new();
    fs::create_dir(desk.path("acme")).unwrap();
    fs::write(desk.path("acme/notes"), "mine").unwrap();
    let refused = desk.run(&["new", "acme"]);
    assert_eq!(refused.status, Some(2), "{}", refused.error);
    assert!(refused.error.contains("is not empty"), "{}", refused.error);
    assert_eq!(fs::read_dir(desk.path("acme")).unwrap().count(), 1);

    fs::create_dir(desk.path("empty")).unwrap();
    assert_eq!(desk.run(&["new", "acme", "--dir", "empty"]).status, Some(0));
    let file = desk.run(&["new", "acme", "--dir", "acme/notes"]);
    assert_eq!(file.status, Some(2), "{}", file.error);
    assert!(file.error.contains("acme/notes is a file: say another folder with --dir"), "{}", file.error);
    assert_eq!(fs::read_to_string(desk.path("acme/notes")).unwrap(), "mine");
}

#[test]
fn a_source_is_not_replaced_by_the_plugin() {
    let desk = Desk::new();
    let source = desk.project("acme", &["--lang", "c"]).join("probe.c");
    let before = fs::read(&source).unwrap();
    let refused = desk.run_without_tools(&["build", "acme", "-o", "acme/probe.c"]);
    assert_eq!(refused.status, Some(2), "{}", refused.error);
    assert!(refused.error.contains("acme/probe.c is there and is no WebAssembly file"), "{}", refused.error);
    assert_eq!(fs::read(&source).unwrap(), before);
    // What may be replaced gets as far as the tools.
    for old in [&b"\0asm\x0d\0\x01\0"[..], b""] {
        fs::write(desk.path("acme/acme.wasm"), old).unwrap();
        let built = desk.run_without_tools(&["build", "acme"]);
        assert!(built.error.contains("clang is not there"), "{}", built.error);
    }
}

#[test]
fn what_is_no_project_is_not_built() {
    let desk = Desk::new();
    for (arguments, why) in
        [(vec!["build"], "has no plugin.toml"), (vec!["build", "nowhere"], "nowhere has no")]
    {
        let refused = desk.run(&arguments);
        assert_eq!(refused.status, Some(2), "{}", refused.error);
        assert!(refused.error.contains(why), "{}", refused.error);
    }
    fs::write(desk.path("plugin.toml"), "name = \"a\"\nversion = \"1\"").unwrap();
    let refused = desk.run(&["build"]);
    assert_eq!(refused.status, Some(2), "{}", refused.error);
    assert!(refused.error.contains("of no known language"), "{}", refused.error);
    assert_eq!(desk.run(&["build", "--fast"]).status, Some(2));
}

#[test]
fn a_hostile_manifest_is_refused_before_any_tool_runs() {
    let desk = Desk::new();
    let project = desk.project("acme", &["--lang", "c"]);
    let long = format!("name = \"a\"\nversion = \"1\"\n{}", "# comment\n".repeat(10_000));
    for (manifest, why) in [
        ("name = \"../../evil\"\nversion = \"1\"".as_bytes(), "the manifest's name is"),
        (b"name = \"a\"\nversion = \"1\"\nsudo = true", "sudo"),
        (b"name = \"a\"\nversion = \"\\u001b[2J\"", "the manifest's version"),
        (b"\xff\xfe", "cannot read plugin.toml"),
        (long.as_bytes(), "at most 65536 are read"),
        (b"", "missing field"),
    ] {
        fs::write(project.join("plugin.toml"), manifest).unwrap();
        let refused = desk.run_without_tools(&["build", "acme"]);
        assert_eq!(refused.status, Some(1), "{}", refused.error);
        assert!(refused.error.contains(why), "{}", refused.error);
    }
    fs::remove_file(project.join("plugin.toml")).unwrap();
    fs::create_dir(project.join("plugin.toml")).unwrap();
    assert_eq!(desk.run_without_tools(&["build", "acme"]).status, Some(1));
    let endless = project.join("plugin.toml");
    fs::remove_dir(&endless).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &endless).unwrap();
    let refused = desk.run_without_tools(&["build", "acme"]);
    assert!(refused.error.contains("at most 65536 are read"), "{}", refused.error);
    assert_eq!(fs::read_dir(desk.0.path()).unwrap().count(), 1);
}
