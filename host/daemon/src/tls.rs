//! The service's own certificate, and the authority that vouches for its peers. With an authority nobody gets as far as
//! a request who has no certificate of it.
//!
//! TLS 1.2 and 1.3, HTTP/1.1. Certificates are renewed while the process runs: see [`crate::watched`]. Connections that
//! are open stay as they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::trusted::{self, Readers, UntrustedError};
use crate::watched::Watched;

/// Longest file that is read, in bytes.
const LONGEST: usize = 256 << 10;

/// Why the service cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or not to be trusted.
    #[error("{what} is not taken")]
    Untrusted {
        /// Which of them.
        what: &'static str,
        /// Why.
        source: UntrustedError,
    },
    /// There is something else in it.
    #[error("{} holds no certificate; it must have the text that begins with BEGIN CERTIFICATE", .0.display())]
    NoCertificate(PathBuf),
    /// There is something else in it.
    #[error("{} holds no key; it must have the text that begins with BEGIN PRIVATE KEY, without a passphrase", .0.display())]
    NoKey(PathBuf),
    /// They are not of one pair, or of a kind that nobody speaks.
    #[error("the certificate {} and the key {} do not serve; they must be of one pair, RSA, ECDSA P-256 or P-384, or Ed25519", cert.display(), key.display())]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// It cannot vouch for anybody.
    #[error("the authority {} does not serve; it must be a certificate that signs those of the clients", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The library was built without what it needs.
    #[error("no version of TLS can be spoken")]
    Version(#[source] rustls::Error),
}

/// How the service speaks TLS.
#[derive(Debug, Clone)]
pub struct Tls(Watched<ServerConfig>);

struct Files {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl Tls {
    /// Loads a certificate with what leads to its authority, its key, and the authority of the clients, all as PEM. The
    /// key must be this process's alone; nobody else may be able to write to any of them.
    pub fn load(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Self, TlsError> {
        let (cert, key) = (cert.to_owned(), key.to_owned());
        let files = Files { cert, key, client_ca: client_ca.map(Path::to_owned) };
        let all = [&files.cert, &files.key].into_iter().chain(&files.client_ca).cloned().collect();
        Watched::new("the certificate of the service", all, move || files.config()).map(Self)
    }

    /// For the next handshake.
    pub(crate) async fn config(&self) -> Arc<ServerConfig> {
        self.0.current().await
    }

    /// Looks at its files at every handshake. For tests.
    #[cfg(test)]
    pub(crate) fn eager(self) -> Self {
        Self(self.0.eager())
    }
}

impl Files {
    fn config(&self) -> Result<ServerConfig, TlsError> {
        let chain = certificates("the certificate", &self.cert)?;
        let key = read("the key", &self.key, Readers::Ourselves)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| TlsError::NoKey(self.key.clone()))?;
        // Named, because a process may have more than one.
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Version)?;
        let builder = match &self.client_ca {
            Some(path) => builder.with_client_cert_verifier(authority(path)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|source| TlsError::Pair {
            cert: self.cert.clone(),
            key: self.key.clone(),
            source,
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.client_ca.is_some() {
            // A session that is taken up again would pass without its certificate being looked at, also when that has
            // expired meanwhile.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

/// Who vouches for the clients.
fn authority(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    let unfit = |source| TlsError::Authority { path: path.to_owned(), source };
    for certificate in certificates("the authority of the clients", path)? {
        roots.add(certificate).map_err(|error| unfit(error.into()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
        .build()
        .map_err(|error| unfit(error.into()))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(what, path, Readers::Anybody)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    found
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| TlsError::NoCertificate(path.to_owned()))
}

fn read(what: &'static str, path: &Path, readers: Readers) -> Result<Vec<u8>, TlsError> {
    trusted::read(path, readers, LONGEST).map_err(|source| TlsError::Untrusted { what, source })
}
