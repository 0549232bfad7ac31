//! A component out of a registry.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::PullError;
use super::manifest::{Descriptor, Document, INDEX, MANIFEST, component, is_component};
use super::reference::Reference;
use super::session::{Credentials, Session};
use crate::Digest;
use crate::http::Client;

/// For all of it.
const DEADLINE: Duration = Duration::from_secs(10 * 60);
/// Without a byte.
const IDLE: Duration = Duration::from_secs(30);
/// For a name, and again for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest manifest, in bytes. One of a component has less than two thousand.
const DOCUMENT: u64 = 1 << 20;
/// Most manifests of an index that are looked at.
const MANIFESTS: usize = 16;

/// What is wanted, by whom.
#[derive(Clone, Copy)]
pub struct Pull<'a> {
    /// What.
    pub reference: &'a Reference,
    /// Who asks, if the registry wants to know.
    pub credentials: Option<&'a Credentials>,
    /// Certificates that https trusts beside the system's. PEM.
    pub ca: Option<&'a Path>,
    /// http instead of https, also to where tokens are made. On the loopback the registry is asked which it speaks; there
    /// http is spoken without being asked for, but not with credentials.
    pub plain_http: bool,
    /// Longest component, in bytes.
    pub limit: u64,
}

/// What came. Every byte of it is what the digests say.
pub struct Component {
    /// The component.
    pub bytes: Vec<u8>,
    /// Of what the reference names, a manifest or an index: this digest in a reference always leads to these bytes.
    pub digest: Digest,
}

/// Gets it. Blocks for some minutes at most.
pub fn pull(pull: &Pull<'_>) -> Result<Component, PullError> {
    let &Pull { reference, credentials, ca, plain_http, limit } = pull;
    let client = Client {
        connect: CONNECT,
        idle: IDLE,
        deadline: Instant::now() + DEADLINE,
        ca,
        allowed: &|_, _| true,
        cancelled: &Arc::default(),
    };
    let mut session = Session::open(client, reference, credentials, plain_http)?;
    let (digest, document) = session.document(&reference.wanted(), reference.digest())?;
    let layer = match document {
        Document::Manifest(layers) => session.only(digest, component(&layers).cloned())?,
        Document::Index(manifests) => session.look_through(digest, &manifests)?,
    };
    Ok(Component { bytes: session.blob(&layer, limit)?, digest })
}

impl Session<'_> {
    fn document(&mut self, wanted: &str, expected: Option<Digest>) -> Result<(Digest, Document), PullError> {
        let path = format!("manifests/{wanted}");
        let bytes = self.get(&path, &format!("{MANIFEST}, {INDEX}"), DOCUMENT)?;
        let found = Digest::of(&bytes);
        self.is(&path, found, expected.unwrap_or(found))?;
        Ok((found, self.only(found, Document::read(&bytes))?))
    }

    /// The only manifest of an index that has a component. An index in an index is not looked into.
    fn look_through(&mut self, index: Digest, manifests: &[Descriptor]) -> Result<Descriptor, PullError> {
        let manifests: Vec<_> = manifests.iter().filter(|manifest| manifest.kind == MANIFEST).collect();
        if manifests.len() > MANIFESTS {
            let reason = format!("it is an index of more than {MANIFESTS} manifests; name one by its digest");
            return self.only(index, Err(reason));
        }
        let mut found = Vec::new();
        for manifest in manifests {
            let (digest, document) =
                self.document(&format!("sha256:{}", manifest.digest), Some(manifest.digest))?;
            match document {
                Document::Manifest(layers) if layers.iter().any(is_component) => {
                    found.push(self.only(digest, component(&layers).cloned())?);
                }
                _ => {}
            }
        }
        let reason = match found.len() {
            0 => "it is an index, and no manifest in it has a component".to_owned(),
            several => {
                format!(
                    "it is an index, and {several} manifests in it have components; name one by its digest"
                )
            }
        };
        match (found.pop(), found.is_empty()) {
            (Some(layer), true) => Ok(layer),
            _ => self.only(index, Err(reason)),
        }
    }

    fn blob(&mut self, layer: &Descriptor, limit: u64) -> Result<Vec<u8>, PullError> {
        let path = format!("blobs/sha256:{}", layer.digest);
        let wrong = |session: &Self, reason| {
            Err(PullError::Size { what: session.address(&path).to_string(), reason })
        };
        if layer.size > limit {
            return wrong(self, format!("{} bytes, and a plugin has at most {limit}", layer.size));
        }
        let bytes = self.get(&path, "*/*", layer.size)?;
        if bytes.len() as u64 != layer.size {
            return wrong(self, format!("{} bytes, and the manifest says {}", bytes.len(), layer.size));
        }
        self.is(&path, Digest::of(&bytes), layer.digest)?;
        Ok(bytes)
    }

    fn is(&self, path: &str, found: Digest, expected: Digest) -> Result<(), PullError> {
        let wrong = || PullError::Digest { what: self.address(path).to_string(), expected, found };
        if found == expected { Ok(()) } else { Err(wrong()) }
    }

    fn only<T>(&self, document: Digest, read: Result<T, String>) -> Result<T, PullError> {
        let what = || self.address(&format!("manifests/sha256:{document}")).to_string();
        read.map_err(|reason| PullError::NoComponent { what: what(), reason })
    }
}
