//! TLS to agents: their certificates are verified against the configured authority alone, by the address that is asked or
//! by one name that all of them have. Where agents want to know who asks, the manager has a certificate too.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::config;

/// How TLS is spoken.
pub(super) struct Tls {
    connector: TlsConnector,
    /// The name that every agent's certificate has; else each has its address.
    name: Option<ServerName<'static>>,
}

/// Why TLS cannot be spoken as configured.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    /// A file that is not there, or has something else in it.
    #[error("cannot use {} as agents.{key}: {reason}; it must be a PEM file", path.display())]
    File {
        /// Which key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No certificate can have this name.
    #[error("agents.server_name {0:?} is no name of a host")]
    Name(String),
    /// They do not fit together.
    #[error(
        "agents.client_cert and agents.client_key cannot be used: {0}; the key must be that of the certificate"
    )]
    Identity(rustls::Error),
    /// The library's own.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

impl Tls {
    /// Reads the files.
    pub(super) fn new(config: &config::Agents) -> Result<Self, BadTls> {
        let name = config
            .server_name
            .as_ref()
            .map(|name| ServerName::try_from(name.clone()).map_err(|_| BadTls::Name(name.clone())));
        let roots = roots(config.ca.as_deref().unwrap_or(Path::new("")))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(BadTls::Setup)?
            .with_root_certificates(roots);
        let client = match (&config.client_cert, &config.client_key) {
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates("client_cert", cert)?, private_key(key)?)
                .map_err(BadTls::Identity)?,
            _ => builder.with_no_client_auth(),
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(client)), name: name.transpose()? })
    }

    /// Makes an encrypted connection of a plain one.
    pub(super) async fn connect(
        &self,
        agent: Ipv4Addr,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = self.name.clone().unwrap_or_else(|| ServerName::from(std::net::IpAddr::V4(agent)));
        self.connector.connect(name, stream).await
    }
}

fn roots(path: &Path) -> Result<RootCertStore, BadTls> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", path)? {
        let added = roots.add(certificate);
        added.map_err(|error| bad("ca", path, error.to_string()))?;
    }
    Ok(roots)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, BadTls> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>);
    let all = all.map_err(|error| bad(key, path, error.to_string()))?;
    if all.is_empty() {
        return Err(bad(key, path, "there is no certificate in it".to_owned()));
    }
    Ok(all)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, BadTls> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| bad("client_key", path, error.to_string()))
}

fn bad(key: &'static str, path: &Path, reason: String) -> BadTls {
    BadTls::File { key, path: path.to_owned(), reason }
}
