//! The cache: what is kept, by digest, and where it came from, by address.
//!
//! ```text
//! sha256/HEX         artifacts, complete and synced before they get their name
//! partial/KEY.data   what of a transfer is here; KEY.json says how the repository named that content
//! urls.json          address (hashed) -> digest, ETag, Last-Modified
//! ```
//!
//! The folder belongs to one process at a time; the agent's lock on its state directory sees to that. Locks, always taken
//! one at a time or in the order flights, catalog: the flights (who transfers what), the catalog (what is kept, by whom
//! it is held), the addresses. All are short; none is held across the network.

mod addresses;
mod catalog;
mod download;
mod flights;
mod partial;
mod transfer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use addresses::Addresses;
use catalog::Catalog;
use flights::{Flights, Ticket};
use transfer::Transfer;

use crate::artifact::Hold;
use crate::files::make_folder;
use crate::http::Hop;
use crate::url::Url;
use crate::{Artifact, Digest, Error, Limits, Progress, registry, roots};

/// What is wanted, by whom.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The address; `user:password@` in it is sent as basic authentication, never shown and never stored.
    pub url: &'a str,
    /// The digest, where the caller knows it: 64 hexadecimal digits.
    pub sha256: Option<&'a str>,
    /// Whether that host and port may be reached. Asked before each hop.
    pub allowed: &'a dyn Fn(&str, u16) -> bool,
    /// Set by whoever gives up; noticed within a moment, while connecting within the deadline for that.
    pub cancelled: &'a Arc<AtomicBool>,
}

/// The cache. Clones are the same cache.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) limits: Limits,
    folder: PathBuf,
    ca: Option<PathBuf>,
    catalog: Mutex<Catalog>,
    addresses: Mutex<Addresses>,
    flights: Flights,
}

/// A panic elsewhere leaves these states whole: each change is one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens or makes it. What a killed process left half is removed, but for the newest partial transfers.
    pub fn open(dir: &Path, limits: Limits, ca: Option<&Path>) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::io(format!("artifact cache {}", dir.display()), &error);
        if let Some(ca) = ca {
            roots::operator(ca)?;
        }
        for folder in [dir.to_owned(), dir.join("sha256"), dir.join("partial")] {
            make_folder(&folder).map_err(failed)?;
        }
        let catalog = Catalog::load(dir.join("sha256"), limits.quota).map_err(failed)?;
        let addresses = Addresses::load(dir.join("urls.json")).map_err(failed)?;
        partial::tidy(&dir.join("partial"), &[], limits.quota).map_err(failed)?;
        let inner = Inner {
            limits,
            folder: dir.to_owned(),
            ca: ca.map(Path::to_owned),
            catalog: Mutex::new(catalog),
            addresses: Mutex::new(addresses),
            flights: Flights::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The artifact, out of the cache or the repository. Whoever asks for what is being transferred already waits for that.
    pub fn fetch(
        &self,
        request: &Request<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Artifact, Error> {
        let url = Url::parse(request.url)?;
        let expected = request.sha256.map(|text| {
            text.parse::<Digest>()
                .map_err(|()| Error::invalid(url.to_string(), "sha256 must be 64 hexadecimal digits"))
        });
        let expected = expected.transpose()?;
        if !(request.allowed)(url.host(), url.port()) {
            let host = format!("{}:{}", url.host(), url.port());
            return Err(Error::Denied { what: url.to_string(), host });
        }
        let deadline = Instant::now() + self.inner.limits.total;
        loop {
            if request.cancelled.load(Ordering::Relaxed) {
                return Err(Error::Cancelled { what: url.to_string() });
            }
            if let Some(kept) = expected.and_then(|digest| self.hold(digest)) {
                return Ok(kept);
            }
            match self.inner.flights.join(url.key(expected), url.credentials()) {
                Ticket::Lead(lead) => {
                    let transfer = Transfer { store: self, request, url: &url, expected, deadline };
                    let outcome = transfer.run(&mut |step| {
                        lead.publish(step);
                        progress(step);
                    });
                    lead.land(outcome.clone());
                    self.tidy();
                    return outcome.map(|(artifact, _)| artifact);
                }
                Ticket::Wait(flight) => {
                    let outcome = flight.wait(&url, request.cancelled, deadline, progress)?;
                    if let Some(outcome) = usable(outcome, request) {
                        return outcome;
                    }
                }
            }
        }
    }

    /// Whether a container registry answers at the scheme, host and port of this address.
    pub fn is_registry(
        &self,
        url: &str,
        allowed: &dyn Fn(&str, u16) -> bool,
        cancelled: &Arc<AtomicBool>,
    ) -> Result<bool, Error> {
        registry::ask(url, self.inner.ca.as_deref(), allowed, cancelled)
    }

    /// What is kept under that digest, if it is.
    pub fn hold(&self, digest: Digest) -> Option<Artifact> {
        let size = locked(&self.inner.catalog).hold(digest)?;
        Some(self.artifact(digest, size))
    }

    /// For something that the catalog counts as held already.
    fn artifact(&self, digest: Digest, size: u64) -> Artifact {
        let path = self.inner.folder.join("sha256").join(digest.to_string());
        Artifact::new(Hold { store: Arc::clone(&self.inner), digest }, path, size)
    }

    /// What failed leaves partials; they are bounded, and none that is being written is touched.
    fn tidy(&self) {
        let folder = self.inner.folder.join("partial");
        let tidied =
            self.inner.flights.with_keys(|busy| partial::tidy(&folder, busy, self.inner.limits.quota));
        if let Err(error) = tidied {
            tracing::warn!(%error, folder = %folder.display(), "partial transfers cannot be tidied");
        }
    }
}

impl Inner {
    pub(crate) fn release(&self, digest: Digest) {
        locked(&self.catalog).release(digest);
    }
}

/// What another's transfer is worth to this caller: nothing, if it ended for reasons of that other, or went over hosts
/// that this one may not reach.
fn usable(outcome: Option<flights::Outcome>, request: &Request<'_>) -> Option<Result<Artifact, Error>> {
    let reachable = |hops: &[Hop]| hops.iter().all(|(host, port)| (request.allowed)(host, *port));
    match outcome? {
        Ok((artifact, hops)) => reachable(&hops).then_some(Ok(artifact)),
        Err(Error::Cancelled { .. } | Error::Denied { .. }) => None,
        Err(error) => Some(Err(error)),
    }
}
