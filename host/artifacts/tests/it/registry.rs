//! Whether a registry answers.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::bench::{Bench, limits};
use crate::server::{Server, answer, hang, say};

fn check(status: &'static str, headers: &'static str, body: &'static [u8], expected: bool) {
    let server = Server::start(move |_, _, stream| answer(stream, status, headers, body));
    let bench = Bench::new(limits());
    let url = server.url("/some/image?x=1");
    let found = bench.store.is_registry(&url, &|_, _| true, &Arc::default()).unwrap();
    assert_eq!(found, expected, "{status} {headers}");
    assert_eq!(server.asked().iter().map(|asked| &*asked.path).collect::<Vec<_>>(), ["/v2/"]);
}

#[test]
fn registries_are_told_from_web_servers() {
    let version = "Docker-Distribution-Api-Version: registry/2.0\r\n";
    check("200 OK", version, b"", true);
    check("401 Unauthorized", version, b"{\"errors\":[]}", true);
    check("200 OK", "", b"{}", true);
    check("200 OK", "", b" { }\n", true);
    check("200 OK", "", b"<html>", false);
    check("200 OK", "", b"{\"a\":1}", false);
    check("200 OK", "", b"", false);
    check("401 Unauthorized", "", b"", false);
    check("404 Not Found", version, b"", false);
    check("302 Found", "Location: /v2/\r\n", b"", false);
}

#[test]
fn no_answer_is_no_no() {
    let bench = Bench::new(limits());
    let ask = |url: &str, allowed: bool, cancelled: bool| {
        let cancelled = Arc::new(AtomicBool::new(cancelled));
        bench.store.is_registry(url, &|_, _| allowed, &cancelled).map_err(|error| error.code())
    };
    let server = Server::start(|_, _, stream| hang(stream));
    assert_eq!(ask(&server.url("/"), false, false), Err("denied"));
    assert_eq!(ask(&server.url("/"), true, true), Err("cancelled"));
    assert_eq!(ask("ftp://x", true, false), Err("invalid"));
    let cut = Server::start(|_, _, stream| say(stream, b"HTTP/1.1 "));
    assert_eq!(ask(&cut.url("/"), true, false), Err("unreachable"));
}
