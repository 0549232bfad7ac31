//! Whether a container registry answers at an address: `GET /v2/` of the OCI distribution specification.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ureq::Body;
use ureq::http::{HeaderMap, Response};

use crate::Error;
use crate::http::{Client, Failure};
use crate::url::Url;

/// For all of the question; somebody waits for the answer before anything is fetched.
pub const REGISTRY_DEADLINE: Duration = Duration::from_secs(6);

/// What registries of the past and present put into every answer.
const VERSION: &str = "docker-distribution-api-version";

pub(crate) fn ask(
    url: &str,
    ca: Option<&Path>,
    allowed: &dyn Fn(&str, u16) -> bool,
    cancelled: &Arc<AtomicBool>,
) -> Result<bool, Error> {
    let url = Url::parse(url)?.with_path("/v2/");
    let client = Client {
        connect: REGISTRY_DEADLINE / 2,
        idle: REGISTRY_DEADLINE / 2,
        deadline: Instant::now() + REGISTRY_DEADLINE,
        ca,
        allowed,
        cancelled,
    };
    match client.get_once(&url, &HeaderMap::new()) {
        Ok(response) => Ok(is_registry(response)),
        Err(Failure::Final(error)) => Err(error),
        Err(Failure::Again(reason)) => Err(Error::Unreachable { what: url.to_string(), reason }),
    }
}

fn is_registry(response: Response<Body>) -> bool {
    let status = response.status().as_u16();
    let versioned = response.headers().contains_key(VERSION);
    match status {
        200 | 401 if versioned => true,
        // Some leave the header out; the specification wants nothing but 200, which every web server says too.
        200 => is_empty_object(response),
        _ => false,
    }
}

fn is_empty_object(response: Response<Body>) -> bool {
    let mut body = Vec::new();
    let read = response.into_body().into_reader().take(64).read_to_end(&mut body);
    read.is_ok()
        && body.len() < 64
        && serde_json::from_slice::<serde_json::Map<_, _>>(&body).is_ok_and(|map| map.is_empty())
}
