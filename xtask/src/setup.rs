//! What a machine needs, installed where that is allowed, or else named with the command that installs it.

mod kernel; // of the lab board

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{cargo, run, succeeds};

/// The target that plugins are built for.
pub const GUEST: &str = "wasm32-wasip2";

/// A program that Rust does not bring, and the Debian packages that have it and what it needs.
struct Tool {
    executable: &'static str,
    package: &'static str,
    needed_for: &'static str,
}

/// SQLite comes as its source.
const BUILDING: [Tool; 1] =
    [Tool { executable: "cc", package: "build-essential", needed_for: "building SQLite" }];

/// The linker of static executables, by a name that says for which processor.
const STATIC: [Tool; 1] = [Tool {
    executable: "musl-gcc",
    package: "musl-tools",
    needed_for: "a static agent; it is linked with this machine's libraries instead",
}];

const TESTING: [Tool; 14] = [
    Tool { executable: "ip", package: "iproute2", needed_for: "tests across network namespaces" },
    Tool { executable: "promtool", package: "prometheus", needed_for: "checks of the metrics" },
    Tool { executable: "dockerd", package: "docker.io", needed_for: "deploys of containers" },
    Tool { executable: "iptables", package: "iptables", needed_for: "the network of containers" },
    Tool { executable: "busybox", package: "busybox-static", needed_for: "what is deployed in tests" },
    Tool { executable: "docker-registry", package: "docker-registry", needed_for: "deploys from a registry" },
    Tool { executable: "podman", package: "podman", needed_for: "deploys with the other container engine" },
    Tool { executable: "skopeo", package: "skopeo", needed_for: "images as another client writes them" },
    Tool { executable: "runc", package: "runc", needed_for: "the container engines" },
    Tool { executable: "curl", package: "curl", needed_for: "deploys by a client of somebody else" },
    Tool { executable: "qemu-system-x86_64", package: "qemu-system-x86", needed_for: "the lab board" },
    Tool {
        executable: "clang",
        package: "clang lld wasi-libc libclang-rt-dev-wasm32",
        needed_for: "plugins in C",
    },
    Tool { executable: "npm", package: "npm", needed_for: "plugins in JavaScript" },
    Tool { executable: "pip3", package: "python3-pip python3-venv", needed_for: "plugins in Python" },
];

const MEASURING: [Tool; 1] = [Tool {
    executable: "prometheus-node-exporter",
    package: "prometheus-node-exporter",
    needed_for: "the comparison with it",
}];

/// What links programs for ARM64, and what runs them.
pub const ARM64_LINKER: &str = "aarch64-linux-gnu-gcc";
pub const EMULATOR: &str = "qemu-aarch64-static";

const ARM64: [Tool; 2] = [
    Tool {
        executable: ARM64_LINKER,
        package: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
        needed_for: "recordings played on ARM64",
    },
    Tool { executable: EMULATOR, package: "qemu-user-static", needed_for: "recordings played on ARM64" },
];

/// Whether this is a CI machine: there nothing is skipped, what is missing fails.
pub fn in_ci() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    set("CI") || set("CARDCAGE_CI")
}

/// Without these nothing can be built.
pub fn for_building() -> Result<()> {
    target(GUEST)?;
    match install(&BUILDING)? {
        missing if missing.is_empty() => Ok(()),
        missing => bail!("{}", remedy(&missing)),
    }
}

/// The components of the checks, and what some tests need.
pub fn for_testing() -> Result<()> {
    for_building()?;
    component("rustfmt", "fmt")?;
    component("clippy", "clippy")?;
    optional(&TESTING)?;
    kernel::fetch()
}

/// Whether programs for ARM64 can be built and run here.
pub fn for_arm64(name: &str) -> Result<bool> {
    optional(&ARM64)?;
    if ARM64.iter().any(|tool| !is_installed(tool.executable)) {
        return Ok(false);
    }
    target(name)?;
    Ok(true)
}

/// What the benchmark compares with, and what it checks the metrics with.
pub fn for_measuring() -> Result<()> {
    optional(&MEASURING)?;
    optional(&TESTING)
}

/// What is missing is skipped with a line that says so, except in CI.
fn optional(tools: &'static [Tool]) -> Result<()> {
    match install(tools)? {
        missing if missing.is_empty() => {}
        missing if in_ci() => bail!("{}", remedy(&missing)),
        missing => {
            for tool in &missing {
                println!("Skipped, since {} is not installed: {}.", tool.executable, tool.needed_for);
            }
            println!("{}", remedy(&missing));
        }
    }
    Ok(())
}

/// The target of static executables for this machine's processor, if they can be linked here.
pub fn static_target() -> Result<Option<String>> {
    optional(&STATIC)?;
    if !is_installed("musl-gcc") {
        return Ok(None);
    }
    let name = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    target(&name)?;
    Ok(Some(name))
}

fn target(name: &str) -> Result<()> {
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", name]).output()?;
    if Path::new(String::from_utf8_lossy(&libraries.stdout).trim()).is_dir() {
        return Ok(());
    }
    println!("Installing the target {name} with rustup.");
    rustup(&["target", "add", name])
}

fn component(name: &str, subcommand: &str) -> Result<()> {
    if succeeds(&mut cargo([subcommand, "--version"])) {
        return Ok(());
    }
    println!("Installing the component {name} with rustup.");
    rustup(&["component", "add", name])
}

fn rustup(arguments: &[&str]) -> Result<()> {
    if !succeeds(Command::new("rustup").arg("--version")) {
        bail!("rustup is not here; install for this toolchain what `rustup {}` would", arguments.join(" "));
    }
    run(Command::new("rustup").args(arguments))
}

/// Installs the packages of the tools that are not here, if this user may. What is still missing comes back.
fn install(tools: &'static [Tool]) -> Result<Vec<&'static Tool>> {
    let missing = || tools.iter().filter(|tool| !is_installed(tool.executable)).collect::<Vec<_>>();
    if missing().is_empty() || !nix::unistd::geteuid().is_root() || !is_installed("apt-get") {
        return Ok(missing());
    }
    println!("Installing {} with apt-get.", packages(&missing()));
    let wanted = missing().into_iter().flat_map(|tool| tool.package.split(' '));
    run(apt_get().arg("update"))?;
    run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(wanted))?;
    Ok(missing())
}

fn apt_get() -> Command {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet=2").env("DEBIAN_FRONTEND", "noninteractive");
    // Somebody else's apt-get, such as a machine's first update of itself, ends soon.
    apt.args(["--option", "DPkg::Lock::Timeout=300"]);
    // Some packages start a daemon when they are installed; what is wanted here is an executable.
    apt.env("SYSTEMD_OFFLINE", "1");
    apt
}

fn remedy(missing: &[&Tool]) -> String {
    format!("Install what is missing, on Debian: sudo apt-get install {}", packages(missing))
}

fn packages(tools: &[&Tool]) -> String {
    tools.iter().map(|tool| tool.package).collect::<Vec<_>>().join(" ")
}

/// Looks where administrators' programs are too, which need not be on a user's path.
pub fn is_installed(executable: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.into_iter().any(|folder| folder.join(executable).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_path_is_installed() {
        assert!(is_installed("sh"));
        assert!(!is_installed("no-such-program"));
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_installs_it() {
        let missing: Vec<_> = TESTING.iter().take(3).collect();
        assert!(remedy(&missing).ends_with("apt-get install iproute2 prometheus docker.io"));
    }
}
