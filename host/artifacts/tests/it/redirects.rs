//! Where a repository sends one, and what goes along.

use std::sync::{Arc, Mutex};

use cardcage_artifacts::Request;

use crate::bench::{Bench, content, limits};
use crate::server::{Server, answer};

fn redirect(stream: &mut std::net::TcpStream, location: &str) {
    answer(stream, "302 Found", &format!("Location: {location}\r\n"), b"elsewhere");
}

#[test]
fn five_redirects_are_followed_and_no_more() {
    let server = Server::start(|asked, _, stream| match asked.path.trim_start_matches('/').parse::<u32>() {
        Ok(0) => answer(stream, "200 OK", "", b"content"),
        Ok(left) => redirect(stream, &format!("{}", left - 1)),
        Err(_) => answer(stream, "404 No", "", b""),
    });
    let bench = Bench::new(limits());
    assert_eq!(content(&bench.fetch(&server.url("/5")).unwrap()), b"content");
    let error = bench.fetch(&server.url("/6")).unwrap_err();
    assert!(error.code() == "invalid" && error.to_string().contains("5 redirects"), "{error}");
}

#[test]
fn each_hop_is_asked_for_before_anything_is_sent_to_it() {
    let inner = Server::of(b"secret");
    let place = inner.url("/");
    let server = Server::start(move |_, _, stream| redirect(stream, &place));
    let bench = Bench::new(limits());
    let asked = Mutex::new(Vec::new());
    let (front, back) = (server.port(), inner.port());
    let request = Request {
        url: &server.url("/a"),
        sha256: None,
        allowed: &|host, port| {
            asked.lock().unwrap().push((host.to_owned(), port));
            port == front
        },
        cancelled: &Arc::default(),
    };
    let error = bench.store.fetch(&request, &mut |_| {}).unwrap_err();
    assert!(error.code() == "denied" && error.to_string().contains(&back.to_string()), "{error}");
    assert_eq!(inner.asked().len(), 0);
    assert_eq!(asked.lock().unwrap().last(), Some(&("127.0.0.1".to_owned(), back)));
    // Not even what is kept is given out.
    let digest = crate::bench::sha256(b"secret");
    let held = bench.fetch(&inner.url("/")).unwrap();
    let refused = Request { sha256: Some(&digest), allowed: &|_, _| false, ..request };
    assert_eq!(bench.store.fetch(&refused, &mut |_| {}).unwrap_err().code(), "denied");
    drop(held);
}

#[test]
fn other_schemes_and_nowhere_are_refused() {
    for location in ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x/", "http://", "http://a b/"] {
        let server = Server::start(move |_, _, stream| redirect(stream, location));
        assert_eq!(
            Bench::new(limits()).fetch(&server.url("/a")).unwrap_err().code(),
            "invalid",
            "{location}"
        );
    }
    let server = Server::start(|_, _, stream| answer(stream, "301 Moved", "", b""));
    assert_eq!(Bench::new(limits()).fetch(&server.url("/a")).unwrap_err().code(), "invalid");
}

#[test]
fn credentials_go_to_their_place_only_and_are_nowhere_on_disk() {
    let other = Server::of(b"content");
    let place = other.url("/");
    let server = Server::start(move |asked, _, stream| match asked.path.as_str() {
        "/a" => redirect(stream, "/b"),
        _ => redirect(stream, &place),
    });
    let bench = Bench::new(limits());
    let url = server.url("/a").replace("http://", "http://joe:s3cret@");
    let artifact = bench.fetch(&url).unwrap();
    assert_eq!(content(&artifact), b"content");
    assert!(
        server.asked().iter().all(|asked| asked.header("authorization") == Some("Basic am9lOnMzY3JldA=="))
    );
    assert_eq!((server.asked().len(), other.asked()[0].header("authorization")), (2, None));
    let stored = std::fs::read_to_string(bench.folder.path().join("urls.json")).unwrap();
    assert!(!stored.contains("s3cret") && !stored.contains("joe") && !stored.contains("am9l"), "{stored}");
}
