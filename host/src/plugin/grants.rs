//! Asked before anything acts: what a plugin imports and requests, against what the operator gives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cardcage_manifest::{Manifest, Origin};
use cardcage_signature::KeyId;

use super::package::{Package, Role};
use crate::capability::deploys::DeployGrants;
use crate::capability::{artifacts, containers, files, http, native, processes};
use crate::config;

/// Given to every plugin: a temperature is what boards are asked for, and nobody is harmed by reading one.
const GIVEN_TO_ALL: [&str; 2] = ["/sys/class/hwmon", "/sys/class/thermal"];

/// The capabilities of this agent, without their versions. The runtime checks versions and shapes when it links.
const FOR_ALL: [&str; 6] = [
    "cardcage:types/errors",
    "cardcage:types/readings",
    "cardcage:types/deployment",
    "cardcage:host/kernel",
    "cardcage:host/files",
    "cardcage:host/log",
];

/// Those of deploy backends.
const FOR_BACKENDS: [&str; 4] =
    ["cardcage:host/artifacts", "cardcage:host/containers", "cardcage:host/processes", "cardcage:host/state"];

/// What backends do not have: a deploy fetches through its own capability. The types of wasi:http come with it.
const FOR_OTHERS: [&str; 2] = ["wasi:http/outgoing-handler", "wasi:http/types"];

/// That of tasks.
const PROGRESS: &str = "cardcage:task/progress";

const NATIVE: &str = "cardcage:host/native";

/// Longest list of functions that a refusal asks for by name.
const SPELLED_OUT: usize = 32;

/// What one plugin may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    pub files: files::Grant,
    pub native: native::Grant,
    pub http: http::Grant,
    pub deploys: DeployGrants,
}

/// Why a plugin may not run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    #[error("imports {0}, which this agent does not have; a newer one may")]
    Unknown(String),
    #[error(
        "imports cardcage:host/files but is granted no file: \
         give it what it requests with [plugins.grants.{name}] files = {requested:?}"
    )]
    Files { name: String, requested: Vec<PathBuf> },
    #[error("imports cardcage:host/native but is granted no function: give it what it requests with {0}")]
    Native(String),
    #[error(
        "imports cardcage:host/native, but its manifest requests no function of a library under [requests.native]"
    )]
    NativeNotRequested,
    #[error("what it is granted of native libraries is too much: {0}")]
    NativeLimit(cardcage_native::Error),
    #[error(
        "imports wasi:http/outgoing-handler but is granted no host: \
         give it where it may send requests with [plugins.grants.{name}] http = {}",
        said(requested)
    )]
    Http { name: String, requested: Vec<Origin> },
    #[error("imports cardcage:host/{capability}, which is not granted: give it with {key}")]
    Deploys { capability: &'static str, key: String },
    #[error("imports {0}, which only deploy backends have")]
    OnlyForBackends(String),
    #[error("imports {0}, which only probes have")]
    OnlyForProbes(String),
    #[error("imports {0}, which deploy backends do not have")]
    NotForBackends(String),
    #[error("imports {0}, which only tasks have")]
    OnlyForTasks(String),
    #[error("the grant is for the file with SHA-256 {pinned}, this one has {found}")]
    Pinned { pinned: String, found: String },
    #[error("the grant is for what {signer} signed, and this file is not: {reason}")]
    Signer { signer: KeyId, reason: String },
}

/// Whether it is the file that the grant is for, where that says.
pub(super) fn pinned(package: &Package, given: Option<&config::Grant>) -> Result<(), NotGranted> {
    let found = package.digest.to_string();
    match given.and_then(|grant| grant.sha256.as_ref()) {
        Some(pinned) if !pinned.eq_ignore_ascii_case(&found) => {
            return Err(NotGranted::Pinned { pinned: pinned.clone(), found });
        }
        _ => {}
    }
    if let Some(signer) = given.and_then(|grant| grant.signer) {
        let reason = match &package.signed {
            Ok(keys) if keys.contains(&signer) => None,
            Ok(_) => Some("others signed it".to_owned()),
            Err(reason) => Some(reason.clone()),
        };
        if let Some(reason) = reason {
            return Err(NotGranted::Signer { signer: signer.id(), reason });
        }
    }
    Ok(())
}

impl Grants {
    /// What this plugin gets, or what is missing.
    pub fn new(package: &Package, given: Option<&config::Grant>) -> Result<Self, NotGranted> {
        pinned(package, given)?;
        let mut given = given.cloned().unwrap_or_default();
        // A built-in plugin comes with the agent, and so does the grant of what it requests. What the operator says of a
        // deploy backend bounds it.
        if package.built_in() {
            given.files.extend(package.manifest.requests.files.iter().cloned());
            given.native.extend(package.manifest.requests.native.clone());
            if matches!(package.role, Role::Backend { .. }) {
                given.artifacts.get_or_insert_with(|| vec!["*".to_owned()]);
                given.containers.get_or_insert_default();
                given.processes.get_or_insert_default();
            }
        }
        decide(&package.imports, &package.manifest, &package.role, given)
    }
}

fn decide(
    imports: &[String],
    manifest: &Manifest,
    role: &Role,
    given: config::Grant,
) -> Result<Grants, NotGranted> {
    if let Some(unknown) = imports.iter().find(|import| !known(import)) {
        return Err(NotGranted::Unknown(unknown.clone()));
    }
    let of_backends = imports.iter().find(|import| FOR_BACKENDS.contains(&interface(import)));
    let is_backend = matches!(role, Role::Backend { .. });
    if let Some(import) = of_backends.filter(|_| !is_backend) {
        return Err(NotGranted::OnlyForBackends(import.clone()));
    }
    let of_others = imports.iter().find(|import| FOR_OTHERS.contains(&interface(import)));
    if let Some(import) = of_others.filter(|_| is_backend) {
        return Err(NotGranted::NotForBackends(import.clone()));
    }
    let named = |name: &str| imports.iter().find(|import| interface(import) == name);
    if let Some(import) = named(NATIVE).filter(|_| *role != Role::Probe) {
        return Err(NotGranted::OnlyForProbes(import.clone()));
    }
    if let Some(import) = named(PROGRESS).filter(|_| *role != Role::Task) {
        return Err(NotGranted::OnlyForTasks(import.clone()));
    }
    let imports = |name: &str| imports.iter().any(|import| interface(import) == name);
    let readable: Vec<PathBuf> = GIVEN_TO_ALL.iter().map(PathBuf::from).chain(given.files).collect();
    let files = files::Grant::new(&manifest.requests.files, &readable);
    if imports("cardcage:host/files") && files.is_empty() {
        let requested = manifest.requests.files.clone();
        return Err(NotGranted::Files { name: manifest.name.clone(), requested });
    }
    let native = native::Grant::new(&manifest.requests.native, &given.native);
    let native = native.map_err(NotGranted::NativeLimit)?;
    if imports(NATIVE) && native.is_empty() {
        return Err(match manifest.requests.native.is_empty() {
            true => NotGranted::NativeNotRequested,
            false => NotGranted::Native(native_grant(&manifest.name, &manifest.requests.native)),
        });
    }
    let trust = http::Trust { ca: given.http_ca, pins: given.http_pin.iter().map(|pin| pin.0).collect() };
    let http = http::Grant::new(manifest.requests.http.clone(), given.http, trust);
    if imports("wasi:http/outgoing-handler") && http.is_empty() {
        let requested = manifest.requests.http.clone();
        return Err(NotGranted::Http { name: manifest.name.clone(), requested });
    }
    let deploys = DeployGrants {
        artifacts: artifacts::Grant::new(given.artifacts.unwrap_or_default()),
        containers: containers::Grant::new(given.containers),
        processes: processes::Grant::new(given.processes),
    };
    let table = format!("[plugins.grants.{}", manifest.name);
    let needed = [
        ("artifacts", deploys.artifacts.is_empty(), format!("{table}] artifacts = [\"HOST\"]")),
        ("containers", !deploys.containers.is_given(), format!("{table}.containers]")),
        ("processes", !deploys.processes.is_given(), format!("{table}.processes]")),
    ];
    for (capability, missing, key) in needed {
        if missing && imports(&format!("cardcage:host/{capability}")) {
            return Err(NotGranted::Deploys { capability, key });
        }
    }
    Ok(Grants { files, native, http, deploys })
}

/// What an operator writes to grant what is requested.
fn native_grant(name: &str, requested: &BTreeMap<String, Vec<String>>) -> String {
    let symbols = requested.values().map(Vec::len).sum::<usize>();
    let of_library = |(library, symbols_of): (&String, &Vec<String>)| match symbols > SPELLED_OUT {
        true => format!("{library:?} = [\"*\"]"),
        false => format!("{library:?} = {symbols_of:?}"),
    };
    let libraries: Vec<String> = requested.iter().map(of_library).collect();
    format!("[plugins.grants.{name}] native = {{ {} }}", libraries.join(", "))
}

/// Where a manifest says "anywhere", the operator says where.
fn said(requested: &[Origin]) -> String {
    let said =
        |origin: &Origin| if origin.host == "*" { "https://HOST".to_owned() } else { origin.to_string() };
    match requested.is_empty() {
        true => "[\"HOST\"]; its manifest has to request it too, with requests.http".to_owned(),
        false => format!("{:?}", requested.iter().map(said).collect::<Vec<_>>()),
    }
}

/// `cardcage:host/files` of `cardcage:host/files@0.1.0`.
fn interface(import: &str) -> &str {
    import.split_once('@').map_or(import, |(interface, _)| interface)
}

/// Every std guest imports base WASI; it is linked over an empty context, with no file, no network, no environment.
fn known(import: &str) -> bool {
    let interface = interface(import);
    FOR_ALL.contains(&interface)
        || FOR_BACKENDS.contains(&interface)
        || FOR_OTHERS.contains(&interface)
        || [NATIVE, PROGRESS].contains(&interface)
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
        let given =
            config::Grant { files: given.iter().map(PathBuf::from).collect(), ..config::Grant::default() };
        decide(&imports, &Manifest::parse(&manifest).unwrap(), &Role::Probe, given)
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
        let unknown = "cardcage:host/teleport@0.1.0";
        assert_eq!(granted(&[unknown], "[]", &[]), Err(NotGranted::Unknown(unknown.into())));
        assert!(matches!(
            granted(&["wasi:http/incoming-handler@0.2.0"], "[]", &[]),
            Err(NotGranted::Unknown(_))
        ));
        assert!(granted(&["wasi:cli/environment@0.2.9", "cardcage:host/kernel@0.1.0"], "[]", &[]).is_ok());
    }

    #[test]
    fn what_backends_have_is_granted_to_backends_alone() {
        let asked = |role: &Role, given: config::Grant| {
            let manifest = Manifest::parse("name = \"floppy\"\nversion = \"1\"").unwrap();
            let imports =
                ["cardcage:host/containers@0.1.0".to_owned(), "cardcage:host/state@0.1.0".to_owned()];
            decide(&imports, &manifest, role, given)
        };
        let backend = Role::Backend { kind: "floppy".into() };
        let granted =
            config::Grant { containers: Some(config::Containers::default()), ..config::Grant::default() };
        assert!(matches!(asked(&Role::Probe, granted.clone()), Err(NotGranted::OnlyForBackends(_))));
        assert!(asked(&backend, granted).is_ok());
        let refusal = asked(&backend, config::Grant::default()).unwrap_err().to_string();
        assert!(refusal.ends_with("[plugins.grants.floppy.containers]"), "{refusal}");
    }

    #[test]
    fn requests_over_http_are_granted_to_probes_that_say_where_to() {
        let decide = |role: &Role, requests: &str, given: &[&str]| {
            let manifest = format!("name = \"bmc\"\nversion = \"1\"\n[requests]\nhttp = {requests}");
            let imports = ["wasi:http/types@0.2.4".to_owned(), "wasi:http/outgoing-handler@0.2.4".to_owned()];
            let http = given.iter().map(|text| Origin::parse(text).unwrap()).collect();
            let given = config::Grant { http, ..config::Grant::default() };
            decide(&imports, &Manifest::parse(&manifest).unwrap(), role, given)
        };
        assert!(decide(&Role::Probe, "[\"*\"]", &["https://10.0.0.5"]).is_ok());
        let refusal = |requests, given| decide(&Role::Probe, requests, given).unwrap_err().to_string();
        let words = "[plugins.grants.bmc] http = [\"https://HOST\", \"bmc.local:8443\"]";
        let refused = refusal("[\"*\", \"bmc.local:8443\"]", &[]);
        assert!(refused.ends_with(words), "{refused}");
        assert!(refusal("[]", &["*"]).ends_with("requests.http"));
        let backend = Role::Backend { kind: "floppy".into() };
        let refused = decide(&backend, "[\"*\"]", &["*"]);
        assert!(matches!(refused, Err(NotGranted::NotForBackends(_))), "{refused:?}");
    }

    #[test]
    fn functions_of_libraries_are_granted_to_probes_that_request_them() {
        let asked = |requested: &str, given: &str, role: &Role| {
            let manifest = format!("name = \"psu\"\nversion = \"1\"\n[requests.native]\n{requested}");
            let given = toml::from_str(&format!("[native]\n{given}")).unwrap();
            decide(
                &["cardcage:host/native@0.1.0".to_owned()],
                &Manifest::parse(&manifest).unwrap(),
                role,
                given,
            )
        };
        let probe = &Role::Probe;
        let granted = asked("\"liba.so\" = [\"f\", \"g\"]", "\"liba.so\" = [\"*\"]", probe).unwrap();
        assert!(granted.native.inner().symbol("liba.so", "g").is_ok());
        let words = "give it what it requests with [plugins.grants.psu] native = { \"liba.so\" = [\"f\"] }";
        for given in ["", "\"liba.so\" = [\"g\"]", "\"/opt/liba.so\" = [\"*\"]"] {
            let refusal = asked("\"liba.so\" = [\"f\"]", given, probe).unwrap_err().to_string();
            assert!(refusal.ends_with(words), "{refusal}");
        }
        let many: Vec<String> = (0..40).map(|number| format!("f{number}")).collect();
        let refusal = asked(&format!("\"liba.so\" = {many:?}"), "", probe).unwrap_err().to_string();
        assert!(refusal.ends_with("native = { \"liba.so\" = [\"*\"] }"), "{refusal}");
        assert_eq!(asked("", "\"liba.so\" = [\"*\"]", probe), Err(NotGranted::NativeNotRequested));
        let backend = Role::Backend { kind: "floppy".into() };
        let refusal = asked("\"liba.so\" = [\"f\"]", "\"liba.so\" = [\"*\"]", &backend);
        assert!(matches!(refusal, Err(NotGranted::OnlyForProbes(_))));
    }

    #[test]
    fn progress_is_for_tasks_which_may_send_requests_and_deploy_nothing() {
        let asked = |role: &Role, import: &str| {
            let manifest = "name = \"burn\"\nversion = \"1\"\n[requests]\nhttp = [\"*\"]";
            let http = vec![Origin::parse("https://10.0.0.5").unwrap()];
            let given = config::Grant { http, ..config::Grant::default() };
            decide(&[import.to_owned()], &Manifest::parse(manifest).unwrap(), role, given)
        };
        let progress = "cardcage:task/progress@0.1.0";
        assert!(asked(&Role::Task, progress).is_ok());
        assert!(matches!(asked(&Role::Probe, progress), Err(NotGranted::OnlyForTasks(_))));
        assert!(asked(&Role::Task, "wasi:http/outgoing-handler@0.2.4").is_ok());
        let denied = asked(&Role::Task, "cardcage:host/containers@0.1.0");
        assert!(matches!(denied, Err(NotGranted::OnlyForBackends(_))));
        let denied = asked(&Role::Task, "cardcage:host/native@0.1.0");
        assert!(matches!(denied, Err(NotGranted::OnlyForProbes(_))));
    }

    #[test]
    fn the_refusal_says_what_to_write() {
        let refusal = granted(&[FILES], r#"["/sys/class/drm"]"#, &[]).unwrap_err().to_string();
        assert!(refusal.contains(r#"[plugins.grants.psu] files = ["/sys/class/drm"]"#), "{refusal}");
    }
}
