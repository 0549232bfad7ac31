//! One request through `wasi:http`, start to end.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::bindings::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme, StreamError, handle, http_error_code,
};
use super::{Fault, HttpError, LONGEST_REQUEST, Method, Request, Response, bindings};

/// What the interface lets write at once.
const CHUNK: usize = 4096;
/// What is read at once.
const PIECE: u64 = 64 << 10;

/// Sends, and waits for all of the response.
pub fn send(request: &Request) -> Result<Response, HttpError> {
    let url = request.url();
    if request.body.len() > LONGEST_REQUEST {
        return Err(HttpError::new(
            Fault::Request,
            format!("{url}: a body of more than {LONGEST_REQUEST} bytes"),
        ));
    }
    let (outgoing, body) = outgoing(request).map_err(|what| {
        HttpError::new(Fault::Request, format!("{url}: the {what} of the request is not allowed"))
    })?;
    let waiting = handle(outgoing, Some(options(request))).map_err(|error| failed(&url, &error))?;
    if let Some(body) = body {
        write(body, &request.body);
    }
    let response = wait(&waiting, &url)?;
    let (status, headers) = (response.status(), response.headers().entries());
    let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let body = read(&response, request.most, &url)?;
    Ok(Response { status, headers, body, url })
}

/// The name of what is refused is the error.
fn outgoing(request: &Request) -> Result<(OutgoingRequest, Option<OutgoingBody>), &'static str> {
    let mut headers = request.headers.clone();
    if !request.body.is_empty() {
        // Some controllers do not know bodies whose length is not said first.
        headers.push(("content-length".into(), format!("{}", request.body.len()).into_bytes()));
    }
    let outgoing = OutgoingRequest::new(Fields::from_list(&headers).map_err(|_| "headers")?);
    let method = match request.method {
        Method::Get => bindings::Method::Get,
        Method::Post => bindings::Method::Post,
        Method::Patch => bindings::Method::Patch,
        Method::Delete => bindings::Method::Delete,
    };
    let scheme = if request.tls { Scheme::Https } else { Scheme::Http };
    outgoing.set_method(&method).map_err(|()| "method")?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| "scheme")?;
    outgoing.set_authority(Some(&request.authority)).map_err(|()| "host")?;
    outgoing.set_path_with_query(Some(&request.path)).map_err(|()| "path")?;
    let body = match request.body.is_empty() {
        true => None,
        false => Some(outgoing.body().map_err(|()| "body")?),
    };
    Ok((outgoing, body))
}

fn options(request: &Request) -> RequestOptions {
    let options = RequestOptions::new();
    if let Some(timeout) = request.timeout {
        let nanoseconds = u64::try_from(timeout.as_nanos()).ok();
        // A host that cannot do it has its own bounds.
        let _ = options.set_connect_timeout(nanoseconds);
        let _ = options.set_first_byte_timeout(nanoseconds);
        let _ = options.set_between_bytes_timeout(nanoseconds);
    }
    options
}

/// What goes wrong here is told by the response that does not come.
fn write(body: OutgoingBody, bytes: &[u8]) {
    let Ok(stream) = body.write() else { return };
    let written = bytes.chunks(CHUNK).all(|chunk| stream.blocking_write_and_flush(chunk).is_ok());
    drop(stream);
    if written {
        let _ = OutgoingBody::finish(body, None);
    }
}

fn wait(waiting: &FutureIncomingResponse, url: &str) -> Result<IncomingResponse, HttpError> {
    waiting.subscribe().block();
    match waiting.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(error))) => Err(failed(url, &error)),
        _ => Err(HttpError::new(Fault::Broken, format!("{url}: no response"))),
    }
}

fn read(response: &IncomingResponse, most: usize, url: &str) -> Result<Vec<u8>, HttpError> {
    let gone = |()| HttpError::new(Fault::Broken, format!("{url}: no body"));
    let body = response.consume().map_err(gone)?;
    let stream = body.stream().map_err(gone)?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(PIECE) {
            Ok(piece) if bytes.len() + piece.len() > most => {
                return Err(HttpError::new(Fault::TooLarge, format!("{url} answers more than {most} bytes")));
            }
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(match http_error_code(&error) {
                    Some(code) => failed(url, &code),
                    None => interrupted(url, &error.to_debug_string()),
                });
            }
        }
    }
}

/// Some hosts keep the code of what ended a body to themselves.
fn interrupted(url: &str, said: &str) -> HttpError {
    let fault = match () {
        () if said.contains("timeout") || said.contains("Timeout") => Fault::Late,
        () if said.contains("size") || said.contains("Size") => Fault::TooLarge,
        () => Fault::Broken,
    };
    HttpError::new(fault, format!("{url}: {said}"))
}

fn failed(url: &str, error: &ErrorCode) -> HttpError {
    let (fault, says) = match error {
        ErrorCode::HttpRequestDenied => {
            (Fault::Denied, "is not requested in the manifest, or not granted by the operator with `http`")
        }
        ErrorCode::ConnectionLimitReached => (Fault::Busy, "too many requests at once"),
        ErrorCode::DnsTimeout | ErrorCode::ConnectionTimeout => (Fault::Late, "no connection in time"),
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            (Fault::Unreachable, "the host is not found")
        }
        ErrorCode::ConnectionRefused => (Fault::Unreachable, "nobody listens there"),
        ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpProhibited
        | ErrorCode::DestinationIpUnroutable => (Fault::Unreachable, "the host cannot be reached"),
        ErrorCode::TlsCertificateError => (
            Fault::Untrusted,
            "its certificate is not trusted; the operator can grant `http_ca` or `http_pin`",
        ),
        ErrorCode::HttpResponseTimeout => (Fault::Late, "no answer in time"),
        ErrorCode::ConnectionReadTimeout | ErrorCode::ConnectionWriteTimeout => {
            (Fault::Late, "the body did not go on in time")
        }
        ErrorCode::HttpRequestBodySize(_) => (Fault::Request, "the request is too long"),
        ErrorCode::HttpResponseHeaderSectionSize(_) | ErrorCode::HttpResponseHeaderSize(_) => {
            (Fault::TooLarge, "the headers of the response are too long")
        }
        ErrorCode::HttpResponseBodySize(_) => (Fault::TooLarge, "the response is too long"),
        ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestMethodInvalid => {
            (Fault::Request, "the request is not allowed")
        }
        other => return HttpError::new(Fault::Broken, said(url, other)),
    };
    HttpError::new(fault, format!("{url}: {says}"))
}

fn said(url: &str, error: &ErrorCode) -> String {
    match error {
        ErrorCode::InternalError(Some(what)) => format!("{url}: {what}"),
        other => format!("{url}: {other:?}"),
    }
}
