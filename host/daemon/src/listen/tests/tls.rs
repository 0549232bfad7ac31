//! TLS, with clients of the same library. `others.rs` has clients of another.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificates::{Authority, Identity, replace};
use super::*;
use crate::tls::{Tls, TlsError};
use crate::trusted::UntrustedError;

/// An authority, a service with a certificate of it, and what is needed to ask the service.
pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) authority: Authority,
    pub(super) server: Server,
    connections: Connections,
}

impl World {
    /// Clients need no certificate.
    fn open(limits: Limits) -> Self {
        Self::start(limits, None)
    }

    /// Clients need a certificate of this authority.
    pub(super) fn start(limits: Limits, clients: Option<&Authority>) -> Self {
        let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new("services"));
        let (cert, key) = authority.identity().write(dir.path(), "service");
        authority.write(&dir.path().join("ca.pem"));
        let client_ca = clients.map(|clients| clients.write(&dir.path().join("clients.pem")));
        let tls = Tls::load(&cert, &key, client_ca.as_deref()).unwrap().eager();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap().with_tls(tls);
        let connections = listener.connections();
        Self { dir, authority, server: Server::of(listener), connections }
    }

    fn client(&self) -> Client {
        Client { trusts: vec![self.authority.der()], ..Client::default() }
    }

    async fn ask(&self, client: &Client) -> io::Result<String> {
        let mut stream = client.greet(self.server.connect(2).await).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

#[derive(Default)]
struct Client {
    trusts: Vec<rustls::pki_types::CertificateDer<'static>>,
    identity: Option<Identity>,
    versions: Option<&'static [&'static SupportedProtocolVersion]>,
    protocols: Vec<Vec<u8>>,
}

impl Client {
    async fn greet(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.trusts.clone());
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(self.versions.unwrap_or(rustls::ALL_VERSIONS)).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match &self.identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain(), identity.private()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.protocols);
        let name = ServerName::try_from("localhost").unwrap();
        let greeted = TlsConnector::from(Arc::new(config)).connect(name, stream);
        timeout(Duration::from_secs(20), greeted).await.expect("the handshake has no end")
    }
}

/// Each for itself.
const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

fn is_served(answer: &io::Result<String>) -> bool {
    matches!(answer, Ok(answer) if answer.starts_with("HTTP/1.1 200"))
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served() {
    let world = World::open(LIMITS);
    for versions in VERSIONS {
        for protocols in [vec![], vec![b"h2".to_vec(), b"http/1.1".to_vec()]] {
            let client = Client { versions: Some(versions), protocols, ..world.client() };
            let answer = world.ask(&client).await;
            assert!(is_served(&answer), "{answer:?}");
        }
    }
    let answer = world.ask(&Client { protocols: vec![b"h2".to_vec()], ..world.client() }).await;
    assert!(answer.is_err(), "{answer:?}");
    let stranger = Client { trusts: vec![Authority::new("others").der()], ..Client::default() };
    assert!(world.ask(&stranger).await.is_err());
}

#[tokio::test]
async fn without_a_certificate_of_the_authority_nobody_asks() {
    let clients = Authority::new("clients");
    let world = World::start(LIMITS, Some(&clients));
    for versions in VERSIONS {
        let with = |identity| Client { identity, versions: Some(versions), ..world.client() };
        let right = world.ask(&with(Some(clients.identity()))).await;
        assert!(is_served(&right), "{right:?}");
        for (wrong, identity) in [
            ("none", None),
            ("of the service's own authority", Some(world.authority.identity())),
            ("of another authority of that name", Some(Authority::new("clients").identity())),
            ("expired", Some(clients.expired())),
        ] {
            let answer = world.ask(&with(identity)).await;
            assert!(answer.is_err(), "{wrong}: {answer:?}");
        }
    }
    assert_eq!(world.connections.ungreeted(), 8);
}

#[tokio::test]
async fn a_client_refuses_an_expired_service() {
    let world = World::open(LIMITS);
    assert!(is_served(&world.ask(&world.client()).await));
    world.authority.expired().write(world.dir.path(), "service");
    assert!(world.ask(&world.client()).await.is_err());
}

#[tokio::test]
async fn a_renewed_certificate_serves_and_open_connections_go_on() {
    let world = World::open(LIMITS);
    let mut open = world.client().greet(world.server.connect(2).await).await.unwrap();
    let renewed = Authority::new("renewed");
    let trusting = Client { trusts: vec![renewed.der()], ..Client::default() };
    assert!(world.ask(&trusting).await.is_err());
    // One file after the other: in between the old ones serve.
    let identity = renewed.identity();
    replace(&world.dir.path().join("service.pem"), &identity.cert, 0o644);
    assert!(is_served(&world.ask(&world.client()).await));
    replace(&world.dir.path().join("service.key"), &identity.key, 0o600);
    let answer = world.ask(&trusting).await;
    assert!(is_served(&answer), "{answer:?}");
    assert!(world.ask(&world.client()).await.is_err());
    // A key that others can read is not used, however good it is.
    let exposed = renewed.identity();
    replace(&world.dir.path().join("service.pem"), &exposed.cert, 0o644);
    replace(&world.dir.path().join("service.key"), &exposed.key, 0o644);
    assert!(is_served(&world.ask(&trusting).await));
    open.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn another_authority_of_the_clients_holds_for_those_who_come_back() {
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let world = World::start(LIMITS, Some(&before));
    let client = Client { identity: Some(before.identity()), ..world.client() };
    assert!(is_served(&world.ask(&client).await));
    after.write(&world.dir.path().join("clients.pem"));
    assert!(world.ask(&client).await.is_err());
    let client = Client { identity: Some(after.identity()), ..world.client() };
    assert!(is_served(&world.ask(&client).await));
}

#[tokio::test]
async fn a_client_without_tls_is_told_and_sent_away() {
    let world = World::open(LIMITS);
    let answer = world.server.ask(2).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.ends_with("use an https address\n"), "{answer}");
    // Its bytes are taken, so that what it is told arrives; but not without end.
    let mut long = world.server.connect(2).await;
    let _cut = long.write_all(&vec![b'a'; 64 * HEAD]).await;
    let mut told = Vec::new();
    let _cut = timeout(Duration::from_secs(20), long.read_to_end(&mut told)).await.expect("it stays open");
    assert!(is_served(&world.ask(&world.client()).await));
    assert_eq!(world.connections.ungreeted(), 2);
}

#[tokio::test]
async fn noise_that_begins_like_a_handshake_is_refused() {
    let world = World::open(LIMITS);
    for noise in
        [vec![22; 4096], [22, 3, 1, 2, 0].into_iter().chain([1; 512]).collect(), vec![22, 3, 1, 255, 255]]
    {
        let mut stream = world.server.connect(2).await;
        stream.write_all(&noise).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut alert = Vec::new();
        let _cut = stream.read_to_end(&mut alert).await;
        // At most an alert: 21 is its first byte.
        assert!(alert.is_empty() || (alert[0] == 21 && alert.len() == 7), "{alert:?}");
    }
    assert!(is_served(&world.ask(&world.client()).await));
}

#[tokio::test]
async fn a_slow_handshake_is_cut() {
    let world = World::open(Limits { head: Duration::from_millis(300), ..LIMITS });
    let mut silent = world.server.connect(2).await;
    let mut slow = world.server.connect(2).await;
    slow.write_all(&[22, 3, 1, 2]).await.unwrap();
    ended(&mut silent).await;
    ended(&mut slow).await;
    // After the handshake, the head has its time.
    let mut headless = world.client().greet(world.server.connect(2).await).await.unwrap();
    headless.write_all(b"GET / HTTP/1.1\r\nA: ").await.unwrap();
    ended(&mut headless).await;
}

#[tokio::test]
async fn a_handshake_does_not_outlive_its_connection() {
    let world = World::open(Limits { life: Duration::from_millis(300), ..LIMITS });
    let mut slow = world.server.connect(2).await;
    slow.write_all(&[22, 3, 1, 2]).await.unwrap();
    ended(&mut slow).await;
}

#[tokio::test]
async fn half_open_handshakes_of_one_peer_do_not_keep_another_out() {
    let world = World::open(LIMITS);
    let mut half = Vec::new();
    for _ in 0..4 * LIMITS.connections {
        let mut stream = world.server.connect(3).await;
        // The first ones are cut while the later ones come.
        let _cut = stream.write_all(&[22, 3, 1, 2]).await;
        half.push(stream);
    }
    for _ in 0..3 {
        assert!(is_served(&world.ask(&world.client()).await));
    }
    assert!(world.connections.open() <= LIMITS.connections);
    ended(&mut half[0]).await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_handshakes() {
    let world = World::open(Limits { grace: Duration::from_secs(600), ..LIMITS });
    let mut slow = world.server.connect(2).await;
    slow.write_all(&[22, 3, 1, 2]).await.unwrap();
    assert!(is_served(&world.ask(&world.client()).await));
    world.server.stop.cancel();
    ended(&mut slow).await;
    timeout(Duration::from_secs(20), world.server.task).await.expect("it does not stop").unwrap();
}

#[test]
fn files_that_do_not_serve_are_named() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new("services"));
    let (cert, key) = authority.identity().write(dir.path(), "service");
    let ca = authority.write(&dir.path().join("ca.pem"));
    Tls::load(&cert, &key, Some(&ca)).unwrap();
    let refused = |cert: &_, key: &_, ca: Option<&_>| Tls::load(cert, key, ca).unwrap_err();

    let (_, another) = authority.identity().write(dir.path(), "another");
    let pair = refused(&cert, &another, None);
    assert!(matches!(pair, TlsError::Pair { .. }) && pair.to_string().contains("another.key"), "{pair}");
    assert!(matches!(refused(&key, &key, None), TlsError::NoCertificate(_)));
    assert!(matches!(refused(&cert, &cert, None), TlsError::Untrusted { what: "the key", .. }));
    let bad = replace(&dir.path().join("bad.pem"), "-----BEGIN CERTIFICATE-----\n!\n", 0o600);
    assert!(matches!(refused(&bad, &key, None), TlsError::NoCertificate(_)));
    assert!(matches!(refused(&cert, &bad, None), TlsError::NoKey(_)));
    assert!(matches!(refused(&cert, &key, Some(&bad)), TlsError::NoCertificate(_)));
    let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_certificate = replace(&dir.path().join("odd.pem"), text, 0o644);
    assert!(matches!(refused(&no_certificate, &key, None), TlsError::Pair { .. }));
    assert!(matches!(refused(&cert, &key, Some(&no_certificate)), TlsError::Authority { .. }));
    assert!(matches!(refused(&dir.path().join("absent"), &key, None), TlsError::Untrusted { .. }));

    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let readable = refused(&cert, &key, None);
    let TlsError::Untrusted { source: UntrustedError::Readable(path), .. } = &readable else {
        panic!("{readable}");
    };
    assert_eq!(path, &key);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&ca, fs::Permissions::from_mode(0o664)).unwrap();
    let writable = refused(&cert, &key, Some(&ca));
    assert!(
        matches!(writable, TlsError::Untrusted { source: UntrustedError::Writable(_), .. }),
        "{writable}"
    );
}
