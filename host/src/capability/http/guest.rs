//! What `wasi:http` of a guest leads to. The interface is the runtime's own; how a request is sent is ours.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::{Request, Response};
use tokio::time::Instant;
use tracing::debug;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks};

use super::real::{Client, Connection, HttpError, Pace};
use crate::capability::Patience;

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
}

impl Http {
    pub fn new(client: Client, patience: Patience) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(FIELDS);
        Self { ctx, hooks: Hooks { client, patience } }
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

/// In the words of `wasi:http`. What it has no word for is told whole.
fn told(error: HttpError) -> Error {
    debug!(reason = error.said(), "a plugin's request failed");
    match error {
        HttpError::Denied(_) => Error::HttpRequestDenied,
        HttpError::Address(_) => Error::HttpRequestUriInvalid,
        HttpError::Busy => Error::ConnectionLimitReached,
        HttpError::LookupLate(_) => Error::DnsTimeout,
        HttpError::Lookup { .. } => Error::DnsError { rcode: None, info_code: None },
        HttpError::ConnectLate(_) => Error::ConnectionTimeout,
        HttpError::Connect { ref source, .. } => match source.kind() {
            std::io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
            _ => Error::DestinationUnavailable,
        },
        HttpError::Certificate { .. } => Error::TlsCertificateError,
        HttpError::Tls { .. } => Error::TlsProtocolError,
        HttpError::AnswerLate(_) => Error::HttpResponseTimeout,
        HttpError::RequestTooLarge => Error::HttpRequestBodySize(None),
        HttpError::HeadTooLarge => Error::HttpResponseHeaderSectionSize(None),
        HttpError::ResponseTooLarge => Error::HttpResponseBodySize(None),
        HttpError::BodyLate => Error::ConnectionReadTimeout,
        HttpError::Http(ref source) if source.is_incomplete_message() || source.is_closed() => {
            Error::HttpResponseIncomplete
        }
        HttpError::Http(ref source) if source.is_parse() => Error::HttpProtocolError,
        HttpError::Http(_) => Error::ConnectionTerminated,
        HttpError::Trust(_) | HttpError::Unfinished(_) => Error::InternalError(Some(error.said())),
    }
}
