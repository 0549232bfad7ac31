//! `cardcage-agent plugin keygen | sign | verify`: who vouches for a plugin.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use cardcage_compile::PLUGIN_LIMIT;
use cardcage_manifest::Plugin;
use cardcage_signature::{Encoding, PublicKey, SecretKey, VerifyError, sign, signers, verify};
use clap::Args;

use super::file::{For, read, replace};
use super::plugin::ConfigFile;

/// Longest key file, in bytes.
const KEY_LIMIT: u64 = 16 << 10;

/// What `plugin keygen` takes.
#[derive(Debug, Args)]
pub struct KeygenArguments {
    /// Where the secret key goes, as PEM. Keep it where no board is.
    #[arg(short, long, value_name = "FILE", default_value = "plugin-key.pem")]
    output: PathBuf,
}

/// What `plugin sign` takes.
#[derive(Debug, Args)]
pub struct SignArguments {
    /// The plugin, packed: a signature covers its manifest too.
    plugin: PathBuf,
    /// The secret key, as `plugin keygen` or `openssl genpkey -algorithm ed25519` makes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the signed plugin goes; default: in place of the plugin.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What `plugin verify` takes.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The plugin.
    plugin: PathBuf,
    /// A public key, as `ed25519:…` or a PEM file; may be repeated. Default: those of `[plugins] trust`.
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    #[command(flatten)]
    config: ConfigFile,
}

pub fn keygen(arguments: &KeygenArguments) -> Result<()> {
    let KeygenArguments { output } = arguments;
    let key = SecretKey::generate()?;
    // Never over another key: what it signed could not be signed again.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(output);
    let mut file = file.with_context(|| format!("{} cannot be made", output.display()))?;
    file.write_all(key.to_pem().as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("{} cannot be written", output.display()))?;
    let mut out = io::stdout().lock();
    writeln!(out, "The secret key is in {}; whoever has it can sign.", output.display())?;
    writeln!(out, "Agents that are to trust it name the public one in agent.toml:")?;
    writeln!(out, "\n[plugins]\ntrust = [\"{}\"]", key.public())?;
    Ok(())
}

pub fn sign_file(arguments: &SignArguments) -> Result<()> {
    let SignArguments { plugin, key, output } = arguments;
    let bytes = read(plugin, PLUGIN_LIMIT)?;
    Plugin::read(&bytes).with_context(|| format!("{} is no plugin", plugin.display()))?;
    let key = SecretKey::read(&read(key, KEY_LIMIT)?).with_context(|| key.display().to_string())?;
    let signed = sign(&bytes, &key).with_context(|| format!("{} cannot be signed", plugin.display()))?;
    ensure!(
        signed.len() as u64 <= PLUGIN_LIMIT,
        "{} would have more than {PLUGIN_LIMIT} bytes with the signature, and no agent would take it",
        plugin.display()
    );
    let output = output.as_deref().unwrap_or(plugin);
    replace(output, &signed, For::Everybody)?;
    Ok(writeln!(io::stdout(), "{} is signed by {}", output.display(), key.public())?)
}

pub fn verify_file(arguments: &VerifyArguments) -> Result<()> {
    let VerifyArguments { plugin, key, config } = arguments;
    let (trusted, whence) = match key.as_slice() {
        [] => (config.load()?.plugins.trust.iter().map(|trusted| trusted.key).collect(), "[plugins] trust"),
        keys => (keys.iter().map(|key| public(key)).collect::<Result<Vec<_>>>()?, "--key"),
    };
    ensure!(
        !trusted.is_empty(),
        "no key to verify with: name one with --key, or in [plugins] trust of --config"
    );
    let bytes = read(plugin, PLUGIN_LIMIT)?;
    let manifest =
        Plugin::read(&bytes).with_context(|| format!("{} is no plugin", plugin.display()))?.manifest;
    match verify(&bytes, Encoding::Component, &trusted) {
        Ok(keys) => {
            for key in keys {
                writeln!(io::stdout(), "{} {} is signed by {key}", manifest.name, manifest.version)?;
            }
            Ok(())
        }
        Err(VerifyError::NoTrustedKey { .. }) => {
            let ids: Vec<_> = signers(&bytes)?.iter().map(ToString::to_string).collect();
            bail!(
                "{} is signed by none of the keys of {whence}; it says that {} did",
                plugin.display(),
                ids.join(", ")
            )
        }
        Err(error) => Err(error).with_context(|| plugin.display().to_string()),
    }
}

fn public(key: &str) -> Result<PublicKey> {
    if key.starts_with("ed25519:") {
        return key.parse().with_context(|| key.to_owned());
    }
    PublicKey::read(&read(Path::new(key), KEY_LIMIT)?).with_context(|| key.to_owned())
}
