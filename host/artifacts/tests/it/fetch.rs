//! What is fetched, kept and asked for again.

use std::sync::Mutex;

use cardcage_artifacts::Limits;

use crate::bench::{Bench, content, fetch, fetch_with, limits, noise, sha256};
use crate::server::{Served, Server, answer, say, send};

#[test]
fn a_file_comes_whole_and_progress_says_how_far() {
    let file = noise(300_000);
    let server = Server::of(&file);
    let bench = Bench::new(limits());
    let mut steps = Vec::new();
    let artifact = fetch_with(&bench.store, &server.url("/a.tar"), None, &Default::default(), &mut |step| {
        steps.push(step)
    })
    .unwrap();
    assert_eq!(content(&artifact), file);
    assert_eq!((artifact.digest().to_string(), artifact.size()), (sha256(&file), 300_000));
    assert!(steps.is_sorted_by_key(|step| step.received), "{steps:?}");
    assert_eq!(steps.last().map(|step| (step.received, step.total)), Some((300_000, Some(300_000))));
    assert_eq!(bench.files("partial"), [""; 0]);
    let asked = &server.asked()[0];
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    assert_eq!(asked.header("range"), None);
}

#[test]
fn an_empty_file_is_a_file() {
    let server = Server::of(b"");
    assert_eq!(Bench::new(limits()).fetch(&server.url("/")).unwrap().size(), 0);
}

#[test]
fn a_known_digest_that_is_kept_needs_no_network() {
    let server = Server::of(b"content");
    let bench = Bench::new(limits());
    let digest = sha256(b"content");
    bench.fetch_exactly(&server.url("/a"), &digest).unwrap();
    let dead = format!("http://127.0.0.1:{}/a", server.port());
    drop(server);
    bench.fetch_exactly(&dead, &digest.to_uppercase()).unwrap();
    assert_eq!(bench.fetch(&dead).unwrap_err().code(), "unreachable");
}

#[test]
fn an_unchanged_file_is_not_transferred_again_and_a_changed_one_is() {
    let file = std::sync::Arc::new(Mutex::new(Served::new(b"one")));
    let now = file.clone();
    let server = Server::start(move |asked, _, stream| now.lock().unwrap().answer(asked, stream));
    let bench = Bench::new(limits());
    assert_eq!(content(&bench.fetch(&server.url("/a")).unwrap()), b"one");
    // Another process, later.
    let store = cardcage_artifacts::Store::open(bench.folder.path(), limits(), None).unwrap();
    assert_eq!(content(&fetch(&store, &server.url("/a"), None).unwrap()), b"one");
    *file.lock().unwrap() = Served::new(b"two");
    assert_eq!(content(&fetch(&store, &server.url("/a"), None).unwrap()), b"two");
    let conditions: Vec<bool> =
        server.asked().iter().map(|asked| asked.header("if-none-match").is_some()).collect();
    assert_eq!(conditions, [false, true, true]);
}

#[test]
fn unchanged_but_gone_from_the_cache_is_transferred_again() {
    let server = Server::of(b"content");
    let bench = Bench::new(limits());
    let kept = bench.fetch(&server.url("/a")).unwrap().path().to_owned();
    std::fs::remove_file(kept).unwrap();
    assert_eq!(content(&bench.fetch(&server.url("/a")).unwrap()), b"content");
}

#[test]
fn a_server_that_says_unchanged_without_being_asked_is_not_believed() {
    let server = Server::start(|_, _, stream| say(stream, b"HTTP/1.1 304 Not Modified\r\n\r\n"));
    assert_eq!(Bench::new(limits()).fetch(&server.url("/a")).unwrap_err().code(), "unreachable");
}

#[test]
fn each_refusal_has_its_word_and_only_what_may_pass_is_tried_again() {
    for (status, code, tries) in [
        ("404 Not Found", "absent", 1),
        ("410 Gone", "absent", 1),
        ("401 Unauthorized", "denied", 1),
        ("403 Forbidden", "denied", 1),
        ("400 Bad", "unreachable", 1),
        ("204 Nothing", "unreachable", 1),
        ("500 Oh", "unreachable", 3),
        ("503 Busy", "unreachable", 3),
        ("429 Slowly", "unreachable", 3),
    ] {
        let server = Server::start(move |_, _, stream| answer(stream, status, "", b""));
        let error = Bench::new(limits()).fetch(&server.url("/a?token=hidden")).unwrap_err();
        assert_eq!((error.code(), server.asked().len()), (code, tries), "{status}: {error}");
        let text = error.to_string();
        assert!(text.contains(&status[..3]) && text.contains("/a") && !text.contains("hidden"), "{text}");
    }
}

#[test]
fn a_busy_server_gets_another_try() {
    let file = Served::new(b"content");
    let server = Server::start(move |asked, number, stream| match number {
        1 => answer(stream, "503 Busy", "", b""),
        _ => file.answer(asked, stream),
    });
    assert_eq!(content(&Bench::new(limits()).fetch(&server.url("/a")).unwrap()), b"content");
}

#[test]
fn too_large_is_refused_whether_announced_or_not() {
    let limits = Limits { artifact: 100_000, ..limits() };
    let announced = Server::start(|_, _, stream| answer(stream, "200 OK", "", &noise(100_001)));
    let closed = Server::start(|_, _, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while send(stream, &noise(10_000)) {}
    });
    let chunked = Server::start(|_, _, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while send(stream, b"400\r\n") && send(stream, &noise(1024)) && send(stream, b"\r\n") {}
    });
    for server in [announced, closed, chunked] {
        let bench = Bench::new(limits.clone());
        let error = bench.fetch(&server.url("/a")).unwrap_err();
        assert_eq!(error.code(), "too-large");
        assert!(error.to_string().contains("100000"), "{error}");
        assert_eq!((bench.files("partial").len(), bench.files("sha256").len()), (0, 0));
        assert_eq!(server.asked().len(), 1);
    }
    let exact = Server::of(&noise(100_000));
    Bench::new(limits).fetch(&exact.url("/a")).unwrap();
}

#[test]
fn a_wrong_digest_names_both_and_leaves_nothing() {
    let server = Server::of(b"content");
    let bench = Bench::new(limits());
    let expected = sha256(b"other");
    let error = bench.fetch_exactly(&server.url("/a"), &expected).unwrap_err();
    assert_eq!(error.code(), "mismatch");
    assert!(
        error.to_string().contains(&expected) && error.to_string().contains(&sha256(b"content")),
        "{error}"
    );
    assert_eq!((bench.files("partial").len(), bench.files("sha256").len()), (0, 0));
    assert_eq!(bench.fetch_exactly(&server.url("/a"), "abc").unwrap_err().code(), "invalid");
}

#[test]
fn the_quota_removes_what_nobody_holds() {
    let bench = Bench::new(Limits { quota: 1500, ..limits() });
    let servers = [1u8, 2, 3].map(|first| Server::of(&[vec![first], noise(999)].concat()));
    let one = bench.fetch(&servers[0].url("/")).unwrap();
    let two = bench.fetch(&servers[1].url("/")).unwrap();
    assert_eq!(bench.files("sha256").len(), 2, "both are held");
    let copy = one.clone();
    drop(one);
    assert_eq!(bench.files("sha256").len(), 2, "a copy holds it too");
    drop(copy);
    assert_eq!(bench.files("sha256"), [two.digest().to_string()]);
    drop(two);
    let three = bench.fetch(&servers[2].url("/")).unwrap();
    assert_eq!(bench.files("sha256"), [three.digest().to_string()]);
}

#[test]
fn one_larger_than_the_quota_is_usable_while_it_is_held() {
    let bench = Bench::new(Limits { quota: 10, ..limits() });
    let server = Server::of(&noise(1000));
    let artifact = bench.fetch(&server.url("/")).unwrap();
    assert_eq!(content(&artifact).len(), 1000);
    drop(artifact);
    assert_eq!(bench.files("sha256").len(), 0);
    assert_eq!(content(&bench.fetch(&server.url("/")).unwrap()).len(), 1000);
}

#[test]
fn what_a_killed_process_left_is_removed_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let bench =
        Bench { store: cardcage_artifacts::Store::open(folder.path(), limits(), None).unwrap(), folder };
    std::fs::write(bench.folder.path().join("sha256/half.new"), "x").unwrap();
    std::fs::write(bench.folder.path().join("partial/stray"), "x").unwrap();
    std::fs::write(bench.folder.path().join("urls.json"), "{ half").unwrap();
    let store = cardcage_artifacts::Store::open(bench.folder.path(), limits(), None).unwrap();
    assert_eq!((bench.files("partial").len(), bench.files("sha256").len()), (0, 0));
    let server = Server::of(b"content");
    fetch(&store, &server.url("/a"), None).unwrap();
}
