//! The listener, over real connections from several addresses of the loopback.

mod certificates; // of authorities that last as long as a test
mod others; // programs that are not ours
mod tls;
mod work; // answers that take longer than a connection lives

use std::net::{Ipv4Addr, SocketAddrV4};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use super::*;

const LIMITS: Limits = Limits {
    connections: 8,
    head: Duration::from_secs(30),
    unread: Duration::from_secs(30),
    life: Duration::from_secs(60),
    grace: Duration::from_secs(1),
};

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers with the length of the body.
    fn start(limits: Limits) -> Self {
        Self::of(Listener::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap())
    }

    fn of(listener: Listener) -> Self {
        let (address, stop) = (listener.address(), CancellationToken::new());
        let answer = async |request: Request<Incoming>, _: Ends| {
            let length = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
            Response::new(Full::new(Bytes::from(length.to_string())))
        };
        let answer = move |request, ends| {
            Box::pin(answer(request, ends)) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
        };
        let task = tokio::spawn(listener.serve(answer, stop.clone()));
        Self { address, stop, task }
    }

    async fn connect(&self, from: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn ask(&self, from: u8) -> String {
        let mut stream = self.connect(from).await;
        stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// Waits for the end of a connection.
async fn ended(stream: &mut (impl AsyncRead + Unpin)) {
    let read = timeout(Duration::from_secs(20), stream.read(&mut [0; 4096])).await.expect("it stays open");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn idle_connections_of_one_peer_do_not_keep_another_out() {
    let server = Server::start(LIMITS);
    let mut idle = Vec::new();
    for _ in 0..LIMITS.connections {
        idle.push(server.connect(2).await);
    }
    for _ in 0..3 {
        assert!(server.ask(3).await.starts_with("HTTP/1.1 200"));
        // Its own peer gets through, too.
        assert!(server.ask(2).await.starts_with("HTTP/1.1 200"));
    }
    ended(&mut idle[0]).await;
}

#[tokio::test]
async fn a_head_has_a_deadline_and_a_length() {
    let server = Server::start(Limits { head: Duration::from_millis(200), ..LIMITS });
    let mut slow = server.connect(2).await;
    slow.write_all(b"GET / HTTP/1.1\r\nA: ").await.unwrap();
    ended(&mut slow).await;
    let mut long = server.connect(2).await;
    let mut answer = String::new();
    // It is closed while it still sends.
    let _ = long.write_all(format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(2 * HEAD)).as_bytes()).await;
    let _ = long.read_to_string(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn a_connection_has_an_age_however_busy_it_is() {
    let server = Server::start(Limits { life: Duration::from_millis(300), ..LIMITS });
    let mut busy = server.connect(2).await;
    busy.write_all(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
    // A body that never comes to its end.
    ended(&mut busy).await;
}

#[tokio::test]
async fn an_answer_that_nobody_takes_ends_its_connection() {
    let listener = Listener::bind(
        "127.0.0.1:0".parse().unwrap(),
        Limits { unread: Duration::from_millis(300), ..LIMITS },
    );
    let listener = listener.unwrap();
    let (address, connections, stop) = (listener.address(), listener.connections(), CancellationToken::new());
    // More than the buffers of both ends take.
    let answer = |_: Request<Incoming>, _: Ends| {
        std::future::ready(Response::new(Full::new(Bytes::from(vec![0; 64 << 20]))))
    };
    let _server = tokio::spawn(listener.serve(answer, stop.clone()));
    let mut unread = TcpStream::connect(address).await.unwrap();
    unread.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let opened = async {
        while connections.open() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        while connections.open() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), opened).await.expect("it is kept");
}

#[tokio::test]
async fn stopping_waits_for_what_is_being_answered_and_not_for_ever() {
    let server = Server::start(LIMITS);
    let mut prompt = server.connect(2).await;
    prompt.write_all(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n").await.unwrap();
    let mut never = server.connect(3).await;
    never.write_all(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n").await.unwrap();
    // Both are begun when a later connection has been answered.
    server.ask(4).await;
    server.stop.cancel();
    prompt.write_all(b"hello").await.unwrap();
    let mut answer = String::new();
    prompt.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('5'), "{answer}");
    ended(&mut never).await;
    timeout(Duration::from_secs(20), server.task).await.expect("it does not stop").unwrap();
}
