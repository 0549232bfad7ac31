//! The limit of a manager: a bare hyper server that parses each report with serde, and keeps nothing.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::Ipv4Addr;

use anyhow::Result;
use bytes::Bytes;
use cardcage_wire::board::{Heartbeat, ResourceReport};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;

pub fn run() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(4096)?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let heartbeat = request.uri().path() == "/heartbeat";
    let parsed = match request.into_body().collect().await {
        Ok(body) if heartbeat => Heartbeat::parse(&body.to_bytes()).is_ok(),
        Ok(body) => ResourceReport::parse(&body.to_bytes()).is_ok(),
        Err(_) => false,
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = if parsed { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    Ok(response)
}
