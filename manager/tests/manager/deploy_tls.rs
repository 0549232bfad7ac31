//! TLS to agents: who they must be, and who the manager is to them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::agent::FakeAgent;
use crate::deploy::{UUID, order, start};
use crate::support::{Place, manager_command};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for these names and its key, as PEM.
fn identity(authority: &Authority, names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// An agent with this identity, which wants clients of this authority.
fn agent(identity: &(String, String), clients: &Authority) -> FakeAgent {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(identity.0.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(identity.1.as_bytes()).unwrap(),
        )
        .unwrap();
    FakeAgent::start_tls(config)
}

/// The files of a manager, and its `[agents]`.
fn files(dir: &Path, ca: &str, client: &(String, String), more: &str) -> String {
    for (name, text) in [("ca.pem", ca), ("client.pem", &client.0), ("client.key", &client.1)] {
        fs::write(dir.join(name), text).unwrap();
    }
    let path = |name: &str| dir.join(name);
    format!(
        "tls = true\nca = {:?}\nclient_cert = {:?}\nclient_key = {:?}\n{more}",
        path("ca.pem"),
        path("client.pem"),
        path("client.key")
    )
}

/// What comes of a start by a manager with this configuration.
fn outcome(agent: &FakeAgent, ca: &str, client: &(String, String), more: &str) -> Value {
    let place = Place::new();
    let manager = place.start_with_agents(&files(place.path(), ca, client, more));
    agent.meet(&manager, 3);
    start(&place, &manager, &order(&agent.id, UUID)).remove(0)
}

#[test]
fn both_ends_must_be_who_they_should_be() {
    let (agents, clients, strangers) = (authority(), authority(), authority());
    let (by_address, by_name) = (identity(&agents, &["127.0.0.1"]), identity(&agents, &["agents.cage"]));
    let (known, unknown) = (identity(&clients, &["manager"]), identity(&strangers, &["manager"]));
    let named = "server_name = \"agents.cage\"";

    let good = agent(&by_address, &clients);
    assert_eq!(outcome(&good, &agents.pem(), &known, "")["outcome"], "done");
    let shared = agent(&by_name, &clients);
    assert_eq!(outcome(&shared, &agents.pem(), &known, named)["outcome"], "done");

    for (agent, ca, client, more) in [
        (agent(&by_address, &clients), &strangers, &known, ""),
        (agent(&by_address, &clients), &agents, &known, named),
        (agent(&by_name, &clients), &agents, &known, ""),
        (agent(&by_address, &clients), &agents, &unknown, ""),
        (FakeAgent::start(), &agents, &known, ""),
    ] {
        let result = outcome(&agent, &ca.pem(), client, more);
        assert_eq!(result["outcome"], "no_answer", "{result}");
        assert!(agent.state().deploys.is_empty());
    }
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let place = Place::new();
    let (one, other) = (identity(&authority(), &["m"]), identity(&authority(), &["m"]));
    for (ca, client, expected) in [
        ("no certificate", &one, "agents.ca"),
        (authority().pem().as_str(), &(one.0.clone(), other.1.clone()), "must be that of the certificate"),
        (authority().pem().as_str(), &(one.0.clone(), "no key".into()), "agents.client_key"),
    ] {
        let config = place.configure("");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("{text}[agents]\n{}", files(place.path(), ca, client, ""))).unwrap();
        let output = manager_command(&config).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
