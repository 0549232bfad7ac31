//! Whom TLS trusts: the operator's bundle or the system's, or, for controllers that signed their certificate
//! themselves, certificates by their SHA-256.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};

use super::Trust;

/// Where most systems keep the roots that they trust.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Sessions that are taken up again: a request is a connection, and a controller computes for a while at each handshake.
const SESSIONS: usize = 8;

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum BadTrust {
    #[error("no certificate can be trusted: {} cannot be used ({reason}); give a PEM file with http_ca", .path.display())]
    Bundle { path: PathBuf, reason: String },
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// Reads the bundle, so it blocks.
pub fn client(trust: &Trust) -> Result<Arc<ClientConfig>, BadTrust> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(BadTrust::Setup)?;
    let mut client = match trust.pins.is_empty() {
        true => builder.with_root_certificates(roots(trust.ca.as_deref().unwrap_or(Path::new(SYSTEM)))?),
        false => {
            let pinned = Pinned { pins: trust.pins.clone(), provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
        }
    }
    .with_no_client_auth();
    client.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(client))
}

fn roots(path: &Path) -> Result<RootCertStore, BadTrust> {
    let bad = |reason: String| BadTrust::Bundle { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))? {
        // A bundle of a system may hold one that nobody understands any more; the others serve.
        let _ = roots.add(certificate.map_err(|error| bad(error.to_string()))?);
    }
    match roots.is_empty() {
        true => Err(bad("there is no certificate in it".to_owned())),
        false => Ok(roots),
    }
}

/// Trusts exactly these certificates, whatever name and dates they bear. That whoever shows one has its key is checked
/// as ever.
#[derive(Debug)]
struct Pinned {
    pins: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found: [u8; 32] = Sha256::digest(certificate).into();
        match self.pins.contains(&found) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let refusal = || {
            let trust = Trust { ca: Some(path.clone()), pins: Vec::new() };
            client(&trust).unwrap_err().to_string()
        };
        assert!(refusal().contains(&path.display().to_string()) && refusal().contains("http_ca"));
        std::fs::write(&path, "no certificate").unwrap();
        assert!(refusal().contains("there is no certificate in it"), "{}", refusal());
    }
}
