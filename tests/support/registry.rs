//! A container registry, a real one, and what other clients push into it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::namespace::skip;
use crate::packages::sha256;
use crate::patience::until;
use crate::process::Process;

/// Who may use a registry that has users, and a password that is the test vector of the hash.
pub const USER: (&str, &str) = ("user", "U*U");
const USERS: &str = "user:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";

/// Who is served.
#[derive(Debug, Clone)]
pub enum Door {
    Open,
    /// [`USER`] alone.
    Users,
    /// Whoever speaks TLS, and trusts this certificate.
    Tls {
        certificate: PathBuf,
        key: PathBuf,
    },
}

/// `docker-registry` on a port of the loopback. Two on one folder have the same content.
#[derive(Debug)]
pub struct Registry {
    pub at: SocketAddrV4,
    images: PathBuf,
    _process: Process,
}

impl Registry {
    /// Starts it; none, where it is not installed.
    #[track_caller]
    pub fn start(test: &str, folder: &Path, name: &str, door: &Door) -> Option<Self> {
        if Command::new("docker-registry").arg("--version").output().is_err() {
            skip(test, "docker-registry");
            return None;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let images = folder.join("images");
        let mut config = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {at}\n",
            images.display()
        );
        match door {
            Door::Open => {}
            Door::Users => {
                let file = folder.join("htpasswd");
                fs::write(&file, USERS).unwrap();
                config += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display());
            }
            Door::Tls { certificate, key } => {
                config += &format!(
                    "  tls:\n    certificate: {}\n    key: {}\n",
                    certificate.display(),
                    key.display()
                );
            }
        }
        let file = folder.join(format!("{name}.yml"));
        fs::write(&file, config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file);
        let process = Process::start(name, command, &folder.join(format!("{name}.log")));
        until("the registry listens", || TcpStream::connect(at).ok());
        Some(Self { at, images, _process: process })
    }

    /// Where it keeps a blob.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let below = self.images.join("docker/registry/v2/blobs/sha256");
        below.join(&digest[..2]).join(digest).join("data")
    }

    /// Pushes a file as `wkg oci push` does, with another client; returns the digest of the manifest. `to` is a name and
    /// a tag.
    #[track_caller]
    pub fn push(&self, folder: &Path, plugin: &[u8], to: &str) -> String {
        let layout = Layout::new(folder);
        let config = json!({
            "created": "2026-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [format!("sha256:{}", sha256(plugin))],
            "component": {"exports": [], "imports": []},
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": layout.put("application/vnd.wasm.config.v0+json", config.to_string().as_bytes()),
            "layers": [layout.put("application/wasm", plugin)],
        });
        let manifest = layout.put(MANIFEST, manifest.to_string().as_bytes());
        layout.finish(&manifest);
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--preserve-digests", "--dest-tls-verify=false"]);
        skopeo.arg(format!("--dest-creds={}:{}", USER.0, USER.1));
        skopeo.arg(format!("oci:{}", folder.display())).arg(format!("docker://{}/{to}", self.at));
        let pushed = skopeo.output().unwrap();
        assert!(pushed.status.success(), "{pushed:?}");
        manifest["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned()
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A folder as the OCI image specification lays it out.
struct Layout<'a>(&'a Path);

impl<'a> Layout<'a> {
    fn new(folder: &'a Path) -> Self {
        fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        Self(folder)
    }

    fn put(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        fs::write(self.0.join("blobs/sha256").join(&digest), bytes).unwrap();
        json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    }

    fn finish(&self, manifest: &Value) {
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        fs::write(self.0.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
        fs::write(self.0.join("index.json"), index.to_string()).unwrap();
    }
}
