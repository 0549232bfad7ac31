//! Asked before anything acts: what a plugin imports and requests, against what the operator gives.

use std::path::PathBuf;

use cardcage_manifest::Manifest;

use super::package::Package;
use crate::capability::files;
use crate::config;

/// Given to every plugin: a temperature is what boards are asked for, and nobody is harmed by reading one.
const GIVEN_TO_ALL: [&str; 2] = ["/sys/class/hwmon", "/sys/class/thermal"];

/// The capabilities of this agent, without their versions. The runtime checks versions and shapes when it links.
const INTERFACES: [&str; 5] = [
    "cardcage:types/errors",
    "cardcage:types/readings",
    "cardcage:host/kernel",
    "cardcage:host/files",
    "cardcage:host/log",
];

/// What one plugin may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    pub files: files::Grant,
}

/// Why a plugin may not run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    #[error("imports {0}, which this agent does not have")]
    Unknown(String),
    #[error(
        "imports cardcage:host/files but is granted no file: \
         give it what it requests with [plugins.grants.{name}] files = {requested:?}"
    )]
    Files { name: String, requested: Vec<PathBuf> },
    #[error("the grant is for the file with SHA-256 {pinned}, this one has {found}")]
    Pinned { pinned: String, found: String },
}

impl Grants {
    /// What this plugin gets, or what is missing.
    pub fn new(package: &Package, given: Option<&config::Grant>) -> Result<Self, NotGranted> {
        let found = package.digest.to_string();
        match given.and_then(|grant| grant.sha256.as_ref()) {
            Some(pinned) if !pinned.eq_ignore_ascii_case(&found) => {
                return Err(NotGranted::Pinned { pinned: pinned.clone(), found });
            }
            _ => {}
        }
        // A built-in plugin comes with the agent, and so does the grant of what it requests.
        let with_agent = if package.built_in() { package.manifest.requests.files.as_slice() } else { &[] };
        decide(&package.imports, &package.manifest, given.map_or(&[], |grant| &grant.files), with_agent)
    }
}

fn decide(
    imports: &[String],
    manifest: &Manifest,
    given: &[PathBuf],
    with_agent: &[PathBuf],
) -> Result<Grants, NotGranted> {
    if let Some(unknown) = imports.iter().find(|import| !known(import)) {
        return Err(NotGranted::Unknown(unknown.clone()));
    }
    let given: Vec<PathBuf> =
        GIVEN_TO_ALL.iter().map(PathBuf::from).chain(given.iter().chain(with_agent).cloned()).collect();
    let files = files::Grant::new(&manifest.requests.files, &given);
    let imports_files = imports.iter().any(|import| interface(import) == "cardcage:host/files");
    if imports_files && files.is_empty() {
        let requested = manifest.requests.files.clone();
        return Err(NotGranted::Files { name: manifest.name.clone(), requested });
    }
    Ok(Grants { files })
}

/// `cardcage:host/files` of `cardcage:host/files@0.1.0`.
fn interface(import: &str) -> &str {
    import.split_once('@').map_or(import, |(interface, _)| interface)
}

/// Every std guest imports base WASI; it is linked over an empty context, with no file, no network, no environment.
fn known(import: &str) -> bool {
    let interface = interface(import);
    INTERFACES.contains(&interface)
        || ["wasi:cli/", "wasi:io/", "wasi:clocks/", "wasi:random/", "wasi:filesystem/", "wasi:sockets/"]
            .iter()
            .any(|package| interface.starts_with(package))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(imports: &[&str], requests: &str, given: &[&str]) -> Result<Grants, NotGranted> {
        let manifest = format!("name = \"psu\"\nversion = \"1\"\n[requests]\nfiles = {requests}");
        let imports: Vec<_> = imports.iter().map(|import| (*import).to_owned()).collect();
        let given: Vec<_> = given.iter().map(PathBuf::from).collect();
        decide(&imports, &Manifest::parse(&manifest).unwrap(), &given, &[])
    }

    const FILES: &str = "cardcage:host/files@0.1.0";

    #[test]
    fn the_sensors_are_given_to_all_who_request_them() {
        assert!(granted(&[FILES], r#"["/sys/class/hwmon"]"#, &[]).is_ok());
        assert!(matches!(granted(&[FILES], r#"["/sys/class/drm"]"#, &[]), Err(NotGranted::Files { .. })));
        assert!(granted(&[FILES], r#"["/sys/class/drm"]"#, &["/sys/class/drm"]).is_ok());
    }

    #[test]
    fn requesting_nothing_gives_nothing() {
        assert!(matches!(granted(&[FILES], "[]", &["/sys"]), Err(NotGranted::Files { .. })));
    }

    #[test]
    fn what_the_agent_does_not_have_is_named() {
        let unknown = "cardcage:host/containers@0.1.0";
        assert_eq!(granted(&[unknown], "[]", &[]), Err(NotGranted::Unknown(unknown.into())));
        assert!(matches!(
            granted(&["wasi:http/outgoing-handler@0.2.0"], "[]", &[]),
            Err(NotGranted::Unknown(_))
        ));
        assert!(granted(&["wasi:cli/environment@0.2.9", "cardcage:host/kernel@0.1.0"], "[]", &[]).is_ok());
    }

    #[test]
    fn the_refusal_says_what_to_write() {
        let refusal = granted(&[FILES], r#"["/sys/class/drm"]"#, &[]).unwrap_err().to_string();
        assert!(refusal.contains(r#"[plugins.grants.psu] files = ["/sys/class/drm"]"#), "{refusal}");
    }
}
