//! What watches the manager.
//!
//! ```text
//! GET /metrics ─▶ does another of this peer wait, or is it made? ─▶ in line, one is made at a time ─▶ the text
//!                   └▶ 503
//! ```
//! The text of a large fleet takes long to make and is long, so one is made at a time. Each peer has one place in the line:
//! who asks for many is refused, and makes nobody else wait for more than one of them.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cardcage_daemon::listen::Ends;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Api;
use super::answers::Allowance;
use crate::metrics;
use crate::problem::Problem;

/// `/metrics`, made beside the tasks that answer reports.
pub(super) async fn metrics(
    State(api): State<Api>,
    Extension(ends): Extension<Ends>,
    Extension(allowance): Extension<Allowance>,
) -> Result<Response, Problem> {
    let turn = api.scrapes.turn(ends.theirs).await?;
    // What the peer got while this request waited for its turn may be all that it gets.
    allowance.check()?;
    let (meters, fleet) = (Arc::clone(&api.meters), api.fleet.clone());
    // The turn goes along: if nobody waits for the text any more, it is made to its end all the same.
    let made = tokio::task::spawn_blocking(move || (metrics::render(&meters, &fleet), turn)).await;
    let (text, _turn) = made.map_err(|error| failed(&error.to_string()))?;
    let text = text.map_err(|error| failed(&error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

fn failed(detail: &str) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "no metrics",
        detail,
        "report this as an error of Cardcage",
    )
}

/// The scrapes that are made or wait. A clone is the same line.
#[derive(Clone)]
pub(super) struct Scrapes {
    /// Given out in the order of asking.
    turns: Arc<Semaphore>,
    peers: Arc<Mutex<HashSet<IpAddr>>>,
}

/// The right to make the text. Given back when it is dropped.
struct Turn {
    _turn: OwnedSemaphorePermit,
    _place: Place,
}

/// The one place of a peer in the line.
struct Place {
    peers: Arc<Mutex<HashSet<IpAddr>>>,
    peer: IpAddr,
}

impl Scrapes {
    /// An empty line.
    pub(super) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(1)), peers: Arc::default() }
    }

    async fn turn(&self, peer: IpAddr) -> Result<Turn, Problem> {
        let place = self.place(peer)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        Ok(Turn { _turn: turn.map_err(|_| failed("the manager is stopping"))?, _place: place })
    }

    fn place(&self, peer: IpAddr) -> Result<Place, Problem> {
        // An IPv4 peer of a listener for both comes as IPv6.
        let peer = peer.to_canonical();
        if !lock(&self.peers).insert(peer) {
            return Err(Problem::busy(
                "metrics are being made for this address",
                "wait for the answer to the earlier request, then ask again",
            ));
        }
        Ok(Place { peers: Arc::clone(&self.peers), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.peers).remove(&self.peer);
    }
}

fn lock(peers: &Mutex<HashSet<IpAddr>>) -> MutexGuard<'_, HashSet<IpAddr>> {
    // Nothing under the lock panics.
    peers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::pin::pin;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const GREEDY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const MODEST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    const THIRD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));

    /// What there is without waiting.
    async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        timeout(Duration::ZERO, future).await.ok()
    }

    async fn is_refused(scrapes: &Scrapes, peer: IpAddr) -> bool {
        at_once(scrapes.turn(peer)).await.is_some_and(|turn| turn.is_err_and(|problem| problem.status == 503))
    }

    #[tokio::test]
    async fn a_peer_has_one_place_in_the_line_and_the_others_follow_in_turn() {
        let scrapes = Scrapes::new();
        let made = scrapes.turn(GREEDY).await.unwrap();
        let mapped = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001);
        assert!(is_refused(&scrapes, GREEDY).await && is_refused(&scrapes, mapped.into()).await);
        let (mut second, mut third) = (pin!(scrapes.turn(MODEST)), pin!(scrapes.turn(THIRD)));
        assert!(at_once(&mut second).await.is_none() && at_once(&mut third).await.is_none());
        assert!(is_refused(&scrapes, MODEST).await, "it waits already");
        drop(made);
        let mut again = pin!(scrapes.turn(GREEDY));
        assert!(at_once(&mut again).await.is_none() && at_once(&mut third).await.is_none());
        drop(at_once(&mut second).await.unwrap());
        assert!(at_once(&mut again).await.is_none(), "the third was there before");
        drop(at_once(&mut third).await.unwrap());
        assert!(at_once(&mut again).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn who_no_longer_waits_has_left_the_line() {
        let scrapes = Scrapes::new();
        let made = scrapes.turn(GREEDY).await.unwrap();
        // Its future is dropped, as when a peer hangs up.
        assert!(at_once(scrapes.turn(MODEST)).await.is_none());
        drop(made);
        assert!(at_once(scrapes.turn(MODEST)).await.is_some_and(|turn| turn.is_ok()));
        assert!(lock(&scrapes.peers).is_empty());
    }
}
