//! Memory that peers make the manager hold: reports that are not whole yet, answers that are not read yet.
//!
//! A connection costs its peer next to nothing, so neither the number of connections nor their deadlines keep what is
//! held for them small. A budget does: so many bytes for all peers, and a quarter of them for one address, so that no
//! single peer keeps the others out.
//!
//! ```text
//! Budget ──share(peer)──▶ Share ──cover(bytes)──▶ granted | Exhausted
//!    ▲                      │
//!    └───── gives back ─────┘ when it is dropped
//! ```
//! What is held is compared before the bytes are added. So a limit can be exceeded by one item, and a peer that holds
//! nothing is never refused because its one item is large. But toward the total each peer counts with its quarter at most:
//! whatever one peer holds, three quarters are left to the others, and it takes four to keep a fifth out.
//!
//! The counts are behind a lock and not in a task: what happens under it are two additions.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;

/// One peer gets one part in so many.
const PEERS: usize = 4;

/// Bytes for all peers, and what is held of them.
#[derive(Debug)]
pub struct Budget {
    total: usize,
    held: Mutex<Held>,
    /// Shows what is held.
    gauge: IntGauge,
}

#[derive(Debug, Default)]
struct Held {
    /// Bytes, for the gauge.
    all: usize,
    /// What counts toward the total.
    counted: usize,
    /// Only peers that hold something are in here.
    by_peer: HashMap<IpAddr, usize>,
}

/// Why a peer gets no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// Its own doing.
    #[error("as much is held for this address as one address gets")]
    Peer,
    /// That of many.
    #[error("as much is held for all peers as there is memory for")]
    Total,
}

/// What one peer holds for one thing. Given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    peer: IpAddr,
    bytes: usize,
}

impl Budget {
    /// A budget of which nothing is held.
    pub fn new(total: usize, gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self { total, held: Mutex::default(), gauge })
    }

    /// A share of a peer that holds nothing yet.
    pub fn share(self: &Arc<Self>, peer: IpAddr) -> Share {
        // An IPv4 peer of a listener for both comes as IPv6.
        Share { budget: Arc::clone(self), peer: peer.to_canonical(), bytes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing under the lock panics.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, held: &Held, peer: IpAddr) -> Result<(), Exhausted> {
        let of_peer = held.by_peer.get(&peer).copied().unwrap_or(0);
        if of_peer >= self.quarter() {
            Err(Exhausted::Peer)
        } else if held.counted >= self.total {
            Err(Exhausted::Total)
        } else {
            Ok(())
        }
    }

    fn quarter(&self) -> usize {
        self.total / PEERS
    }

    /// Gives a peer another number of bytes.
    fn change(&self, held: &mut Held, peer: IpAddr, change: impl FnOnce(usize) -> usize) {
        let before = held.by_peer.remove(&peer).unwrap_or(0);
        let now = change(before);
        if now > 0 {
            held.by_peer.insert(peer, now);
        }
        let counted = |bytes: usize| bytes.min(self.quarter());
        held.all = held.all.saturating_sub(before).saturating_add(now);
        held.counted = held.counted.saturating_sub(counted(before)).saturating_add(counted(now));
        self.gauge.set(i64::try_from(held.all).unwrap_or(i64::MAX));
    }
}

impl Share {
    /// Whether the peer would get anything now.
    pub fn check(&self) -> Result<(), Exhausted> {
        self.budget.check(&self.budget.lock(), self.peer)
    }

    /// Grows until it covers this many bytes. If that is refused it stays as it is.
    pub fn cover(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let mut held = self.budget.lock();
        self.budget.check(&held, self.peer)?;
        self.budget.change(&mut held, self.peer, |of_peer| of_peer.saturating_add(more));
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.budget.lock();
        self.budget.change(&mut held, self.peer, |of_peer| of_peer.saturating_sub(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    fn budget(total: usize) -> Arc<Budget> {
        Budget::new(total, IntGauge::new("held", "Held.").unwrap())
    }

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_peer_that_holds_nothing_gets_one_item_however_large() {
        let budget = budget(400);
        let mut share = budget.share(peer(1));
        assert_eq!(share.cover(350), Ok(()));
        assert_eq!(share.cover(351), Err(Exhausted::Peer));
        assert_eq!(budget.share(peer(1)).check(), Err(Exhausted::Peer));
        assert_eq!(budget.share(peer(2)).cover(1), Ok(()));
    }

    #[test]
    fn an_item_beyond_the_total_keeps_nobody_else_out() {
        let budget = budget(400);
        let mut share = budget.share(peer(1));
        share.cover(4_000).unwrap();
        assert_eq!(budget.share(peer(2)).cover(1), Ok(()));
        assert_eq!(budget.gauge.get(), 4_000);
    }

    #[test]
    fn all_peers_together_come_to_an_end() {
        let budget = budget(400);
        let mut shares: Vec<_> = (1..=4).map(|last| budget.share(peer(last))).collect();
        shares.iter_mut().for_each(|share| share.cover(100).unwrap());
        assert_eq!(budget.share(peer(5)).cover(1), Err(Exhausted::Total));
        shares.pop();
        assert_eq!(budget.share(peer(5)).cover(1), Ok(()));
    }

    #[test]
    fn an_address_is_one_peer_in_both_its_forms() {
        let budget = budget(400);
        let mut share = budget.share(peer(1));
        share.cover(100).unwrap();
        let mapped = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001);
        assert_eq!(budget.share(mapped.into()).check(), Err(Exhausted::Peer));
    }

    #[test]
    fn what_is_covered_already_needs_nothing() {
        let budget = budget(400);
        let mut share = budget.share(peer(1));
        share.cover(150).unwrap();
        assert_eq!((share.cover(0), share.cover(150)), (Ok(()), Ok(())));
    }

    proptest! {
        #[test]
        fn everything_is_given_back_and_no_limit_is_exceeded_by_more_than_one_item(
            steps in prop::collection::vec((0..6_usize, 0..3_u8, 0..200_usize, any::<bool>()), 0..80)
        ) {
            let budget = budget(800);
            let mut shares: [Option<Share>; 6] = Default::default();
            for (place, last, bytes, drops) in steps {
                if drops {
                    shares[place] = None;
                } else {
                    let share = shares[place].get_or_insert_with(|| budget.share(peer(last)));
                    let _ = share.cover(bytes);
                }
                let held = budget.lock();
                let sum: usize = shares.iter().flatten().map(|share| share.bytes).sum();
                prop_assert_eq!(held.all, sum);
                prop_assert_eq!(held.by_peer.values().sum::<usize>(), sum);
                let counted: usize = held.by_peer.values().map(|held| (*held).min(800 / PEERS)).sum();
                prop_assert_eq!(held.counted, counted);
                prop_assert_eq!(budget.gauge.get(), i64::try_from(sum).unwrap());
                prop_assert!(held.by_peer.values().all(|held| (1..200 + 200).contains(held)));
            }
            drop(shares);
            let held = budget.lock();
            prop_assert!(held.all == 0 && held.counted == 0 && held.by_peer.is_empty());
        }

        #[test]
        fn three_peers_whatever_they_hold_keep_no_fourth_out(
            items in prop::collection::vec((0..3_u8, 0..5_000_usize), 0..40), last in 1..5_000_usize
        ) {
            let budget = budget(800);
            let mut shares = Vec::new();
            for (last, bytes) in items {
                let mut share = budget.share(peer(last));
                let _ = share.cover(bytes);
                shares.push(share);
            }
            prop_assert_eq!(budget.share(peer(9)).cover(last), Ok(()));
        }
    }
}
