//! Many who want the same at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use cardcage_artifacts::{Artifact, Error, Limits, Request, Store};

use crate::bench::{Bench, content, fetch_with, limits, noise, until};
use crate::server::{Served, Server, hang, send};

/// Closed until it is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn pass(&self) {
        drop(self.changed.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
    }
}

/// Half of the file, and the rest when the gate opens.
fn gated(file: Served, gate: Arc<Gate>) -> Server {
    Server::start(move |asked, _, stream| {
        let (head, body) = file.head(asked);
        send(stream, head.as_bytes());
        send(stream, &body[..body.len() / 2]);
        gate.pass();
        send(stream, &body[body.len() / 2..]);
    })
}

#[test]
fn a_hundred_starts_of_one_artifact_are_one_transfer() {
    let file = Served::new(&noise(200_000));
    let gate = Arc::new(Gate::default());
    let server = gated(file.clone(), Arc::clone(&gate));
    let bench = Bench::new(limits());
    let seen = AtomicUsize::new(0);
    let artifacts: Vec<Artifact> = thread::scope(|scope| {
        let ask = || {
            let mut first = true;
            fetch_with(&bench.store, &server.url("/a"), None, &Arc::default(), &mut |_| {
                seen.fetch_add(usize::from(std::mem::take(&mut first)), Ordering::Relaxed);
            })
        };
        let threads: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
        // Everyone hears of the progress, so everyone waits for the same transfer.
        until("all hear of it", || seen.load(Ordering::Relaxed) == 100);
        gate.open();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    assert_eq!(server.asked().len(), 1);
    assert!(artifacts.iter().all(|artifact| artifact.digest() == artifacts[0].digest()));
    assert_eq!(content(&artifacts[0]), file.content);
}

#[test]
fn a_failure_is_everyones() {
    let gate = Arc::new(Gate::default());
    let passed = Arc::clone(&gate);
    let server = Server::start(move |_, _, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
        passed.pass();
    });
    let bench = Bench::new(Limits { tries: 1, ..limits() });
    let seen = AtomicUsize::new(0);
    let codes: Vec<&str> = thread::scope(|scope| {
        let ask = || {
            let mut first = true;
            let outcome = fetch_with(&bench.store, &server.url("/a"), None, &Arc::default(), &mut |_| {
                seen.fetch_add(usize::from(std::mem::take(&mut first)), Ordering::Relaxed);
            });
            outcome.unwrap_err().code()
        };
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(ask)).collect();
        until("all hear of it", || seen.load(Ordering::Relaxed) == 10);
        gate.open();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((server.asked().len(), codes), (1, vec!["unreachable"; 10]));
}

/// The one who transfers gives up: another one of those who wait goes on, from what is there. One who waits gives up:
/// nobody else notices.
#[test]
fn each_gives_up_alone() {
    let file = Served::new(&noise(200_000));
    let served = file.clone();
    let gate = Arc::new(Gate::default());
    let passed = Arc::clone(&gate);
    let server = Server::start(move |asked, number, stream| {
        let (head, body) = served.head(asked);
        send(stream, head.as_bytes());
        if number == 1 {
            send(stream, &body[..100_000]);
            return hang(stream);
        }
        passed.pass();
        send(stream, body);
    });
    // Silence has no end of its own here: only giving up ends it.
    let long = Duration::from_secs(300);
    let bench = Bench::new(Limits { idle: long, total: long, ..limits() });
    let flags: Vec<Arc<AtomicBool>> = (0..4).map(|_| Arc::default()).collect();
    let heard: Vec<AtomicUsize> = (0..4).map(|_| AtomicUsize::new(0)).collect();
    let ask = |index: usize| {
        let (flag, heard) = (&flags[index], &heard[index]);
        fetch_with(&bench.store, &server.url("/a"), None, flag, &mut |step| {
            heard.store(usize::try_from(step.received).unwrap(), Ordering::Relaxed);
        })
    };
    let outcomes: Vec<Result<Artifact, Error>> = thread::scope(|scope| {
        let leader = scope.spawn(|| ask(0));
        until("the first transfers", || heard[0].load(Ordering::Relaxed) == 100_000);
        let waiters: Vec<_> = (1..4).map(|index| scope.spawn(move || ask(index))).collect();
        until("the others wait", || heard[1..].iter().all(|heard| heard.load(Ordering::Relaxed) == 100_000));
        flags[1].store(true, Ordering::Relaxed);
        until("one who waits is gone", || waiters[0].is_finished());
        flags[0].store(true, Ordering::Relaxed);
        until("another leads", || server.asked().len() == 2);
        gate.open();
        [leader].into_iter().chain(waiters).map(|thread| thread.join().unwrap()).collect()
    });
    let codes: Vec<&str> =
        outcomes.iter().map(|outcome| outcome.as_ref().map_or_else(Error::code, |_| "here")).collect();
    assert_eq!(codes, ["cancelled", "cancelled", "here", "here"]);
    assert_eq!(server.asked()[1].from(), Some(100_000));
    assert_eq!(content(outcomes[3].as_ref().unwrap()), file.content);
}

/// What another may not reach is no way to get it, and other credentials are for the repository to judge.
#[test]
fn nobody_gets_through_another_what_they_would_not_get_alone() {
    let file = Served::new(&noise(200_000));
    let gate = Arc::new(Gate::default());
    let (served, passed) = (file.clone(), Arc::clone(&gate));
    let server = Server::start(move |asked, _, stream| {
        if asked.path == "/from" {
            let location = asked.headers["host"].replace("127.0.0.1", "localhost");
            return crate::server::answer(
                stream,
                "302 There",
                &format!("Location: http://{location}/to\r\n"),
                b"",
            );
        }
        if asked.path == "/secret" && asked.header("authorization") != Some("Basic dTpnb29k") {
            return crate::server::answer(stream, "401 Who", "", b"");
        }
        let (head, body) = served.head(asked);
        send(stream, head.as_bytes());
        send(stream, &body[..100]);
        passed.pass();
        send(stream, &body[100..]);
    });
    let bench = Bench::new(limits());
    let good = server.url("/secret").replace("://", "://u:good@");
    let bad = server.url("/secret").replace("://", "://u:bad@");
    let everywhere = server.url("/from");
    let heard = AtomicUsize::new(0);
    thread::scope(|scope| {
        let leaders: Vec<_> = [good.as_str(), everywhere.as_str()]
            .into_iter()
            .map(|url| {
                let (store, heard) = (&bench.store, &heard);
                scope.spawn(move || {
                    fetch_with(store, url, None, &Arc::default(), &mut |step| {
                        heard.fetch_add(usize::from(step.received == 100), Ordering::Relaxed);
                    })
                })
            })
            .collect();
        until("both transfer", || heard.load(Ordering::Relaxed) == 2);
        let stranger = scope.spawn(|| bench.fetch(&bad).map(drop));
        let confined = scope.spawn(|| {
            let request = Request {
                url: &everywhere,
                sha256: None,
                allowed: &|host, _| host != "localhost",
                cancelled: &Arc::default(),
            };
            bench.store.fetch(&request, &mut |_| {}).map(drop)
        });
        gate.open();
        leaders.into_iter().for_each(|leader| drop(leader.join().unwrap().unwrap()));
        assert_eq!(stranger.join().unwrap().unwrap_err().code(), "denied");
        let error = confined.join().unwrap().unwrap_err();
        assert!(error.code() == "denied" && error.to_string().contains("localhost"), "{error}");
    });
}

#[test]
fn handles_may_go_to_any_thread() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Store>();
    check::<Artifact>();
    check::<cardcage_artifacts::Tree>();
    check::<cardcage_artifacts::TarStream>();
}
