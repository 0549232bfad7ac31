//! Components out of registries that lie, redirect, and want to know who asks. The real ones are in the end-to-end tests.

use std::collections::HashMap;
use std::net::TcpStream;

use cardcage_artifacts::{Component, Credentials, Pull, PullError, Reference, pull};
use serde_json::{Value, json};

use crate::bench::{noise, sha256};
use crate::server::{Asked, Server, answer, say};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const COMPONENT: &str = "application/wasm";
const LIMIT: u64 = 64 << 10;

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()})
}

fn manifest(layers: &[Value]) -> Vec<u8> {
    let config = descriptor("application/vnd.wasm.config.v0+json", b"{}");
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).to_string().into()
}

/// What lies at which path of the repository `vendor/probe`.
#[derive(Clone, Default)]
struct Shelf(HashMap<String, Vec<u8>>);

impl Shelf {
    fn with(mut self, path: &str, bytes: &[u8]) -> Self {
        self.0.insert(format!("/v2/vendor/probe/{path}"), bytes.to_vec());
        self
    }

    fn blob(self, bytes: &[u8]) -> Self {
        self.with(&format!("blobs/sha256:{}", sha256(bytes)), bytes)
    }

    /// By its digest, and by a tag.
    fn document(self, tag: &str, bytes: &[u8]) -> Self {
        self.with(&format!("manifests/sha256:{}", sha256(bytes)), bytes)
            .with(&format!("manifests/{tag}"), bytes)
    }

    fn answer(&self, asked: &Asked, stream: &mut TcpStream) {
        match self.0.get(&asked.path) {
            Some(bytes) => answer(stream, "200 OK", "", bytes),
            None if asked.path == "/v2/" => answer(stream, "200 OK", "", b"{}"),
            None => answer(stream, "404 Not Found", "", b"{}"),
        }
    }

    fn open(self) -> Server {
        Server::start(move |asked, _, stream| self.answer(asked, stream))
    }
}

/// A component under the tag `1`.
fn plain(component: &[u8]) -> Shelf {
    Shelf::default().blob(component).document("1", &manifest(&[descriptor(COMPONENT, component)]))
}

fn ask(server: &Server, rest: &str, credentials: Option<&Credentials>) -> Result<Component, PullError> {
    let reference: Reference = format!("127.0.0.1:{}/vendor/probe{rest}", server.port()).parse().unwrap();
    let plain_http = credentials.is_some();
    pull(&Pull { reference: &reference, credentials, ca: None, plain_http, limit: LIMIT })
}

#[track_caller]
fn check_refused(shelf: Shelf, rest: &str, reason: &str) {
    let server = shelf.open();
    let error = ask(&server, rest, None).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn a_component_comes_by_its_tag_and_by_its_digest() {
    let component = noise(50_000);
    let document = manifest(&[descriptor("text/markdown", b"#"), descriptor(COMPONENT, &component)]);
    let server =
        Shelf::default().blob(&component).document("1", &document).document("latest", &document).open();
    let digest = sha256(&document);
    for rest in ["", ":1", &format!("@sha256:{digest}"), &format!(":gone@sha256:{digest}")] {
        let pulled = ask(&server, rest, None).unwrap();
        assert!(pulled.bytes == component, "{rest}");
        assert_eq!(pulled.digest.to_string(), digest);
    }
    let asked = server.asked().into_iter().find(|asked| asked.path.contains("/manifests/")).unwrap();
    assert_eq!(asked.header("accept").unwrap(), format!("{MANIFEST}, {INDEX}"));
}

#[test]
fn an_index_is_followed_to_its_only_component() {
    let image = manifest(&[descriptor("application/vnd.oci.image.layer.v1.tar+gzip", b"tar")]);
    let one = manifest(&[descriptor(COMPONENT, b"one")]);
    let two = manifest(&[descriptor(COMPONENT, b"two")]);
    let shelf = [&image, &one, &two].iter().fold(Shelf::default(), |shelf, bytes| shelf.document("x", bytes));
    let shelf = shelf.blob(b"one").blob(b"two");
    let index = |manifests: &[&Vec<u8>]| {
        let manifests: Vec<_> = manifests.iter().map(|bytes| descriptor(MANIFEST, bytes)).collect();
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string().into_bytes()
    };
    let good = index(&[&image, &one]);
    let server = shelf.clone().document("1", &good).open();
    let pulled = ask(&server, ":1", None).unwrap();
    assert_eq!((pulled.bytes.as_slice(), pulled.digest.to_string()), (&b"one"[..], sha256(&good)));
    check_refused(
        shelf.clone().document("1", &index(&[&one, &two])),
        ":1",
        "2 manifests in it have components",
    );
    check_refused(shelf.clone().document("1", &index(&[&image])), ":1", "no manifest in it has a component");
    check_refused(shelf.clone().document("1", &index(&[&one; 17])), ":1", "more than 16 manifests");
    // Of an index in it nothing is asked.
    let nested =
        json!({"schemaVersion": 2, "manifests": [descriptor(INDEX, &good)]}).to_string().into_bytes();
    check_refused(
        shelf.document("2", &good).document("1", &nested),
        ":1",
        "no manifest in it has a component",
    );
}

#[test]
fn what_is_not_what_it_was_asked_for_by_is_refused() {
    let component = noise(1000);
    let blob = format!("blobs/sha256:{}", sha256(&component));
    let mut tampered = component.clone();
    tampered[500] ^= 1;
    check_refused(plain(&component).with(&blob, &tampered), ":1", "what came has SHA-256");
    check_refused(
        plain(&component).with(&blob, &component[1..]),
        ":1",
        "999 bytes, and the manifest says 1000",
    );
    check_refused(plain(&component).with(&blob, &noise(1001)), ":1", "more than 1000 bytes");
    let digest = sha256(b"another");
    let wanted = format!("@sha256:{digest}");
    check_refused(plain(&component).with(&format!("manifests/sha256:{digest}"), b"{}"), &wanted, &digest);
    check_refused(plain(&component), &wanted, "not there");
    check_refused(plain(&component), ":2", "not there; look at the tag");
}

#[test]
fn what_is_too_large_is_not_even_asked_for() {
    let component = noise(usize::try_from(LIMIT).unwrap() + 1);
    let server = plain(&component).open();
    let error = ask(&server, ":1", None).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("65537 bytes, and a plugin has at most 65536"), "{error}");
    assert!(server.asked().iter().all(|asked| !asked.path.contains("/blobs/")));
    check_refused(
        Shelf::default().with("manifests/1", &vec![b' '; (1 << 20) + 1]),
        ":1",
        "more than 1048576 bytes",
    );
    check_refused(Shelf::default().with("manifests/1", b"<html>"), ":1", "it is no manifest");
}

/// A registry that wants tokens, and the place that makes them, which wants this user.
fn guarded(shelf: Shelf, realm: &str, user: Option<&'static str>) -> Server {
    let realm = realm.to_owned();
    Server::start(move |asked, _, stream| {
        let who = asked.header("authorization");
        if asked.path.starts_with("/token?") {
            match who == user {
                true => answer(stream, "200 OK", "", b"{\"token\": \"for-probe\"}"),
                false => answer(stream, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b""),
            }
        } else if who == Some("Bearer for-probe") {
            shelf.answer(asked, stream);
        } else {
            let host = asked.header("host").unwrap();
            let realm = realm.replace("HOST", host);
            let offer = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"a b\",scope=\"*\"\r\n");
            answer(stream, "401 Unauthorized", &offer, b"{}");
        }
    })
}

fn joe() -> Credentials {
    Credentials { username: "joe".to_owned(), password: "s:cret".to_owned() }
}

/// `joe:s:cret`
const JOE: &str = "Basic am9lOnM6Y3JldA==";

#[test]
fn a_token_is_fetched_for_this_repository_alone() {
    let server = guarded(plain(b"component"), "http://HOST/token?x=1", Some(JOE));
    assert_eq!(ask(&server, ":1", Some(&joe())).unwrap().bytes, b"component");
    let asked = server.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.path.as_str()).collect();
    let token = "/token?x=1&service=a%20b&scope=repository%3Avendor%2Fprobe%3Apull";
    assert_eq!(paths[..3], ["/v2/vendor/probe/manifests/1", token, "/v2/vendor/probe/manifests/1"]);
    // The password went to where tokens are made, the token to the registry.
    let with =
        |header: &str| asked.iter().filter(|asked| asked.header("authorization") == Some(header)).count();
    assert_eq!((with(JOE), with("Bearer for-probe"), paths.len()), (1, 2, 4));

    let open = guarded(plain(b"component"), "http://HOST/token?", None);
    assert_eq!(ask(&open, ":1", None).unwrap().bytes, b"component");
    let error = |server: &Server, who: Option<&Credentials>| {
        ask(server, ":1", who).map(|_| ()).unwrap_err().to_string()
    };
    assert!(error(&server, None).contains("[deploy.registries.\"127.0.0.1:"), "{}", error(&server, None));
    let other = Credentials { password: "other".to_owned(), ..joe() };
    assert!(error(&server, Some(&other)).contains("refused with 401"));
}

#[test]
fn a_password_goes_in_the_clear_only_where_that_was_asked_for() {
    let server = guarded(plain(b"component"), "http://HOST/token?", Some(JOE));
    let reference: Reference = format!("127.0.0.1:{}/vendor/probe:1", server.port()).parse().unwrap();
    let joe = joe();
    let request =
        Pull { reference: &reference, credentials: Some(&joe), ca: None, plain_http: false, limit: LIMIT };
    let error = pull(&request).map(|_| ()).unwrap_err();
    assert!(matches!(error, PullError::InTheClear { .. }), "{error}");
    assert!(server.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn tokens_are_not_asked_for_in_the_clear_elsewhere_nor_of_what_makes_none() {
    let joe = joe();
    for (realm, who, reason) in [
        ("http://192.0.2.1/token", None, "in the clear"),
        ("ftp://HOST/token", Some(&joe), "only http and https"),
        ("http://HOST/v2/", None, "wants to know who asks"),
        ("http://HOST/token?", Some(&joe), "refused with 401"),
    ] {
        let server = guarded(plain(b"component"), realm, Some("Basic somebody-else"));
        let error = ask(&server, ":1", who).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(reason), "{realm}: {error}");
    }
}

#[test]
fn a_password_is_shown_to_whoever_offers_basic() {
    let shelf = plain(b"component");
    let server = Server::start(move |asked, _, stream| match asked.header("authorization") {
        Some(JOE) => shelf.answer(asked, stream),
        _ => answer(stream, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b""),
    });
    assert_eq!(ask(&server, ":1", Some(&joe())).unwrap().bytes, b"component");
    let error = ask(&server, ":1", None).map(|_| ()).unwrap_err();
    assert!(matches!(error, PullError::WhoAsks { .. }), "{error}");
    let other = Credentials { username: "jim".to_owned(), ..joe() };
    let error = ask(&server, ":1", Some(&other)).map(|_| ()).unwrap_err();
    assert!(matches!(error, PullError::Refused { status: 401, .. }), "{error}");
    let colon = Credentials { username: "j:m".to_owned(), ..joe() };
    assert!(ask(&server, ":1", Some(&colon)).map(|_| ()).unwrap_err().to_string().contains("colon"));
}

#[test]
fn where_a_redirect_leads_nobody_is_told_who_asks() {
    let store = Server::of(b"component");
    let thief = Server::start(|asked, _, stream| {
        let host = asked.header("host").unwrap();
        let offer = format!("WWW-Authenticate: Basic realm=\"x\", Bearer realm=\"http://{host}/token\"\r\n");
        answer(stream, "401 Unauthorized", &offer, b"");
    });
    for (place, outcome) in [(store.url("/x?signed=1"), true), (thief.url("/x"), false)] {
        let shelf = plain(b"component");
        let server = Server::start(move |asked, _, stream| match asked.header("authorization") {
            Some(JOE) if asked.path.contains("/blobs/") => {
                answer(stream, "307 There", &format!("Location: {place}\r\n"), b"");
            }
            Some(JOE) => shelf.answer(asked, stream),
            _ => answer(stream, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b""),
        });
        assert_eq!(ask(&server, ":1", Some(&joe())).is_ok(), outcome);
    }
    // From the first request on, before the registry itself has asked.
    let place = thief.url("/x");
    let early = Server::start(move |asked, _, stream| match asked.path.as_str() {
        "/v2/" => answer(stream, "200 OK", "", b"{}"),
        _ => answer(stream, "302 There", &format!("Location: {place}\r\n"), b""),
    });
    assert!(ask(&early, ":1", Some(&joe())).is_err());
    assert_eq!((store.asked().len(), thief.asked().len()), (1, 2));
    for asked in store.asked().iter().chain(&thief.asked()) {
        assert_eq!(asked.header("authorization"), None, "{asked:?}");
    }
    let around = Server::start(|asked, _, stream| match asked.path.as_str() {
        "/v2/" => answer(stream, "200 OK", "", b"{}"),
        path => answer(stream, "302 There", &format!("Location: {path}\r\n"), b""),
    });
    assert!(ask(&around, ":1", None).map(|_| ()).unwrap_err().to_string().contains("more than 5 redirects"));
}

#[test]
fn what_fails_is_tried_again_and_then_given_up() {
    let shelf = plain(b"component");
    // Overloaded, then broken off; then it answers.
    let server = Server::start(move |asked, number, stream| match number {
        2 => answer(stream, "503 Busy", "", b""),
        5 => say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncomp"),
        _ => shelf.answer(asked, stream),
    });
    assert_eq!(ask(&server, ":1", None).unwrap().bytes, b"component");
    let busy = Server::start(|asked, _, stream| match asked.path.as_str() {
        "/v2/" => answer(stream, "200 OK", "", b"{}"),
        _ => answer(stream, "503 Busy", "", b""),
    });
    let error = ask(&busy, ":1", None).map(|_| ()).unwrap_err();
    assert!(matches!(error, PullError::Status { status: 503, .. }), "{error}");
    assert_eq!(busy.asked().len(), 4);
    let nobody = Shelf::default().open();
    let port = nobody.port();
    drop(nobody);
    let reference: Reference = format!("127.0.0.1:{port}/vendor/probe").parse().unwrap();
    let request = Pull { reference: &reference, credentials: None, ca: None, plain_http: true, limit: LIMIT };
    let error = pull(&request).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("unreachable") && error.contains("tried 3 times"), "{error}");
}
