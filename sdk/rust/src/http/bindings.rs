//! Generated from `requests.wit`, the part of `wasi:http` that is used.

#![allow(missing_docs, reason = "generated")]

wit_bindgen::generate!({
    path: "src/http/requests.wit",
    world: "cardcage:requests/requests",
    generate_all,
});

pub use wasi::http::outgoing_handler::handle;
pub use wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme, http_error_code,
};
pub use wasi::io::streams::StreamError;
