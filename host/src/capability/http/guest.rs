//! What `wasi:http` of a guest leads to. The interface is the runtime's own; how a request is sent is ours.

use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response};
use tokio::time::Instant;
use tracing::debug;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks};

use super::real::{Client, Connection, HttpError, Pace};
use crate::capability::Patience;
use crate::capability::tape::{Exchange, Tape, shown};
use crate::plugin::bindings::cardcage::types::errors as wit;

/// The longest that a request may take, whatever the deadline of the call.
const MOST: Duration = Duration::from_secs(2);
/// Headers of a request, as they are kept: some times what they are on the wire.
const FIELDS: usize = 32 << 10;
/// What a guest writes of a body at once.
const CHUNK: usize = 64 << 10;

/// The capability of one instance.
#[derive(Debug)]
pub struct Http {
    pub ctx: WasiHttpCtx,
    pub hooks: Hooks,
}

/// How requests are sent.
#[derive(Debug)]
pub struct Hooks {
    client: Client,
    patience: Patience,
    tape: Tape,
}

impl Http {
    pub fn new(client: Client, patience: Patience, tape: Tape) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(FIELDS);
        Self { ctx, hooks: Hooks { client, patience, tape } }
    }
}

type Worker = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(Response<WasiBody>, Worker), Error>;

impl WasiHttpHooks for Hooks {
    /// A guest says which.
    fn default_scheme(&mut self) -> Option<hyper::http::uri::Scheme> {
        None
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Worker,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let options = options.unwrap_or_default();
        let pace = Pace {
            until: Instant::now() + self.patience.left().min(MOST),
            connect: options.connect_timeout,
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        };
        let client = self.client.clone();
        if !self.tape.is_off() {
            return Box::new(taped(self.tape.clone(), client, request, pace));
        }
        Box::new(async move {
            let (response, connection) = client.send(request, pace).await.map_err(told)?;
            let response = response.map(|body| body.map_err(told).boxed_unsync());
            // Nobody is left who would drive a connection that its call did not close.
            Ok((response, Box::new(driven(connection, pace.until)) as Worker))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }
}

async fn driven(connection: Connection, until: Instant) -> Result<(), Error> {
    let _ = tokio::time::timeout_at(until, connection).await;
    Ok(())
}

/// In the words of `wasi:http`.
fn told(error: HttpError) -> Error {
    debug!(reason = error.said(), "a plugin's request failed");
    in_words(error.word(), error.said())
}

/// What it has no word for is told whole.
fn in_words(word: &str, said: String) -> Error {
    match word {
        "denied" => Error::HttpRequestDenied,
        "invalid" => Error::HttpRequestUriInvalid,
        "busy" => Error::ConnectionLimitReached,
        "lookup-late" => Error::DnsTimeout,
        "lookup" => Error::DnsError { rcode: None, info_code: None },
        "connect-late" => Error::ConnectionTimeout,
        "refused" | "absent" => Error::ConnectionRefused,
        "unreachable" => Error::DestinationUnavailable,
        "certificate" => Error::TlsCertificateError,
        "tls" => Error::TlsProtocolError,
        "late" => Error::HttpResponseTimeout,
        "request-too-large" => Error::HttpRequestBodySize(None),
        "head-too-large" => Error::HttpResponseHeaderSectionSize(None),
        "response-too-large" => Error::HttpResponseBodySize(None),
        "body-late" => Error::ConnectionReadTimeout,
        "incomplete" => Error::HttpResponseIncomplete,
        "protocol" => Error::HttpProtocolError,
        "terminated" => Error::ConnectionTerminated,
        _ => Error::InternalError(Some(said)),
    }
}

/// One request whose answer is recorded, or comes from a recording. What the request carries is no part of it: there may
/// be passwords in it.
async fn taped(tape: Tape, client: Client, request: Request<WasiBody>, pace: Pace) -> Answer {
    let asked = tape.asked([request.method().as_str(), &shown(&request.uri().to_string())]);
    let live = async {
        let exchanged = exchange(client, request, pace).await;
        exchanged.map_err(|error| wit::Error::new(error.word(), error.said()))
    };
    let answered: Result<Exchange, wit::Error> = tape.call("http.request", asked, live).await;
    let response = answered.map_err(|error| in_words(&error.code, error.detail))?;
    let response = response.response().map_err(|error| in_words("", error.to_string()))?;
    let body = |body| Full::new(body).map_err(|never| match never {}).boxed_unsync();
    Ok((response.map(body), Box::new(std::future::ready(Ok(()))) as Worker))
}

/// The whole of one response.
async fn exchange(client: Client, request: Request<WasiBody>, pace: Pace) -> Result<Exchange, HttpError> {
    let (response, mut connection) = client.send(request, pace).await?;
    let (head, body) = response.into_parts();
    let mut body = pin!(body.collect());
    let body = tokio::select! {
        biased;
        body = &mut body => body,
        () = &mut connection => body.await,
    };
    Ok(Exchange::new(&head, &body?.to_bytes()))
}
