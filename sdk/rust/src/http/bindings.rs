//! What is used of `wasi:http`, and no more: an import may be a part of what the host has. The linker merges it with
//! what the standard library says of the same packages, so what is here is as it is there, alias by alias, and the
//! packages that [`crate::clock`] has too are here in full.

#![allow(missing_docs, reason = "generated")]

wit_bindgen::generate!({
    inline: "
        package cardcage:requests;

        world requests {
          import wasi:http/types@0.2.0;
          import wasi:http/outgoing-handler@0.2.0;
        }

        package wasi:io@0.2.0 {
          interface error {
            resource error {
              to-debug-string: func() -> string;
            }
          }

          interface poll {
            resource pollable {
              ready: func() -> bool;
              block: func();
            }

            poll: func(in: list<borrow<pollable>>) -> list<u32>;
          }

          interface streams {
            use error.{error};
            use poll.{pollable};

            variant stream-error {
              last-operation-failed(error), closed,
            }

            resource input-stream {
              read: func(len: u64) -> result<list<u8>, stream-error>;
              blocking-read: func(len: u64) -> result<list<u8>, stream-error>;
              skip: func(len: u64) -> result<u64, stream-error>;
              blocking-skip: func(len: u64) -> result<u64, stream-error>;
              subscribe: func() -> pollable;
            }

            resource output-stream {
              check-write: func() -> result<u64, stream-error>;
              write: func(contents: list<u8>) -> result<_, stream-error>;
              blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
              flush: func() -> result<_, stream-error>;
              blocking-flush: func() -> result<_, stream-error>;
              subscribe: func() -> pollable;
              write-zeroes: func(len: u64) -> result<_, stream-error>;
              blocking-write-zeroes-and-flush: func(len: u64) -> result<_, stream-error>;
              splice: func(src: borrow<input-stream>, len: u64) -> result<u64, stream-error>;
              blocking-splice: func(src: borrow<input-stream>, len: u64) -> result<u64, stream-error>;
            }
          }
        }

        package wasi:clocks@0.2.0 {
          interface monotonic-clock {
            use wasi:io/poll@0.2.0.{pollable};

            type instant = u64;
            type duration = u64;
            now: func() -> instant;
            resolution: func() -> duration;
            subscribe-instant: func(when: instant) -> pollable;
            subscribe-duration: func(when: duration) -> pollable;
          }
        }

        package wasi:http@0.2.0 {
          interface types {
            use wasi:clocks/monotonic-clock@0.2.0.{duration};
            use wasi:io/streams@0.2.0.{input-stream, output-stream};
            use wasi:io/error@0.2.0.{error as io-error};
            use wasi:io/poll@0.2.0.{pollable};

            variant method {
              get, head, post, put, delete, connect, options, trace, patch, other(string),
            }

            variant scheme {
              HTTP, HTTPS, other(string),
            }

            record DNS-error-payload {
              rcode: option<string>,
              info-code: option<u16>,
            }

            record TLS-alert-received-payload {
              alert-id: option<u8>,
              alert-message: option<string>,
            }

            record field-size-payload {
              field-name: option<string>,
              field-size: option<u32>,
            }

            variant error-code {
              DNS-timeout, DNS-error(DNS-error-payload), destination-not-found, destination-unavailable,
              destination-IP-prohibited, destination-IP-unroutable, connection-refused, connection-terminated,
              connection-timeout, connection-read-timeout, connection-write-timeout, connection-limit-reached,
              TLS-protocol-error, TLS-certificate-error, TLS-alert-received(TLS-alert-received-payload),
              HTTP-request-denied, HTTP-request-length-required, HTTP-request-body-size(option<u64>),
              HTTP-request-method-invalid, HTTP-request-URI-invalid, HTTP-request-URI-too-long,
              HTTP-request-header-section-size(option<u32>),
              HTTP-request-header-size(option<field-size-payload>),
              HTTP-request-trailer-section-size(option<u32>), HTTP-request-trailer-size(field-size-payload),
              HTTP-response-incomplete, HTTP-response-header-section-size(option<u32>),
              HTTP-response-header-size(field-size-payload), HTTP-response-body-size(option<u64>),
              HTTP-response-trailer-section-size(option<u32>), HTTP-response-trailer-size(field-size-payload),
              HTTP-response-transfer-coding(option<string>), HTTP-response-content-coding(option<string>),
              HTTP-response-timeout, HTTP-upgrade-failed, HTTP-protocol-error, loop-detected,
              configuration-error, internal-error(option<string>),
            }

            variant header-error {
              invalid-syntax, forbidden, immutable,
            }

            type field-key = string;
            type field-name = field-key;
            type field-value = list<u8>;

            resource fields {
              from-list: static func(entries: list<tuple<field-name, field-value>>) -> result<fields, header-error>;
              entries: func() -> list<tuple<field-name, field-value>>;
            }

            type headers = fields;
            type trailers = fields;
            type status-code = u16;

            resource outgoing-request {
              constructor(headers: headers);
              body: func() -> result<outgoing-body>;
              set-method: func(method: method) -> result;
              set-path-with-query: func(path-with-query: option<string>) -> result;
              set-scheme: func(scheme: option<scheme>) -> result;
              set-authority: func(authority: option<string>) -> result;
            }

            resource request-options {
              constructor();
              set-connect-timeout: func(duration: option<duration>) -> result;
              set-first-byte-timeout: func(duration: option<duration>) -> result;
              set-between-bytes-timeout: func(duration: option<duration>) -> result;
            }

            resource incoming-response {
              status: func() -> status-code;
              headers: func() -> headers;
              consume: func() -> result<incoming-body>;
            }

            resource incoming-body {
              %stream: func() -> result<input-stream>;
            }

            resource outgoing-body {
              write: func() -> result<output-stream>;
              finish: static func(this: outgoing-body, trailers: option<trailers>) -> result<_, error-code>;
            }

            resource future-incoming-response {
              subscribe: func() -> pollable;
              get: func() -> option<result<result<incoming-response, error-code>>>;
            }

            http-error-code: func(err: borrow<io-error>) -> option<error-code>;
          }

          interface outgoing-handler {
            use types.{outgoing-request, request-options, future-incoming-response, error-code};

            handle: func(
              request: outgoing-request,
              options: option<request-options>,
            ) -> result<future-incoming-response, error-code>;
          }
        }
    ",
    world: "cardcage:requests/requests",
    generate_all,
});

pub use wasi::http::outgoing_handler::handle;
pub use wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme, http_error_code,
};
pub use wasi::io::streams::StreamError;
