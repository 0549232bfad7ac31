//! Turns: an answer about the whole fleet takes long to make and is long, so one is made at a time.
//!
//! ```text
//! request ─▶ has its peer a place left in the line? ─▶ in line, one is made at a time, on a thread beside the tasks ─▶ answer
//!              └▶ 503
//! ```
//! Who asks for many is refused, and makes nobody else wait for more than [`PLACES`] of them. Reports never wait for an
//! answer: it is not made by the tasks that take them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answers::Allowance;
use crate::problem::Problem;

/// Places of one peer in the line. More than one, since what scrapes and who looks may sit on one machine.
const PLACES: usize = 2;

/// The answers that are made or wait. A clone is the same line.
#[derive(Clone)]
pub(super) struct Turns {
    /// Given out in the order of asking.
    turns: Arc<Semaphore>,
    peers: Peers,
}

/// Places that are taken, by peer.
type Peers = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The right to make an answer. Given back when it is dropped.
pub(super) struct Turn {
    _turn: OwnedSemaphorePermit,
    _place: Place,
}

/// A place of a peer in the line.
struct Place {
    peers: Peers,
    peer: IpAddr,
}

impl Turns {
    /// An empty line.
    pub(super) fn new() -> Self {
        Self::several(1)
    }

    /// One in which so many have their turn at once: where the answer is waited for, not made.
    pub(super) fn several(turns: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(turns)), peers: Arc::default() }
    }

    /// Waits for the peer's turn and makes its answer.
    pub(super) async fn make<T: Send + 'static>(
        &self,
        allowance: &Allowance,
        make: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.turn(allowance.peer()).await?;
        // What the peer got while this request waited for its turn may be all that it gets.
        allowance.check()?;
        // The turn goes along: if nobody waits for the answer any more, it is made to its end all the same.
        let made = tokio::task::spawn_blocking(move || (make(), turn)).await;
        let (answer, _turn) = made.map_err(|error| failed(&error.to_string()))?;
        answer
    }

    /// Waits for the peer's turn, which lasts until it is dropped.
    pub(super) async fn turn(&self, peer: IpAddr) -> Result<Turn, Problem> {
        let place = self.place(peer)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        Ok(Turn { _turn: turn.map_err(|_| failed("the manager is stopping"))?, _place: place })
    }

    fn place(&self, peer: IpAddr) -> Result<Place, Problem> {
        // An IPv4 peer of a listener for both comes as IPv6.
        let peer = peer.to_canonical();
        let mut peers = lock(&self.peers);
        let taken = peers.entry(peer).or_insert(0);
        if *taken >= PLACES {
            return Err(Problem::busy(
                format!("{PLACES} answers about the whole fleet are being made for this address"),
                "wait for the answers to the earlier requests, then ask again",
            ));
        }
        *taken += 1;
        Ok(Place { peers: Arc::clone(&self.peers), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut peers = lock(&self.peers);
        if let Some(taken) = peers.get_mut(&self.peer) {
            *taken -= 1;
            if *taken == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}

fn lock(peers: &Peers) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    // Nothing under the lock panics.
    peers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What cannot happen.
pub(super) fn failed(detail: &str) -> Problem {
    let remedy = "report this as an error of Cardcage";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no answer", detail, remedy)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::pin::pin;
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use cardcage_daemon::listen::Ends;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use serde_json::json;
    use tokio::time::timeout;

    use super::*;
    use crate::api::Api;
    use crate::metrics::Meters;
    use crate::server::Server;
    use crate::testing;
    use crate::token::Token;

    const GREEDY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const MODEST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    const THIRD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));

    /// What there is without waiting.
    async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        timeout(Duration::ZERO, future).await.ok()
    }

    async fn is_refused(turns: &Turns, peer: IpAddr) -> bool {
        at_once(turns.turn(peer)).await.is_some_and(|turn| turn.is_err_and(|problem| problem.status == 503))
    }

    #[tokio::test]
    async fn a_peer_has_two_places_in_the_line_and_the_others_follow_in_turn() {
        let turns = Turns::new();
        let made = turns.turn(GREEDY).await.unwrap();
        let mut next = pin!(turns.turn(GREEDY));
        assert!(at_once(&mut next).await.is_none(), "one is made at a time");
        let mapped = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001);
        assert!(is_refused(&turns, GREEDY).await && is_refused(&turns, mapped.into()).await);
        let (mut second, mut third) = (pin!(turns.turn(MODEST)), pin!(turns.turn(THIRD)));
        assert!(at_once(&mut second).await.is_none() && at_once(&mut third).await.is_none());
        drop(made);
        let mut again = pin!(turns.turn(GREEDY));
        assert!(at_once(&mut again).await.is_none() && at_once(&mut second).await.is_none());
        drop(at_once(&mut next).await.unwrap());
        assert!(at_once(&mut again).await.is_none() && at_once(&mut third).await.is_none());
        drop(at_once(&mut second).await.unwrap());
        assert!(at_once(&mut again).await.is_none(), "the third was there before");
        drop(at_once(&mut third).await.unwrap());
        assert!(at_once(&mut again).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn who_no_longer_waits_has_left_the_line() {
        let turns = Turns::new();
        let made = turns.turn(GREEDY).await.unwrap();
        // Its future is dropped, as when a peer hangs up.
        assert!(at_once(turns.turn(MODEST)).await.is_none());
        drop(made);
        assert!(at_once(turns.turn(MODEST)).await.is_some_and(|turn| turn.is_ok()));
        assert!(lock(&turns.peers).is_empty());
    }

    #[tokio::test]
    async fn every_answer_about_the_whole_fleet_has_its_turn_and_one_about_a_board_has_none() {
        let (dir, fleet) = (tempfile::tempdir().unwrap(), testing::fleet());
        testing::heartbeat(&fleet, 1, "n", &json!([]));
        let server = Server::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let meters = Arc::new(Meters::new(server.connections()).unwrap());
        let deployments = testing::deployments(dir.path(), &fleet);
        let plugins = crate::plugins::Plugins::new(deployments.clone(), testing::agents());
        let token = Token::load_or_create(dir.path()).unwrap();
        let api = Api::new(fleet, deployments, plugins, meters, token);
        let (turns, router) = (api.turns.clone(), TowerToHyperService::new(api.router()));
        let ask = async |path: &str| {
            let mut request = Request::get(path).body(Body::empty()).unwrap();
            request.extensions_mut().insert(Ends { ours: MODEST, theirs: GREEDY });
            router.call(request).await.unwrap().status().as_u16()
        };
        let whole = ["/metrics", "/fleet/v1/boards", "/fleet/v1/deployments", "/fleet/v1/plugins"];
        let board = "/fleet/v1/boards/00000000-0000-0000-0000-000000000001";
        let made = turns.turn(GREEDY).await.unwrap();
        let mut next = pin!(turns.turn(GREEDY));
        assert!(at_once(&mut next).await.is_none());
        for path in whole {
            assert_eq!((path, ask(path).await), (path, 503));
        }
        assert_eq!(ask(board).await, 200);
        drop(made);
        drop(at_once(&mut next).await.unwrap());
        for path in whole {
            assert_eq!((path, ask(path).await), (path, 200));
        }
    }
}
