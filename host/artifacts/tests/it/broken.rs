//! Transfers that break off, stall or lie, and how they go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cardcage_artifacts::Limits;

use crate::bench::{Bench, content, fetch_with, limits, noise, sha256};
use crate::server::{Asked, Served, Server, answer, hang, say, send};

const SIZE: usize = 400_000;
const CUT: usize = 150_000;

/// The first answer breaks off; the others are as given.
fn cut_then(
    first: Served,
    then: impl Fn(&Asked, usize, &mut std::net::TcpStream) + Send + Sync + 'static,
) -> Server {
    Server::start(move |asked, number, stream| {
        if number > 1 {
            return then(asked, number, stream);
        }
        let (head, body) = first.head(asked);
        send(stream, head.as_bytes());
        send(stream, &body[..CUT]);
    })
}

#[test]
fn an_interrupted_transfer_goes_on_where_it_broke_off() {
    let file = Served::new(&noise(SIZE));
    let good = file.clone();
    let server = cut_then(file.clone(), move |asked, _, stream| good.answer(asked, stream));
    let bench = Bench::new(limits());
    let artifact = bench.fetch(&server.url("/a")).unwrap();
    assert_eq!(content(&artifact), file.content);
    let asked = server.asked();
    let second = (asked[1].from(), asked[1].header("if-range"));
    assert_eq!((asked.len(), second), (2, (Some(CUT), Some(&*file.etag))));
}

#[test]
fn a_server_without_ranges_starts_again() {
    let file = Served::new(&noise(SIZE));
    let good = file.clone();
    let server = cut_then(file.clone(), move |_, _, stream| answer(stream, "200 OK", "", &good.content));
    assert_eq!(content(&Bench::new(limits()).fetch(&server.url("/a")).unwrap()), file.content);
}

#[test]
fn without_a_name_for_the_version_nothing_is_put_together() {
    let file = Served::new(&noise(SIZE));
    let server = Server::start(move |asked, number, stream| match number {
        1 => {
            send(stream, format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes());
            send(stream, &noise(CUT));
        }
        _ => file.answer(asked, stream),
    });
    assert_eq!(content(&Bench::new(limits()).fetch(&server.url("/a")).unwrap()), noise(SIZE));
    assert_eq!(server.asked()[1].from(), None);
}

#[test]
fn a_file_that_changed_meanwhile_comes_whole() {
    let changed: Vec<u8> = noise(SIZE).iter().map(|byte| !byte).collect();
    let now = Served::new(&changed);
    let server = cut_then(Served::new(&noise(SIZE)), move |asked, _, stream| now.answer(asked, stream));
    assert_eq!(content(&Bench::new(limits()).fetch(&server.url("/a")).unwrap()), changed);
    assert_eq!(server.asked().len(), 2);
}

/// It sends the rest of the new version for the start of the old one; the digest tells.
#[test]
fn halves_of_two_versions_are_noticed_and_fetched_again() {
    let changed: Vec<u8> = noise(SIZE).iter().map(|byte| !byte).collect();
    let now = Served::new(&changed);
    let server = cut_then(Served::new(&noise(SIZE)), move |asked, _, stream| {
        let mut lying = asked.clone();
        lying.headers.remove("if-range");
        now.answer(&lying, stream);
    });
    let bench = Bench::new(limits());
    let artifact = bench.fetch_exactly(&server.url("/a"), &sha256(&changed)).unwrap();
    assert_eq!(content(&artifact), changed);
    assert_eq!(server.asked().iter().map(Asked::from).collect::<Vec<_>>(), [None, Some(CUT), None]);
}

#[test]
fn another_part_than_asked_for_is_not_taken() {
    for range in
        ["bytes 0-9/400000", "bytes 150001-399999/400000", "bytes 150000-150009/400000", "nonsense", ""]
    {
        let file = Served::new(&noise(SIZE));
        let good = file.clone();
        let server = cut_then(file, move |asked, number, stream| match number {
            2 => answer(stream, "206 Part", &format!("Content-Range: {range}\r\n"), b"0123456789"),
            _ => good.answer(asked, stream),
        });
        assert_eq!(content(&Bench::new(limits()).fetch(&server.url("/a")).unwrap()), noise(SIZE), "{range}");
        assert_eq!(server.asked().len(), 3);
    }
}

#[test]
fn less_than_what_is_here_starts_again() {
    let short = Served::new(b"short now");
    let server = cut_then(Served::new(&noise(SIZE)), move |asked, number, stream| match number {
        2 => answer(stream, "416 No", "", b""),
        _ => short.answer(asked, stream),
    });
    assert_eq!(content(&Bench::new(limits()).fetch(&server.url("/a")).unwrap()), b"short now");
}

#[test]
fn one_that_always_breaks_off_is_given_up_however_it_frames_its_answer() {
    for head in [
        "Content-Length: 1000\r\n\r\n0123456789",
        "Transfer-Encoding: chunked\r\n\r\n3e8\r\n0123456789",
        "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n0123456789\r\n",
    ] {
        let server =
            Server::start(move |_, _, stream| say(stream, format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()));
        let bench = Bench::new(limits());
        let error = bench.fetch(&server.url("/a")).unwrap_err();
        assert_eq!((error.code(), server.asked().len()), ("unreachable", 3), "{error}");
        assert_eq!(bench.files("sha256").len(), 0);
    }
}

#[test]
fn what_is_no_http_is_unreachable() {
    let endless = Server::start(|_, _, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\n");
        while send(stream, b"X-More: and more\r\n") {}
    });
    let noise = Server::start(|_, _, stream| say(stream, b"\x00\x01SSH-2.0\r\n\r\n"));
    let silent = Server::start(|_, _, _| {});
    for server in [endless, noise, silent] {
        let error = Bench::new(limits()).fetch(&server.url("/a")).unwrap_err();
        assert_eq!(error.code(), "unreachable", "{error}");
    }
}

/// Each try brings more than a megabyte, so none of them counts.
#[test]
fn a_bad_line_is_no_reason_while_every_try_brings_something() {
    let file = Served::new(&noise(7 << 20));
    let expected = file.content.clone();
    let server = Server::start(move |asked, _, stream| {
        let (head, body) = file.head(asked);
        send(stream, head.as_bytes());
        send(stream, &body[..body.len().min(1_200_000)]);
    });
    assert_eq!(content(&Bench::new(limits()).fetch(&server.url("/a")).unwrap()), expected);
    assert_eq!(server.asked().len(), 7);
}

#[test]
fn silence_ends_at_the_deadline_for_it() {
    let server = Server::start(|_, _, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
        hang(stream);
    });
    let mute = Server::start(|_, _, stream| hang(stream));
    for server in [server, mute] {
        let bench = Bench::new(Limits { idle: Duration::from_millis(200), tries: 2, ..limits() });
        let error = bench.fetch(&server.url("/a")).unwrap_err();
        assert_eq!((error.code(), server.asked().len()), ("unreachable", 2), "{error}");
    }
}

/// Never silent for long, never done.
#[test]
fn a_trickle_ends_at_the_deadline_for_the_whole() {
    let server = Server::start(|_, _, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while send(stream, b"x") {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let bench = Bench::new(Limits { total: Duration::from_millis(600), ..limits() });
    let started = Instant::now();
    let error = bench.fetch(&server.url("/a")).unwrap_err();
    assert_eq!((error.code(), server.asked().len()), ("unreachable", 1), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn who_gives_up_is_heard_and_the_next_one_goes_on_from_there() {
    let file = Served::new(&noise(SIZE));
    let served = file.clone();
    let server = Server::start(move |asked, number, stream| {
        if number > 1 {
            return served.answer(asked, stream);
        }
        let (head, body) = served.head(asked);
        send(stream, head.as_bytes());
        send(stream, &body[..CUT]);
        hang(stream);
    });
    let bench =
        Bench::new(Limits { idle: Duration::from_secs(300), total: Duration::from_secs(300), ..limits() });
    let cancelled = Arc::new(AtomicBool::new(false));
    let error = fetch_with(&bench.store, &server.url("/a"), None, &cancelled, &mut |step| {
        cancelled.store(step.received == CUT as u64, Ordering::Relaxed);
    });
    assert_eq!(error.unwrap_err().code(), "cancelled");
    assert_eq!(content(&bench.fetch(&server.url("/a")).unwrap()), file.content);
    assert_eq!(server.asked()[1].from(), Some(CUT));
}
