//! The kernel of the lab board, on which tests run that need version 2 of control groups: Debian's package of it, fetched
//! once and unpacked, never installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{apt_get, in_ci, is_installed, target};
use crate::command::{run, target_dir};

/// What Debian and Ubuntu call their newest kernel: a package that only names another.
const NEWEST: [&str; 2] = ["linux-image-amd64", "linux-image-generic"];
/// What the programs on the board are linked for.
const STATIC: &str = "x86_64-unknown-linux-musl";

/// Puts the kernel where the tests look for it. Where that is impossible they are skipped, except in CI.
pub fn fetch() -> Result<()> {
    let kernel = target_dir().join("lab/vmlinuz");
    let ready = || -> Result<()> {
        if !kernel.is_file() {
            unpack(&kernel)?;
        }
        target(STATIC)
    };
    match ready() {
        Err(error) if !in_ci() => {
            println!("Skipped, since its kernel cannot be had: tests on the lab board. {error:#}.");
            Ok(())
        }
        done => done.context("the kernel of the lab board"),
    }
}

fn unpack(kernel: &Path) -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("the lab board is an x86-64, as this machine is not");
    }
    let folder = kernel.parent().context("the kernel has a folder")?;
    let work = folder.join("package");
    std::fs::create_dir_all(&work)?;
    let package = newest()?;
    println!("Fetching {package} for the lab board.");
    // Its own user may not write into a folder of ours, and would complain of that.
    let as_we_are = ["--option", "APT::Sandbox::User=root"];
    run(apt_get().current_dir(&work).args(as_we_are).args(["download", &package]))?;
    let archive = only(&work, |name| name.ends_with(".deb"))?;
    run(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(&work))?;
    // Whole or not at all: it is not looked at again.
    std::fs::rename(only(&work.join("boot"), |name| name.starts_with("vmlinuz-"))?, kernel)?;
    std::fs::remove_dir_all(&work)?;
    Ok(())
}

/// The package of the newest kernel.
fn newest() -> Result<String> {
    if !is_installed("apt-get") {
        bail!("it comes from a package of Debian's, and there is no apt-get");
    }
    if let Some(package) = named() {
        return Ok(package);
    }
    if nix::unistd::geteuid().is_root() {
        run(apt_get().arg("update"))?;
    }
    named().with_context(|| format!("apt knows none of {}: apt-get update", NEWEST.join(", ")))
}

fn named() -> Option<String> {
    NEWEST.iter().find_map(|name| {
        let said = Command::new("apt-cache").args(["depends", name]).output().ok()?;
        String::from_utf8_lossy(&said.stdout).lines().find_map(image)
    })
}

fn image(line: &str) -> Option<String> {
    let package = line.trim().trim_start_matches('|').strip_prefix("Depends: ")?;
    package.starts_with("linux-image-").then(|| package.to_owned())
}

fn only(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut paths = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(&wanted));
    paths
        .next()
        .map(|entry| entry.path())
        .with_context(|| format!("nothing of the kernel in {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_what_the_package_depends_on() {
        let said = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n";
        assert_eq!(said.lines().find_map(image).as_deref(), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(
            image(" |Depends: linux-image-6.8.0-1-generic").as_deref(),
            Some("linux-image-6.8.0-1-generic")
        );
        assert_eq!(image("  Recommends: linux-image-rt"), None);
        assert_eq!(image("  Depends: linux-firmware"), None);
    }
}
