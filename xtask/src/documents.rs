//! Types what the documents tell people to type.
//!
//! The `sh` blocks of a document are one script. It runs in a folder that stands for a machine: `/etc`, `/usr/bin`,
//! `/var/lib` and the home of whoever types are below it, and systemd is a [stand-in](../stand-ins/systemctl). A `toml`
//! block whose first line is a path is that file. What a network would be on a real machine is the loopback interface.

mod config;
mod markdown;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;

use crate::Task;
use crate::build::Profile;
use crate::command::{cargo, root, run, target_dir};
use config::Files;
use markdown::{Block, blocks};

/// The documents, each with what must come true at its end; the README uses the plugin that the guide makes.
const DOCUMENTS: [(&str, &str); 6] = [
    ("sdk/guide/bar.md", "test -f radar-1.2.bar"),
    ("sdk/guide/write-a-probe.md", "test -f acme-cpld.wasm"),
    ("sdk/guide/signing.md", "test -f acme-cpld-signed.wasm"),
    ("sdk/guide/write-a-backend.md", "test -f acme-kit.wasm"),
    ("sdk/guide/write-a-task.md", "test -f example-task.wasm"),
    ("README.md", "cardcage board 1/3/1 --json | grep 12.06"),
];

/// How a guide copies a template; then come its name and where to.
const TEMPLATE: &str = "cp -r sdk/templates/";

/// How long one document may take, in `timeout`'s words.
const DEADLINE: &str = "10m";

/// Runs every document, and lints the plugins that some of them make.
pub fn test() -> Result<()> {
    let machine = Machine::new()?;
    for (document, outcome) in DOCUMENTS {
        println!("Typing what {document} says.");
        machine.run(document, outcome).with_context(|| format!("{document} is wrong"))?;
    }
    ["acme-cpld", "acme-kit"].iter().try_for_each(|plugin| {
        let mut clippy = cargo(["clippy", "--all-targets", "--", "--deny", "warnings"]);
        run(clippy.current_dir(machine.home().join(plugin)).env("CARGO_TARGET_DIR", machine.built()))
    })
}

/// The folder that stands for a machine.
struct Machine {
    root: PathBuf,
    executables: PathBuf,
    manager: u16,
    agent: u16,
}

impl Machine {
    fn new() -> Result<Self> {
        let folder = target_dir().join("documents");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        for below in ["home", "usr/bin", "etc"] {
            std::fs::create_dir_all(folder.join(below))?;
        }
        let machine = Self {
            root: folder,
            executables: Profile::Debug.folder(),
            manager: free_port()?,
            agent: free_port()?,
        };
        std::os::unix::fs::symlink(root(), machine.home().join("cardcage"))?;
        Ok(machine)
    }

    /// What all projects are built in, so that their dependencies are built once.
    fn built(&self) -> PathBuf {
        self.root.join("target")
    }

    fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    fn run(&self, document: &str, outcome: &str) -> Result<()> {
        let mut typed = self.script(&std::fs::read_to_string(root().join(document))?)?;
        typed += &format!("set +x; timeout 60 sh -c 'until {outcome}; do sleep 0.5; done'\n");
        let script = self.root.join("script.sh");
        std::fs::write(&script, typed)?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = [root().join("xtask/stand-ins"), self.root.join("usr/bin")];
        let mut shell = Command::new("timeout");
        shell.args(["--foreground", "--kill-after=30s", DEADLINE, "sh"]).arg(&script).current_dir(root());
        shell.env("PATH", std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path)))?);
        shell.env("ROOT", &self.root).env("CARGO_TARGET_DIR", self.built());
        shell.env("CARDCAGE_MANAGER", format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.manager));
        run(&mut shell)
    }

    /// The blocks as one script, with the places of this machine.
    fn script(&self, document: &str) -> Result<String> {
        let mut files = Files::new(&self.root, self.manager, self.agent);
        let mut script = String::from("set -eux\n");
        // Whatever was started ends with the script.
        script += "trap 'systemctl stop-all' EXIT\n";
        script += "trap 'exit 1' INT TERM\n";
        for Block { language, text } in blocks(document) {
            match language {
                "sh" => text.lines().try_for_each(|line| self.line(line, &mut script))?,
                "toml" => script += &files.place(&text)?,
                _ => {}
            }
        }
        Ok(script)
    }

    fn line(&self, line: &str, script: &mut String) -> Result<()> {
        let command = line.split('#').next().unwrap_or_default().trim_end();
        if let Some(task) = command.strip_prefix("cargo xtask") {
            // What these do is tested by doing it; here they only have to be right.
            return match Task::try_parse_from(std::iter::once("xtask").chain(task.split_whitespace())) {
                Ok(_) => Ok(()),
                Err(error) => bail!("{command}: {error}"),
            };
        }
        *script += &self.localise(command);
        script.push('\n');
        if let Some((_, folder)) = command.strip_prefix(TEMPLATE).and_then(|copied| copied.split_once(' ')) {
            // The versions that the workspace is tested with, not those of the day.
            let lock = root().join("Cargo.lock");
            *script += &self.localise(&format!("cp {} {folder}", lock.display()));
            script.push('\n');
        }
        Ok(())
    }

    fn localise(&self, command: &str) -> String {
        let below = |path: &str| self.root.join(path).display().to_string();
        let executables = self.executables.display().to_string();
        command
            .replace("~/cardcage/target/debug", &executables)
            .replace("target/release", &executables)
            .replace("target/wasm32-wasip2", &below("target/wasm32-wasip2"))
            .replace("~/", &below("home/"))
            .replace("/etc/", &below("etc/"))
            .replace("/usr/bin/", &below("usr/bin/"))
            .replace("/var/lib/", &below("var/lib/"))
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
