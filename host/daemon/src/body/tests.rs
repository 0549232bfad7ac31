//! Bodies, over real connections.

use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::listen::{Ends, Limits, Listener};

const LIMIT: usize = 10;
const LONG: Duration = Duration::from_secs(30);

type Outcome = Result<Bytes, BodyError>;

/// Reads bodies, and tells what came of them.
struct Server {
    address: SocketAddr,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    stop: CancellationToken,
}

impl Server {
    fn start(within: Duration) -> Self {
        let limits = Limits { connections: 8, head: LONG, unread: LONG, life: LONG, grace: LONG };
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
        let (address, stop) = (listener.address(), CancellationToken::new());
        let (tell, outcomes) = mpsc::unbounded_channel();
        let answer = move |request: Request<Incoming>, _: Ends| {
            let tell = tell.clone();
            // Its connection may end before it does.
            let read = tokio::spawn(async move {
                tell.send(read(request.into_body(), LIMIT, within).await).unwrap();
            });
            async {
                read.await.unwrap();
                Response::new(Full::new(Bytes::new()))
            }
        };
        tokio::spawn(listener.serve(answer, stop.clone()));
        Self { address, outcomes, stop }
    }

    async fn outcome(&mut self, head: &str, body: &str) -> Outcome {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("POST / HTTP/1.1\r\n{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        let outcome = timeout(LONG, self.outcomes.recv()).await.expect("nothing comes of it").unwrap();
        let mut answer = [0; 12];
        timeout(LONG, stream.read_exact(&mut answer)).await.expect("no answer").unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        outcome
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn a_body_has_a_length_whatever_its_head_says() {
    let mut server = Server::start(LONG);
    let too_large = Err(BodyError::TooLarge { limit: LIMIT });
    for (head, body, outcome) in [
        ("A: b", "", Ok(Bytes::new())),
        ("Content-Length: 10", "0123456789", Ok("0123456789".into())),
        // Refused before there is any of it.
        ("Content-Length: 11", "", too_large.clone()),
        ("Content-Length: 18446744073709551613", "", too_large.clone()),
        ("Transfer-Encoding: chunked", "0\r\n\r\n", Ok(Bytes::new())),
        (
            "Transfer-Encoding: chunked",
            "5\r\n01234\r\n5\r\n56789\r\n0\r\nA: b\r\n\r\n",
            Ok("0123456789".into()),
        ),
        // Refused although it has no end yet.
        ("Transfer-Encoding: chunked", "5\r\n01234\r\n6\r\n56789a\r\n", too_large.clone()),
        ("Transfer-Encoding: chunked", "b\r\n0123456789a", too_large),
    ] {
        assert_eq!(server.outcome(head, body).await, outcome, "{head} {body}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_late() {
    let within = Duration::from_millis(200);
    let mut server = Server::start(within);
    for (head, body) in [
        ("Content-Length: 10", "012345678"),
        ("Transfer-Encoding: chunked", "5\r\n01234\r\n"),
        ("Content-Length: 10", ""),
    ] {
        assert_eq!(server.outcome(head, body).await, Err(BodyError::Late { within }), "{head} {body}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_body() {
    let mut server = Server::start(LONG);
    for bytes in [
        "Content-Length: 10\r\n\r\n012345678",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
        "Transfer-Encoding: chunked\r\n\r\nnothing\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(format!("POST / HTTP/1.1\r\n{bytes}").as_bytes()).await.unwrap();
        drop(stream);
        let outcome = timeout(LONG, server.outcomes.recv()).await.expect("nothing comes of it");
        assert_eq!(outcome, Some(Err(BodyError::Broken)), "{bytes}");
    }
}

proptest! {
    #[test]
    fn frames_make_the_body_or_pass_the_limit(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..8),
        limit in 0_usize..40,
    ) {
        let whole = frames.concat();
        let frames = body_of(frames);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let outcome = runtime.block_on(read(frames, limit, LONG));
        match whole.len() <= limit {
            true => prop_assert_eq!(outcome, Ok(Bytes::from(whole))),
            false => prop_assert_eq!(outcome, Err(BodyError::TooLarge { limit })),
        }
    }
}

/// A body of these frames, which announces nothing.
fn body_of(frames: Vec<Vec<u8>>) -> impl Body<Data = Bytes, Error = std::convert::Infallible> {
    struct Frames(std::vec::IntoIter<Vec<u8>>);
    impl Body for Frames {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Ready(self.0.next().map(|data| Ok(hyper::body::Frame::data(data.into()))))
        }
    }
    Frames(frames.into_iter())
}
