//! Who has how many connections. As long as there are places, everybody gets one. When there are none, the peer with
//! the most connections makes room: first with one on which nothing is being answered, the oldest before the others.
//! So whoever holds thousands of idle connections loses them one by one to those who come, and whoever comes with one
//! keeps it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// All places.
#[derive(Debug, Clone)]
pub(super) struct Places {
    most: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Counts up: the lower, the older.
    next: u64,
    all: usize,
    peers: HashMap<IpAddr, BTreeMap<u64, Holder>>,
    /// The peers by how many places they have.
    by_size: BTreeSet<(usize, IpAddr)>,
}

/// One taken place, as the others see it. Dropping it takes the place away.
#[derive(Debug)]
struct Holder {
    in_use: Arc<AtomicBool>,
    _alive: oneshot::Sender<()>,
}

/// One taken place, as its connection has it.
#[derive(Debug)]
pub(super) struct Place {
    peer: IpAddr,
    number: u64,
    in_use: Arc<AtomicBool>,
    lost: oneshot::Receiver<()>,
    taken: Arc<Mutex<Taken>>,
}

/// The peer has the most places itself, and something is being answered on each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// While this lives, something is being answered.
#[derive(Debug)]
pub(super) struct Working(Arc<AtomicBool>);

impl Working {
    pub(super) fn new(in_use: &Arc<AtomicBool>) -> Self {
        in_use.store(true, Ordering::Relaxed);
        Self(Arc::clone(in_use))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

// Nothing under the lock panics; if it did, the counts of before or after one connection would be there.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), taken: Arc::default() }
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        lock(&self.taken).all
    }

    /// A place for a connection of this peer.
    pub(super) fn take(&self, peer: IpAddr) -> Result<Place, Full> {
        let mut taken = lock(&self.taken);
        if taken.all >= self.most {
            taken.make_room(peer)?;
        }
        let (alive, lost) = oneshot::channel();
        let in_use = Arc::new(AtomicBool::new(false));
        let number = taken.next;
        taken.next += 1;
        taken.insert(peer, number, Holder { in_use: Arc::clone(&in_use), _alive: alive });
        Ok(Place { peer, number, in_use, lost, taken: Arc::clone(&self.taken) })
    }

    /// The peer with the most places, if none is left.
    pub(super) fn full_with(&self) -> Option<(IpAddr, usize)> {
        let taken = lock(&self.taken);
        taken.greediest().filter(|_| taken.all >= self.most)
    }

    /// Takes all of them away.
    pub(super) fn clear(&self) {
        let next = lock(&self.taken).next;
        *lock(&self.taken) = Taken { next, ..Taken::default() };
    }
}

impl Taken {
    fn insert(&mut self, peer: IpAddr, number: u64, holder: Holder) {
        let held = self.peers.entry(peer).or_default();
        self.by_size.remove(&(held.len(), peer));
        held.insert(number, holder);
        self.by_size.insert((held.len(), peer));
        self.all += 1;
    }

    fn remove(&mut self, peer: IpAddr, number: u64) {
        let Some(held) = self.peers.get_mut(&peer) else { return };
        let before = held.len();
        if held.remove(&number).is_none() {
            return;
        }
        self.all -= 1;
        self.by_size.remove(&(before, peer));
        match held.is_empty() {
            true => _ = self.peers.remove(&peer),
            false => _ = self.by_size.insert((held.len(), peer)),
        }
    }

    fn make_room(&mut self, newcomer: IpAddr) -> Result<(), Full> {
        let Some(&(most, greediest)) = self.by_size.last() else { return Ok(()) };
        // Among equals, the newcomer's own: it must not push out whoever has as few as it will have.
        let own = self.peers.get(&newcomer).map_or(0, BTreeMap::len);
        let peer = if own >= most { newcomer } else { greediest };
        let held = self.peers.get(&peer);
        let idle = held.and_then(|held| {
            held.iter().find(|(_, holder)| !holder.in_use.load(Ordering::Relaxed)).map(|(number, _)| *number)
        });
        let oldest = || held.and_then(|held| held.keys().next().copied()).filter(|_| peer != newcomer);
        self.remove(peer, idle.or_else(oldest).ok_or(Full)?);
        Ok(())
    }

    /// The peer with the most places.
    fn greediest(&self) -> Option<(IpAddr, usize)> {
        self.by_size.last().map(|(size, peer)| (*peer, *size))
    }
}

impl Place {
    /// Whether something is being answered there; see [`Working`].
    pub(super) const fn in_use(&self) -> &Arc<AtomicBool> {
        &self.in_use
    }

    /// Waits until the place is taken away.
    pub(super) async fn lost(&mut self) {
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken).remove(self.peer, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn peer(number: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, number).into()
    }

    fn is_lost(place: &mut Place) -> bool {
        place.lost.try_recv() != Err(oneshot::error::TryRecvError::Empty)
    }

    #[test]
    fn whoever_has_the_most_loses_its_oldest_idle_connection() {
        let places = Places::new(4);
        let mut greedy: Vec<_> = (0..4).map(|_| places.take(peer(1)).unwrap()).collect();
        let busy = Working::new(greedy[0].in_use());
        let mut newcomer = places.take(peer(2)).unwrap();
        assert_eq!(greedy.iter_mut().map(is_lost).collect::<Vec<_>>(), [false, true, false, false]);
        // Its own newest is worth more than its own oldest, too.
        let _another = places.take(peer(1)).unwrap();
        assert_eq!(greedy.iter_mut().map(is_lost).collect::<Vec<_>>(), [false, true, true, false]);
        drop(busy);
        let mut third = places.take(peer(3)).unwrap();
        assert!(is_lost(&mut greedy[0]));
        assert!(!is_lost(&mut newcomer) && !is_lost(&mut third));
    }

    #[test]
    fn what_is_being_answered_ends_for_another_peer_only() {
        let places = Places::new(2);
        let mut held: Vec<_> = (0..2).map(|_| places.take(peer(1)).unwrap()).collect();
        let _working: Vec<_> = held.iter().map(|place| Working::new(place.in_use())).collect();
        assert_eq!(places.take(peer(1)).unwrap_err(), Full);
        let _other = places.take(peer(2)).unwrap();
        assert_eq!(held.iter_mut().map(is_lost).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_place_that_was_given_back_is_free() {
        let places = Places::new(1);
        for number in 0..100 {
            let mut place = places.take(peer(number)).unwrap();
            assert!(!is_lost(&mut place));
        }
        assert_eq!(lock(&places.taken).all, 0);
        assert!(lock(&places.taken).by_size.is_empty());
    }

    proptest! {
        #[test]
        fn counts_are_right_and_the_most_is_never_passed(
            steps in prop::collection::vec((0..5_u8, any::<bool>(), any::<bool>()), 0..300),
        ) {
            let places = Places::new(7);
            let mut held: Vec<Place> = Vec::new();
            for (number, comes, busy) in steps {
                if comes {
                    let before = lock(&places.taken).peers.get(&peer(number)).map_or(0, BTreeMap::len);
                    let place = places.take(peer(number));
                    // Only whoever has a share already can be sent away.
                    prop_assert!(place.is_ok() || before > 0);
                    if let Ok(place) = place {
                        place.in_use.store(busy, Ordering::Relaxed);
                        held.push(place);
                    }
                } else if !held.is_empty() {
                    held.remove(usize::from(number) % held.len());
                }
                held.retain_mut(|place| !is_lost(place));
                let taken = lock(&places.taken);
                prop_assert!(taken.all <= 7);
                prop_assert_eq!(taken.all, held.len());
                prop_assert_eq!(taken.peers.values().map(BTreeMap::len).sum::<usize>(), taken.all);
                let sizes: BTreeSet<_> = taken.peers.iter().map(|(peer, held)| (held.len(), *peer)).collect();
                prop_assert_eq!(&sizes, &taken.by_size);
            }
        }
    }
}
