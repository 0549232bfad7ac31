//! https, with certificates made for the test.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use cardcage_artifacts::Store;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::bench::{content, fetch, limits};

struct Secure {
    port: u16,
    pem: String,
    thread: JoinHandle<usize>,
}

/// Serves that many connections and ends.
fn secure(connections: usize, answer: &'static [u8]) -> Secure {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    let thread = thread::spawn(move || {
        let served = listener.incoming().take(connections).filter_map(|stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).ok()?;
                head.push(byte[0]);
            }
            stream.write_all(answer).ok()?;
            stream.conn.send_close_notify();
            stream.flush().ok()
        });
        served.count()
    });
    Secure { port, pem: made.cert.pem(), thread }
}

#[test]
fn the_operators_certificate_is_trusted_and_others_are_not() {
    let server = secure(2, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncontent");
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &server.pem).unwrap();
    let url = format!("https://localhost:{}/a", server.port);

    // One connection, since trying again would not help.
    let strange = Store::open(&folder.path().join("one"), limits(), None).unwrap();
    let error = fetch(&strange, &url, None).unwrap_err();
    assert!(error.code() == "unreachable" && error.to_string().contains("ca"), "{error}");

    let trusting = Store::open(&folder.path().join("two"), limits(), Some(&ca)).unwrap();
    assert_eq!(content(&fetch(&trusting, &url, None).unwrap()), b"content");
    assert_eq!(server.thread.join().unwrap(), 1);
}

#[test]
fn https_never_leads_down_to_http() {
    let server =
        secure(1, b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &server.pem).unwrap();
    let store = Store::open(&folder.path().join("store"), limits(), Some(&ca)).unwrap();
    let error = fetch(&store, &format!("https://127.0.0.1:{}/a", server.port), None).unwrap_err();
    assert!(error.code() == "invalid" && error.to_string().contains("https"), "{error}");
    server.thread.join().unwrap();
}

#[test]
fn a_bad_certificate_file_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let open = |ca: &str| Store::open(folder.path(), limits(), Some(&folder.path().join(ca))).map(drop);
    assert_eq!(open("absent.pem").unwrap_err().code(), "io");
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    assert_eq!(open("empty.pem").unwrap_err().code(), "invalid");
}
