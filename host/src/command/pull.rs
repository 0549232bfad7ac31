//! `cardcage-agent plugin pull`: a plugin out of a container registry, into the folder.

use std::fs::DirBuilder;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use cardcage_artifacts::{Component, Credentials, Pull, Reference};
use cardcage_compile::PLUGIN_LIMIT;
use clap::Args;
use serde_json::json;

use super::file::{self, For};
use super::plugin::ConfigFile;
use crate::capability::mechanisms::credentials;
use crate::config::Config;
use crate::plugin::{Admitted, Package, Source, holding};

/// What `plugin pull --help` ends with.
const EXAMPLES: &str = r#"Into the plugin folder of the configuration, by a tag and by content:

  cardcage-agent plugin pull registry.example/vendor/probe:1.2.0 --config /etc/cardcage/agent.toml
  cardcage-agent plugin pull registry.example/vendor/probe@sha256:… --config /etc/cardcage/agent.toml

A tag may lead elsewhere tomorrow. What is printed as `pinned` leads to the same bytes for ever, so that is what to write down
for a fleet; and the file's SHA-256 can stand in its grant ([plugins.grants.NAME] sha256).

The registry learns who asks from the configuration that deploys use too:

  [deploy]
  ca = "/etc/cardcage/repo-ca.crt"
  [deploy.registries."registry.example"]
  username = "board"
  password_file = "/etc/cardcage/registry-password"

Only what the signature policy of the configuration lets run is written ([plugins] trust, policy), in one step: a running
agent sees the old file or the new one. Plugins get into a registry with `wkg oci push REFERENCE plugin.wasm`, or with
`oras push REFERENCE plugin.wasm:application/wasm`."#;

/// What `plugin pull` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PullArguments {
    /// Such as `registry.example:5000/vendor/probe:1.2.0` or `…@sha256:…`; of a tag and a digest, the digest counts.
    reference: Reference,
    #[command(flatten)]
    config: ConfigFile,
    /// Where the plugin goes; default: NAME.wasm in the plugin folder of the configuration.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Certificates to trust the registry by, beside the system's, as PEM; default: `[deploy] ca`.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Speaks http with the registry. Passwords go in the clear, and whoever is on the way chooses what a tag leads to.
    #[arg(long)]
    plain_http: bool,
    /// For programs.
    #[arg(long)]
    json: bool,
}

pub fn pull(arguments: &PullArguments) -> Result<()> {
    let PullArguments { reference, config, output, ca, plain_http, json } = arguments;
    let config = config.load()?;
    let Component { bytes, digest } = cardcage_artifacts::pull(&Pull {
        reference,
        credentials: who_asks(&config, reference)?.as_ref(),
        ca: ca.as_deref().or(config.deploy.ca.as_deref()),
        plain_http: *plain_http,
        limit: PLUGIN_LIMIT,
    })?;
    let whence = Source::file(reference.to_string().into());
    let package = Package::of(&bytes, whence, &config.plugins.keys())
        .with_context(|| format!("{reference} is no plugin"))?;
    let trust = Admitted::vouched(&package, &config.plugins)
        .map_err(|reason| anyhow!("{reference} is not written, since it would not run here: {reason}"))?;
    let file = match output {
        Some(file) => file.clone(),
        None => place(&config.plugin_dir(), &package)?,
    };
    let pulled = Pulled {
        pinned: reference.pinned(digest).to_string(),
        manifest: format!("sha256:{digest}"),
        written: put(&file, &bytes)?,
        missing: Admitted::new(package.clone(), &config.plugins).err().map(|refused| refused.reason),
        package,
        file,
        trust,
    };
    let mut out = io::stdout().lock();
    Ok(if *json { writeln!(out, "{:#}", pulled.json()) } else { write!(out, "{pulled}") }?)
}

/// What the operator wrote for deploys from the same registry.
fn who_asks(config: &Config, reference: &Reference) -> Result<Option<Credentials>> {
    let registry = reference.registry();
    let known = config.deploy.registries.get(registry).map(|known| credentials(registry, known));
    let known = known.transpose()?;
    Ok(known.map(|known| Credentials { username: known.username, password: known.password }))
}

/// Its file in the folder: `NAME.wasm`, if that is free or this plugin's, and no other file is this plugin.
fn place(folder: &Path, package: &Package) -> Result<PathBuf> {
    let name = &package.name;
    let file = folder.join(format!("{name}.wasm"));
    let there = holding(folder, name).with_context(|| format!("{} cannot be read", folder.display()))?;
    if let Some(other) = there.iter().find(|other| **other != file) {
        return Err(anyhow!(
            "{} is the plugin {name} already, and {} would be a second file of that name, so neither would run; move the \
             one that is there, or name it with --output",
            other.display(),
            file.display()
        ));
    }
    ensure!(
        !there.is_empty() || file.symlink_metadata().is_err(),
        "{} is there and is not the plugin {name}; move it, or say with --output where this one goes",
        file.display()
    );
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(file)
}

/// Whether it had to be written.
fn put(file: &Path, bytes: &[u8]) -> Result<bool> {
    if file.is_file() && file::read(file, PLUGIN_LIMIT).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    file::replace(file, bytes, For::Everybody).map(|()| true)
}

/// What is told.
struct Pulled {
    package: Package,
    file: PathBuf,
    written: bool,
    pinned: String,
    manifest: String,
    /// Who signed it, where somebody asks.
    trust: Option<String>,
    /// Why it will not run as things are.
    missing: Option<String>,
}

impl Pulled {
    fn json(&self) -> serde_json::Value {
        json!({
            "name": self.package.name.as_str(),
            "version": self.package.manifest.version,
            "file": self.file.to_string_lossy(),
            "written": self.written,
            "reference": self.pinned,
            "manifest": self.manifest,
            "sha256": self.package.digest.to_string(),
            "trust": self.trust,
            "missing": self.missing,
        })
    }
}

impl std::fmt::Display for Pulled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Package { name, manifest, digest, .. } = &self.package;
        let how = if self.written { "is in" } else { "was already in" };
        writeln!(f, "{name} {} {how} {}", manifest.version, self.file.display())?;
        writeln!(f, "  pinned    {}", self.pinned)?;
        writeln!(f, "  manifest  {}", self.manifest)?;
        writeln!(f, "  file      sha256:{digest}")?;
        if let Some(trust) = &self.trust {
            writeln!(f, "  trust     {trust}")?;
        }
        match &self.missing {
            Some(reason) => writeln!(f, "It does not run yet: {reason}"),
            None => Ok(()),
        }
    }
}
