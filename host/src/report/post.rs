//! One POST on one connection. The manager is not trusted either: no redirects, a bounded head of its answer, its body
//! not read, since the status is the whole answer, and a deadline on everything.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{NotDelivered, Outcome};
use crate::error::chain;

const CONNECT: Duration = Duration::from_secs(2);
/// From the connection to the status of the answer.
const EXCHANGE: Duration = Duration::from_secs(3);
/// The longest head of an answer.
const HEAD: usize = 16 * 1024;

/// Posts a body from one address of this machine to a manager.
pub(super) async fn post(
    from: Ipv4Addr,
    manager: SocketAddrV4,
    path: &'static str,
    body: Bytes,
) -> Result<(), NotDelivered> {
    let stream = timeout(CONNECT, connect(from, manager))
        .await
        .map_err(|_| NotDelivered::new(Outcome::Unreachable, "no connection in time"))?
        .map_err(|error| NotDelivered::new(Outcome::Unreachable, chain(&error)))?;
    let request =
        request(manager, path, body).map_err(|error| NotDelivered::new(Outcome::Broken, chain(&error)))?;
    let status = timeout(EXCHANGE, exchange(stream, request))
        .await
        .map_err(|_| NotDelivered::new(Outcome::Late, "no answer in time"))?
        .map_err(|error| NotDelivered::new(Outcome::Broken, chain(&error)))?;
    if status != StatusCode::OK {
        return Err(NotDelivered::new(Outcome::Refused, status.to_string()));
    }
    Ok(())
}

async fn connect(from: Ipv4Addr, manager: SocketAddrV4) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // The report leaves from the address that it names, so that a manager can compare the two.
    socket.bind(SocketAddrV4::new(from, 0).into())?;
    socket.set_nodelay(true)?;
    socket.connect(manager.into()).await
}

fn request(
    manager: SocketAddrV4,
    path: &'static str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    Request::post(path)
        .header(HOST, manager.to_string())
        .header(USER_AGENT, concat!("cardcage-agent/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close")
        .body(Full::new(body))
}

async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<StatusCode, hyper::Error> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The connection is over; what it brought is with the answer.
        _ = connection => answer.await,
    };
    Ok(answer?.status())
}
