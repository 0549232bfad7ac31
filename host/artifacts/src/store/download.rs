//! One try: what is asked for, what the answer means, and its bytes into the partial.

use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::time::Instant;

use ureq::Body;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use super::locked;
use super::partial::Partial;
use super::transfer::{Arrived, Transfer};
use crate::http::{Answer, Client, Failure};
use crate::{Digest, Error, Progress};

/// Longest ETag or date that is kept, in bytes.
const TAG: usize = 512;
const CHUNK: usize = 64 << 10;

pub(super) fn attempt(
    transfer: &Transfer<'_>,
    client: &Client<'_>,
    partial: &mut Partial,
    progress: &mut dyn FnMut(Progress),
) -> Result<Arrived, Failure> {
    // Nothing would tell whether the rest belongs to what is here.
    if partial.validator().is_none() && transfer.expected.is_none() {
        partial.restart().map_err(|error| transfer.disk(&error))?;
    }
    let kept = if partial.received == 0 && transfer.expected.is_none() { kept(transfer) } else { None };
    let headers = questions(partial, kept.as_ref());
    let Answer { response, hops } = client.get(transfer.url, &headers)?;
    let total = match response.status().as_u16() {
        304 => match kept.and_then(|(digest, _)| transfer.store.hold(digest)) {
            Some(artifact) => return Ok(Arrived::Unchanged { artifact, hops }),
            None => return Err(Failure::Again("unchanged, but not in the cache".to_owned())),
        },
        200 => {
            start(transfer, partial, &response)?;
            response.body().content_length()
        }
        206 => go_on(transfer, partial, &response)?,
        416 => {
            partial.restart().map_err(|error| transfer.disk(&error))?;
            return Err(Failure::Again("the repository has less than is here".to_owned()));
        }
        status => return Err(refusal(transfer, status)),
    };
    let [etag, modified] = [header::ETAG, header::LAST_MODIFIED].map(|name| text(response.headers(), &name));
    receive(transfer, client, partial, total, response.into_body(), progress)?;
    Ok(Arrived::Here { etag, modified, hops })
}

/// The content that this address had, if it is still here.
fn kept(transfer: &Transfer<'_>) -> Option<(Digest, HeaderMap)> {
    let inner = &transfer.store.inner;
    let (digest, known) = locked(&inner.addresses).known(transfer.url.key(None))?;
    let mut headers = HeaderMap::new();
    for (name, value) in [(header::IF_NONE_MATCH, known.etag), (header::IF_MODIFIED_SINCE, known.modified)] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    (!headers.is_empty() && locked(&inner.catalog).has(digest)).then_some((digest, headers))
}

/// The rest of what is here; or all, if it is not what is kept.
fn questions(partial: &Partial, kept: Option<&(Digest, HeaderMap)>) -> HeaderMap {
    let mut headers = kept.map(|(_, headers)| headers.clone()).unwrap_or_default();
    if partial.received > 0 {
        if let Ok(range) = HeaderValue::try_from(format!("bytes={}-", partial.received)) {
            headers.insert(header::RANGE, range);
        }
        if let Some(validator) = partial.validator().and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(header::IF_RANGE, validator);
        }
    }
    headers
}

/// All of it comes, whatever is here.
fn start(transfer: &Transfer<'_>, partial: &mut Partial, response: &Response<Body>) -> Result<(), Failure> {
    let begun = partial.restart().and_then(|()| partial.describe(validator(response.headers())));
    begun.map_err(|error| transfer.disk(&error).into())
}

/// The rest comes; says how long the whole is. An answer that does not fit what is here is not taken.
fn go_on(
    transfer: &Transfer<'_>,
    partial: &mut Partial,
    response: &Response<Body>,
) -> Result<Option<u64>, Failure> {
    let range = response
        .headers()
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(content_range);
    match range {
        Some((first, last, total))
            if first == partial.received && first > 0 && last.checked_add(1) == Some(total) =>
        {
            partial.resumed = true;
            Ok(Some(total))
        }
        _ => {
            partial.restart().map_err(|error| transfer.disk(&error))?;
            Err(Failure::Again("the repository sent another part than asked for".to_owned()))
        }
    }
}

/// `bytes FIRST-LAST/TOTAL`.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()?))
}

fn refusal(transfer: &Transfer<'_>, status: u16) -> Failure {
    let what = transfer.url.to_string();
    match status {
        404 | 410 => Error::Absent { what, reason: format!("the repository answers {status}") }.into(),
        408 | 425 | 429 | 500 | 502..=504 => Failure::Again(format!("the repository answers {status}")),
        _ => Error::Status { what, status }.into(),
    }
}

fn receive(
    transfer: &Transfer<'_>,
    client: &Client<'_>,
    partial: &mut Partial,
    total: Option<u64>,
    body: Body,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Failure> {
    let limit = transfer.store.inner.limits.artifact;
    let too_large =
        || Error::TooLarge { what: transfer.url.to_string(), name: "of an artifact", limit, unit: "bytes" };
    if total.is_some_and(|total| total > limit) {
        return Err(too_large().into());
    }
    make_room(transfer, total.map_or(0, |total| total.saturating_sub(partial.received)))?;
    let mut body = body.into_reader();
    let mut chunk = vec![0; CHUNK];
    progress(Progress { received: partial.received, total });
    loop {
        let read =
            next(&mut body, &mut chunk).map_err(|error| client.failure(transfer.url, &error.into()))?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        if partial.received.saturating_add(read as u64) > limit {
            return Err(too_large().into());
        }
        partial.write(bytes).map_err(|error| transfer.disk(&error))?;
        progress(Progress { received: partial.received, total });
        // A repository that never pauses would never be interrupted elsewhere.
        if transfer.request.cancelled.load(Ordering::Relaxed) || Instant::now() >= transfer.deadline {
            return Err(client.failure(transfer.url, &ureq::Error::ConnectionFailed));
        }
    }
    match total {
        Some(total) if total != partial.received => {
            Err(Failure::Again(format!("{} bytes came of {total}", partial.received)))
        }
        _ => Ok(()),
    }
}

fn next(body: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match body.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Better no byte than a disk that is full in the end.
fn make_room(transfer: &Transfer<'_>, bytes: u64) -> Result<(), Failure> {
    match locked(&transfer.store.inner.catalog).make_room(bytes) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::NoSpace { what: format!("cache for {}", transfer.url) }.into()),
        Err(error) => Err(transfer.disk(&error).into()),
    }
}

/// What `If-Range` takes: a strong ETag, or a date of change that is not the moment of the answer, since in the same
/// second there may be another change.
fn validator(headers: &HeaderMap) -> Option<String> {
    let etag = text(headers, &header::ETAG).filter(|etag| etag.starts_with('"'));
    etag.or_else(|| {
        text(headers, &header::LAST_MODIFIED)
            .filter(|modified| text(headers, &header::DATE).is_some_and(|date| date != *modified))
    })
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (value.len() <= TAG).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_strictly() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 9, 10)));
        for text in ["bytes */10", "bytes 5-9/*", "5-9/10", "bytes 5-/10", "bytes -5-9/10", "items 5-9/10"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_names_the_very_bytes_serves_to_go_on() {
        let check = |given: &[(HeaderName, &'static str)], expected: Option<&str>| {
            let headers =
                given.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
            assert_eq!(validator(&headers).as_deref(), expected);
        };
        let (modified, date) = (header::LAST_MODIFIED, header::DATE);
        check(&[], None);
        check(&[(header::ETAG, "\"a\""), (modified.clone(), "then")], Some("\"a\""));
        check(&[(header::ETAG, "W/\"a\"")], None);
        check(&[(modified.clone(), "then")], None);
        check(&[(modified.clone(), "then"), (date.clone(), "now")], Some("then"));
        check(&[(modified, "now"), (date, "now")], None);
    }
}
