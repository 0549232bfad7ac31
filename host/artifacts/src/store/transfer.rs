//! One transfer, with its tries.
//!
//! ```text
//! conditional GET ─304─▶ what is kept
//!        │200 / 206
//!        ▼
//!   partial file ─broken off─▶ pause ─▶ GET with Range and If-Range, on from there
//!        │complete
//!        ▼
//!   digest as expected ─▶ catalog, address
//! ```
//!
//! A try that brought something new does not count, so a large file gets through a bad line; the deadline for the whole
//! ends that too. A digest that is wrong after a resumed transfer is tried once from the start: the halves may be of two
//! versions.

use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::partial::Partial;
use super::{Request, Store, download, locked};
use crate::http::{Client, Failure, Hop};
use crate::url::Url;
use crate::{Artifact, Digest, Error, Progress};

/// So much more than ever before makes a try worth it, in bytes.
const NEWS: u64 = 1 << 20;
/// A caller who gives up in a pause is heard after this.
const SLICE: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Transfer<'a> {
    pub(super) store: &'a Store,
    pub(super) request: &'a Request<'a>,
    pub(super) url: &'a Url,
    pub(super) expected: Option<Digest>,
    pub(super) deadline: Instant,
}

/// How a try ended well.
pub(super) enum Arrived {
    /// It is in the partial, whole.
    Here { etag: Option<String>, modified: Option<String>, hops: Vec<Hop> },
    /// What is kept is still right; held already.
    Unchanged { artifact: Artifact, hops: Vec<Hop> },
}

impl Transfer<'_> {
    pub(super) fn run(&self, progress: &mut dyn FnMut(Progress)) -> Result<(Artifact, Vec<Hop>), Error> {
        let key = self.url.key(self.expected);
        let folder = self.store.inner.folder.join("partial");
        let mut partial =
            Partial::open(&folder, key, self.expected.is_some()).map_err(|error| self.disk(&error))?;
        let outcome = self.tries(&mut partial, progress);
        // What may go on later stays; what failed for good only takes space.
        let keep = matches!(outcome, Err(Error::Cancelled { .. } | Error::Unreachable { .. }));
        if !keep && let Err(error) = partial.discard() {
            tracing::warn!(%error, url = %self.url, "partial transfer cannot be removed");
        }
        outcome
    }

    fn tries(
        &self,
        partial: &mut Partial,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Artifact, Vec<Hop>), Error> {
        let limits = &self.store.inner.limits;
        let (mut tries, mut most) = (0, partial.received);
        loop {
            let reason = match self.attempt(partial, progress) {
                Ok(done) => return Ok(done),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Again(reason)) => reason,
            };
            if partial.received >= most.saturating_add(NEWS) {
                tries = 0;
            }
            most = most.max(partial.received);
            tries += 1;
            if tries >= limits.tries {
                let reason = format!("{reason} (tried {tries} times)");
                return Err(Error::Unreachable { what: self.url.to_string(), reason });
            }
            let doubled = limits.backoff.saturating_mul(1 << (tries - 1).min(16));
            self.pause(doubled.min(PAUSE))?;
        }
    }

    fn attempt(
        &self,
        partial: &mut Partial,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Artifact, Vec<Hop>), Failure> {
        let inner = &self.store.inner;
        let client = Client {
            connect: inner.limits.connect,
            idle: inner.limits.idle,
            deadline: self.deadline,
            ca: inner.ca.as_deref(),
            allowed: self.request.allowed,
            cancelled: self.request.cancelled,
        };
        match download::attempt(self, &client, partial, progress)? {
            Arrived::Unchanged { artifact, hops } => Ok((artifact, hops)),
            Arrived::Here { etag, modified, hops } => {
                let (path, digest) = partial.finish().map_err(|error| self.disk(&error))?;
                if let Some(expected) = self.expected.filter(|expected| *expected != digest) {
                    let again = partial.resumed;
                    partial.restart().map_err(|error| self.disk(&error))?;
                    if again {
                        return Err(Failure::Again(
                            "the digest is wrong after an interrupted transfer".to_owned(),
                        ));
                    }
                    let (expected, found) = (expected.to_string(), digest.to_string());
                    return Err(Error::Mismatch { what: self.url.to_string(), expected, found }.into());
                }
                let mut catalog = locked(&inner.catalog);
                catalog.take(path, digest, partial.received).map_err(|error| self.disk(&error))?;
                let learned =
                    locked(&inner.addresses).learn(self.url.key(None), digest, etag, modified, &catalog);
                drop(catalog);
                if let Err(error) = learned {
                    // It is here; only the next fetch is dearer.
                    tracing::warn!(%error, url = %self.url, "address of an artifact cannot be remembered");
                }
                Ok((self.store.artifact(digest, partial.received), hops))
            }
        }
    }

    fn pause(&self, length: Duration) -> Result<(), Error> {
        let until = Instant::now() + length;
        loop {
            if self.request.cancelled.load(Ordering::Relaxed) {
                return Err(Error::Cancelled { what: self.url.to_string() });
            }
            let now = Instant::now();
            if now >= until || now >= self.deadline {
                return Ok(());
            }
            thread::sleep((until - now).min(SLICE));
        }
    }

    pub(super) fn disk(&self, error: &io::Error) -> Error {
        Error::io(format!("cache for {}", self.url), error)
    }
}
