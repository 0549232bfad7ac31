//! `plugin list`: asks the running agent, which alone knows how its plugins are.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::config::{Config, Service};
use crate::plugin::{self, Admitted, BUILT_IN};
use crate::protocol::plugins::PluginEntry;

/// How long the agent may take to answer.
const DEADLINE: Duration = Duration::from_secs(3);
/// Longest answer.
const LIMIT: u64 = 4 << 20;

/// Prints the plugins.
pub(super) fn list(config: &Config, json: bool) -> Result<()> {
    let plugins = match ask(&config.service) {
        Ok(plugins) => plugins,
        Err(error) => {
            let reason = crate::error::chain(error.as_ref());
            let _ = writeln!(std::io::stderr(), "No agent answers ({reason}); this is what it would load:");
            would_load(config)
        }
    };
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&plugins)?)?,
        false => writeln!(out, "{}", table(&plugins))?,
    }
    Ok(())
}

fn ask(service: &Service) -> Result<Vec<PluginEntry>> {
    let listen = service.listen;
    let host = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    let address = SocketAddr::new(host, listen.port());
    ensure!(
        service.tls_cert.is_none(),
        "its service speaks TLS, which this command does not; ask it with curl --cacert CA https://{address}/plugins"
    );
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).with_context(|| address.to_string())?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    write!(stream, "GET /plugins HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LIMIT).read_to_end(&mut answer).context("its answer")?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("its answer is not HTTP")?;
    ensure!(head.starts_with("HTTP/1") && head.contains(" 200 "), "it answers {:?}", head.lines().next());
    serde_json::from_str(body).context("its answer is not a list of plugins")
}

/// What is known without running anything.
fn would_load(config: &Config) -> Vec<PluginEntry> {
    let found = plugin::find(BUILT_IN, &config.plugin_dir(), &config.plugins.keys());
    let admitted =
        found.into_iter().map(|found| found.and_then(|package| Admitted::new(package, &config.plugins)));
    let entry = |plugin: Result<Admitted, plugin::Refused>| match plugin {
        Ok(plugin) => {
            let package = plugin.package();
            let version = package.manifest.version.clone();
            let imports = package.imports.clone();
            PluginEntry {
                kind: Some(package.role.as_str().to_owned()),
                imports,
                vendor: package.manifest.vendor.clone(),
                trust: plugin.trust().map(str::to_owned),
                asked: plugin.asked(),
                given: plugin.given(),
                ..unstarted(&package.name, version, package.digest, package.built_in(), None)
            }
        }
        Err(refused) => {
            unstarted(&refused.name, refused.version, refused.digest, refused.built_in, Some(refused.reason))
        }
    };
    admitted.map(entry).collect()
}

fn unstarted(
    name: &crate::model::PluginName,
    version: String,
    digest: crate::model::Digest,
    built_in: bool,
    refusal: Option<String>,
) -> PluginEntry {
    PluginEntry {
        name: name.to_string(),
        version,
        digest: digest.to_string(),
        built_in,
        state: if refusal.is_some() { "refused" } else { "not running" }.into(),
        reason: refusal,
        kind: None,
        support: None,
        note: None,
        vendor: None,
        trust: None,
        imports: Vec::new(),
        samples: 0,
        failures: 0,
        restarts: 0,
        last_sample_ms: None,
        longest_sample_ms: None,
        cpu_ms: 0.0,
        host_calls: 0,
        memory: None,
        readings: None,
        last_error: None,
        asked: Vec::new(),
        given: Vec::new(),
        faults: Vec::new(),
        replacement: None,
    }
}

fn unknown() -> String {
    "-".to_owned()
}

fn per_sample(total: f64, samples: u64) -> Option<f64> {
    (samples > 0).then(|| total / calls(samples))
}

#[expect(clippy::cast_precision_loss, reason = "2^53 calls are not reached")]
fn calls(calls: u64) -> f64 {
    calls as f64
}

/// What an operator has to know about it, in a line.
fn why(plugin: &PluginEntry) -> String {
    let own = plugin.reason.clone().or_else(|| plugin.faults.first().cloned());
    let next = plugin.replacement.as_ref().map(|next| {
        let reason = next.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let version = if next.version.is_empty() { String::new() } else { format!(" {}", next.version) };
        format!("the file's new content{version} is {}{reason}", next.state)
    });
    // What runs, and then what does not: a signature must not seem to be that of a file that is refused.
    own.into_iter()
        .chain(plugin.note.clone())
        .chain(plugin.trust.clone())
        .chain(next)
        .collect::<Vec<_>>()
        .join("; ")
}

fn table(plugins: &[PluginEntry]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "NAME", "VERSION", "KIND", "FROM", "STATE", "SUPPORT", "READINGS", "SAMPLES", "FAILURES", "LAST",
        "CPU", "CALLS", "MEMORY", "IMPORTS", "WHY",
    ]);
    for plugin in plugins {
        let own = |import: &&String| import.starts_with("cardcage:host/");
        let imports = plugin.imports.iter().filter(own).map(|import| {
            let name = import.trim_start_matches("cardcage:host/");
            name.split('@').next().unwrap_or(name)
        });
        table.add_row([
            plugin.name.clone(),
            plugin.version.clone(),
            plugin.kind.clone().unwrap_or_else(unknown),
            if plugin.built_in { "built-in" } else { "folder" }.to_owned(),
            plugin.state.clone(),
            plugin.support.clone().unwrap_or_else(unknown),
            plugin.readings.map_or_else(unknown, |readings| readings.to_string()),
            plugin.samples.to_string(),
            plugin.failures.to_string(),
            plugin.last_sample_ms.map_or_else(unknown, |ms| format!("{ms:.2} ms")),
            // Of one sample, on average: what it costs to have this plugin.
            per_sample(plugin.cpu_ms, plugin.samples).map_or_else(unknown, |ms| format!("{ms:.2} ms")),
            per_sample(calls(plugin.host_calls), plugin.samples)
                .map_or_else(unknown, |calls| format!("{calls:.0}")),
            plugin.memory.map_or_else(unknown, |bytes| format!("{} KiB", bytes >> 10)),
            imports.collect::<Vec<_>>().join(" "),
            why(plugin),
        ]);
    }
    table
}
