//! `cardcage-agent plugin keygen | sign | verify`: who vouches for a plugin.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use cardcage_compile::PLUGIN_LIMIT;
use cardcage_manifest::{Manifest, Plugin};
use cardcage_signature::{Encoding, PublicKey, SecretKey, VerifyError, sign, signers, verify};
use clap::Args;

use super::file::{For, is_same, read, replace};
use super::plugin::ConfigFile;
use crate::config::{Plugins, Policy, Trusted};
use crate::plugin::{Admitted, Package, Source};

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
    /// A public key, as `ed25519:…` or a PEM file; may be repeated. Default: those of `[plugins] trust`, for what they are
    /// good for.
    #[arg(long, value_name = "KEY", conflicts_with = "config")]
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
    let key = key.public();
    // The id goes with it, because that is what the log and the list show.
    writeln!(out, "\n[plugins]\ntrust = [\"{key}\"] # id {}", key.id())?;
    Ok(())
}

pub fn sign_file(arguments: &SignArguments) -> Result<()> {
    let SignArguments { plugin, key, output } = arguments;
    let output = output.as_deref().unwrap_or(plugin);
    // A key that is lost cannot be made again.
    ensure!(
        !is_same(output, key),
        "{} is the secret key, which would be lost: name another file with --output",
        output.display()
    );
    let bytes = read(plugin, PLUGIN_LIMIT)?;
    Plugin::read(&bytes).with_context(|| format!("{} is no plugin", plugin.display()))?;
    let key = SecretKey::read(&read(key, KEY_LIMIT)?).with_context(|| key.display().to_string())?;
    let signed = sign(&bytes, &key).with_context(|| format!("{} cannot be signed", plugin.display()))?;
    ensure!(
        signed.len() as u64 <= PLUGIN_LIMIT,
        "{} would have more than {PLUGIN_LIMIT} bytes with the signature, and no agent would take it",
        plugin.display()
    );
    replace(output, &signed, For::Everybody)?;
    Ok(writeln!(io::stdout(), "{} is signed by {}", output.display(), named(&key.public()))?)
}

/// A key with the id that messages call it by.
fn named(key: &PublicKey) -> String {
    format!("{key} ({})", key.id())
}

pub fn verify_file(arguments: &VerifyArguments) -> Result<()> {
    let VerifyArguments { plugin, key, config } = arguments;
    match key.as_slice() {
        [] => verify_as_agent(plugin, config.load()?.plugins),
        keys => verify_by(plugin, &keys.iter().map(|key| public(key)).collect::<Result<Vec<_>>>()?),
    }
}

/// Asks what the agent asks before it runs the file.
fn verify_as_agent(plugin: &Path, mut plugins: Plugins) -> Result<()> {
    ensure!(
        !plugins.trust.is_empty(),
        "no key to verify with: name one with --key, or in [plugins] trust of --config"
    );
    // Whoever verifies wants an answer, also where the agent would only warn.
    plugins.policy = Some(Policy::Require);
    let bytes = read(plugin, PLUGIN_LIMIT)?;
    let package = Package::of(&bytes, Source::file(plugin.to_owned()), &plugins.keys())
        .with_context(|| format!("{} is no plugin", plugin.display()))?;
    Admitted::vouched(&package, &plugins)
        .map_err(|reason| anyhow!("{} is not trusted here: {reason}", plugin.display()))?;
    let signed = package.signed.as_deref().unwrap_or_default();
    let counts = |trusted: &&Trusted| {
        signed.contains(&trusted.key) && trusted.covers(package.name.as_str(), &package.imports).is_ok()
    };
    for Trusted { key, name, .. } in plugins.trust.iter().filter(counts) {
        let whose = name.as_ref().map(|name| format!("{name}, ")).unwrap_or_default();
        say(&package.manifest, &format!("{whose}{}", named(key)))?;
    }
    Ok(())
}

fn verify_by(plugin: &Path, keys: &[PublicKey]) -> Result<()> {
    let bytes = read(plugin, PLUGIN_LIMIT)?;
    let manifest =
        Plugin::read(&bytes).with_context(|| format!("{} is no plugin", plugin.display()))?.manifest;
    match verify(&bytes, Encoding::Component, keys) {
        Ok(keys) => keys.iter().try_for_each(|key| say(&manifest, &named(key))),
        Err(VerifyError::NoTrustedKey { .. }) => {
            let ids: Vec<_> = signers(&bytes)?.iter().map(ToString::to_string).collect();
            bail!(
                "{} is signed by none of the keys of --key; it says that {} did",
                plugin.display(),
                ids.join(", ")
            )
        }
        Err(error) => Err(error).with_context(|| plugin.display().to_string()),
    }
}

fn say(plugin: &Manifest, signer: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{} {} is signed by {signer}", plugin.name, plugin.version)?)
}

fn public(key: &str) -> Result<PublicKey> {
    if key.starts_with("ed25519:") {
        return key.parse().with_context(|| key.to_owned());
    }
    PublicKey::read(&read(Path::new(key), KEY_LIMIT)?).with_context(|| key.to_owned())
}
