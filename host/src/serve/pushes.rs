//! `/plugins/FILE`: plugins that a manager brings. Who may is asked before: whoever may deploy.
//!
//! ```text
//! GET     what the file holds, and what was pushed into it last; also whether pushes are taken at all
//! PUT     the .wasm: checked, and put into the plugin folder, where it is tried beside what runs
//! DELETE  ?digest=SHA-256  takes back what was pushed: the file holds again what it held before, or is gone
//! ```
//! What becomes of a plugin that was put there is shown by `GET /plugins`, as of one that an operator copied.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use cardcage_compile::PLUGIN_LIMIT;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::{Method, Request, StatusCode};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::router::{Answer, json, refuse, wrong_method};
use crate::error::chain;
use crate::model::Digest;
use crate::plugin::{FileName, PushError, Pushes};

/// Longest time for a body, all of it, and for the next piece of it.
const BODY: Duration = Duration::from_secs(240);
const PIECE: Duration = Duration::from_secs(10);

const OFF: &str = "this agent takes no plugins over the network; `push = true` in [plugins] of its configuration allows it, \
    with policy = \"require\" and the keys of those who may sign in trust";

/// The answer to a PUT. What is not known is left out.
#[derive(Serialize)]
struct Put<'a> {
    file: &'a str,
    /// The name in its manifest.
    name: String,
    version: String,
    digest: String,
    /// What the file held before.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// False if it was there already.
    changed: bool,
}

/// The answer to a GET and a DELETE: what the file holds now, and what was pushed into it last.
#[derive(Serialize)]
struct Lies<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<String>,
}

/// The answer to a peer who may deploy.
pub(super) async fn answer<B>(
    pushes: Option<&Pushes>,
    peer: IpAddr,
    file: &str,
    request: Request<B>,
) -> Answer
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Some(pushes) = pushes else { return refuse(StatusCode::FORBIDDEN, "denied", OFF) };
    let Some(file) = FileName::parse(file) else {
        let detail = "the file of a plugin is called by ASCII letters, digits and - _ . alone, at most 255, begins with no \
            dot and ends in .wasm";
        return refuse(StatusCode::BAD_REQUEST, "invalid", detail);
    };
    let done = match *request.method() {
        Method::GET | Method::HEAD => held(pushes, file.clone()).await,
        Method::PUT => put(pushes, file.clone(), request.into_body()).await,
        Method::DELETE => {
            let Some(digest) = digest(request.uri().query().unwrap_or_default()) else {
                let detail = "say what is taken back: ?digest= and the SHA-256 of what was pushed";
                return refuse(StatusCode::BAD_REQUEST, "invalid", detail);
            };
            take_back(pushes, file.clone(), digest).await
        }
        _ => return wrong_method("GET, HEAD, PUT, DELETE"),
    };
    done.unwrap_or_else(|error| {
        let reason = chain(&error);
        warn!(%peer, %file, reason, "plugin push refused");
        let (status, code) = meaning(&error);
        refuse(status, code, &reason)
    })
}

async fn held(pushes: &Pushes, file: FileName) -> Result<Answer, PushError> {
    let held = pushes.held(file.clone()).await?;
    let [digest, pushed] = [held.now, held.pushed].map(|digest| digest.map(|digest| digest.to_string()));
    Ok(json(StatusCode::OK, &Lies { file: file.as_str(), digest, pushed }))
}

async fn put<B>(pushes: &Pushes, file: FileName, body: B) -> Result<Answer, PushError>
where
    B: Body<Data = Bytes> + Send,
{
    // What the head announces; a chunked body announces nothing.
    if body.size_hint().lower() > PLUGIN_LIMIT {
        return Err(PushError::TooLarge);
    }
    let push = pushes.begin(file.clone())?;
    let until = Instant::now() + BODY;
    let mut body = std::pin::pin!(body);
    loop {
        let next = timeout_at(until.min(Instant::now() + PIECE), body.frame()).await;
        // Dropping the push ends it.
        match next.map_err(|_| PushError::Broken)? {
            None => break,
            Some(frame) => {
                // Trailers say nothing here.
                let Ok(bytes) = frame.map_err(|_| PushError::Broken)?.into_data() else { continue };
                if push.piece(bytes).await.is_err() {
                    break;
                }
            }
        }
    }
    let pushed = push.end().await?;
    let changed = pushed.before != Some(pushed.digest);
    info!(%file, plugin = pushed.name, version = pushed.version, digest = %pushed.digest, changed, "plugin pushed");
    let put = Put {
        file: file.as_str(),
        name: pushed.name,
        version: pushed.version,
        digest: pushed.digest.to_string(),
        before: pushed.before.map(|digest| digest.to_string()),
        changed,
    };
    Ok(json(StatusCode::OK, &put))
}

async fn take_back(pushes: &Pushes, file: FileName, pushed: Digest) -> Result<Answer, PushError> {
    let now = pushes.take_back(file.clone(), pushed).await?;
    let digest = now.map(|digest| digest.to_string());
    Ok(json(StatusCode::OK, &Lies { file: file.as_str(), digest, pushed: None }))
}

fn digest(query: &str) -> Option<Digest> {
    query.split('&').find_map(|pair| pair.strip_prefix("digest=")).and_then(Digest::parse)
}

/// Status and word of a refusal.
fn meaning(error: &PushError) -> (StatusCode, &'static str) {
    match error {
        PushError::Busy | PushError::Stuck => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        PushError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid"),
        PushError::Broken => (StatusCode::BAD_REQUEST, "invalid"),
        PushError::Refused(_) | PushError::Package(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
        PushError::Full(_) => (StatusCode::CONFLICT, "full"),
        PushError::NotPushed(_) | PushError::Changed | PushError::Lost => (StatusCode::CONFLICT, "conflict"),
        PushError::Io { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "io"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_is_named() {
        let of = Digest::of(b"plugin");
        assert_eq!(digest(&format!("a=b&digest={of}")), Some(of));
        for none in ["", "digest=", "digest=zz", "digests=1"] {
            assert_eq!(digest(none), None, "{none}");
        }
    }
}
