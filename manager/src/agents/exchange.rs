//! One request and its answer on one connection.

use std::net::SocketAddrV4;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, Call, NoAnswer};

/// Longest head of an answer, in bytes.
const HEAD: usize = 16 << 10;

/// Sends the request and reads the answer to its end. The caller has the deadline.
pub(super) async fn exchange<S>(
    agent: SocketAddrV4,
    stream: S,
    token: Option<&HeaderValue>,
    call: Call,
) -> Result<Answer, NoAnswer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limit = call.limit;
    let broken = |error: &dyn std::error::Error| NoAnswer::Broken { agent, reason: chain(error) };
    let request = request(agent, token, call).map_err(|error| broken(&error))?;
    let handshake = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), limit).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { NoAnswer::TooLong { agent, limit } } else { broken(&*error) }
        })?;
        Ok(Answer { status, body: body.to_bytes().into() })
    };
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The connection is over; what it brought is with the answer.
        _ = connection => answer.await,
    }
}

fn request(
    agent: SocketAddrV4,
    token: Option<&HeaderValue>,
    call: Call,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let kind = if call.method == Method::PUT { "application/wasm" } else { "application/json" };
    let mut request = Request::builder()
        .method(call.method)
        .uri(call.path)
        .header(HOST, agent.to_string())
        .header(USER_AGENT, concat!("cardcage-manager/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, token);
    }
    if !call.body.is_empty() {
        request = request.header(CONTENT_TYPE, kind);
    }
    request.body(Full::new(call.body))
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
