//! Hosts on the loopback that answer as a test wants: a thread for each caller, over TCP or TLS.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sha2::{Digest as _, Sha256};

/// Longest that a caller is kept waiting.
const LINGER: Duration = Duration::from_secs(30);

/// See the module. It is closed with this handle.
pub(crate) struct Server {
    address: SocketAddr,
    tls: bool,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Server {
    #[track_caller]
    pub(crate) fn start(host: Ipv4Addr, answers: impl Fn(&mut Caller) + Send + Sync + 'static) -> Self {
        Self::open(host, None, answers)
    }

    #[track_caller]
    pub(crate) fn start_tls(
        host: Ipv4Addr,
        certificate: &Certificate,
        answers: impl Fn(&mut Caller) + Send + Sync + 'static,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der.clone()], certificate.key.clone_key())
            .unwrap();
        Self::open(host, Some(Arc::new(config)), answers)
    }

    fn open(
        host: Ipv4Addr,
        tls: Option<Arc<ServerConfig>>,
        answers: impl Fn(&mut Caller) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            tls: tls.is_some(),
            asked: Arc::default(),
            over: Arc::default(),
        };
        let (asked, over, answers) = (Arc::clone(&server.asked), Arc::clone(&server.over), Arc::new(answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (asked, answers, tls) = (Arc::clone(&asked), Arc::clone(&answers), tls.clone());
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(LINGER)).unwrap();
                    stream.set_write_timeout(Some(LINGER)).unwrap();
                    if let Some(mut caller) = Caller::new(stream, tls) {
                        asked.fetch_add(1, Ordering::Relaxed);
                        answers(&mut caller);
                        caller.end();
                    }
                });
            }
        });
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }

    /// Requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
    }
}

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// Whoever asks, and what.
pub(crate) struct Caller {
    stream: Box<dyn Stream>,
    plain: TcpStream,
    head: String,
    rest: Vec<u8>,
}

impl Caller {
    /// `None` if no request comes.
    fn new(plain: TcpStream, tls: Option<Arc<ServerConfig>>) -> Option<Self> {
        let socket = plain.try_clone().ok()?;
        let mut stream: Box<dyn Stream> = match tls {
            Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config).ok()?, socket)),
            None => Box::new(socket),
        };
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        let end = loop {
            let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
            bytes.extend_from_slice(&buffer[..read]);
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
        };
        let rest = bytes.split_off(end + 4);
        Some(Self { stream, plain, head: String::from_utf8(bytes).ok()?, rest })
    }

    /// `GET /path HTTP/1.1`.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn path(&self) -> &str {
        self.line().split(' ').nth(1).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.into_iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// What was sent along, by its announced length.
    pub(crate) fn body(&mut self) -> Vec<u8> {
        let length: usize = self.header("content-length").unwrap().parse().unwrap();
        let mut body = std::mem::take(&mut self.rest);
        let mut more = vec![0; length - body.len()];
        self.stream.read_exact(&mut more).unwrap();
        body.append(&mut more);
        body
    }

    /// Whether anybody still takes it.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// A whole answer. Headers end with `\r\n`.
    pub(crate) fn say(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
        self.write(&[head.as_bytes(), body.as_bytes()].concat());
    }

    /// Says nothing until the other side is gone.
    pub(crate) fn linger(&mut self) {
        let _ = self.stream.read(&mut [0]);
    }

    fn end(&mut self) {
        let _ = self.plain.shutdown(std::net::Shutdown::Write);
    }
}

/// One that was signed by itself.
pub(crate) struct Certificate {
    der: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pem: String,
    key_pem: String,
}

impl Certificate {
    pub(super) fn new(host: Ipv4Addr) -> Self {
        let signed = rcgen::generate_simple_self_signed(vec![host.to_string()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
        let key_pem = signed.signing_key.serialize_pem();
        Self { der: signed.cert.der().clone(), key: key.into(), pem: signed.cert.pem(), key_pem }
    }

    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn key_pem(&self) -> String {
        self.key_pem.clone()
    }

    /// As `sha256sum` prints it.
    pub(super) fn digest(&self) -> String {
        Sha256::digest(&self.der).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
