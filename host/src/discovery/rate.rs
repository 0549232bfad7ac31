//! How many queries are looked at: a bucket of tokens for each source, and one for all of them.
//!
//! A manager asks a few times in ten seconds, over a few interfaces; a benchmark some dozens of times a second. What
//! is above that is dropped before it is parsed. A source that floods uses up its own tokens, not those of all; and what
//! all may use has a part that only quiet sources take from, so that some loud ones do not drown the others.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Instant;

use super::DropReason;

/// Tokens that come back each second, and the most that there are.
#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: f64,
    burst: f64,
}

const ONE_SOURCE: Rate = Rate { per_second: 50.0, burst: 100.0 };
/// For all loud sources together, and again for all quiet ones.
const ALL_SOURCES: Rate = Rate { per_second: 200.0, burst: 400.0 };
/// A source is quiet as long as it has this part of its tokens.
const QUIET: f64 = 0.9;
/// The most sources that are told apart.
const SOURCES: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    const fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.burst, at: now }
    }

    fn refill(&mut self, rate: Rate, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * rate.per_second).min(rate.burst);
        self.at = now.max(self.at);
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        self.refill(rate, now);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }
}

/// Lets a bounded number of queries through.
#[derive(Debug)]
pub(super) struct Limiter {
    sources: HashMap<Ipv4Addr, Bucket>,
    loud: Bucket,
    quiet: Bucket,
}

impl Limiter {
    pub(super) fn new(now: Instant) -> Self {
        let all = Bucket::full(ALL_SOURCES, now);
        Self { sources: HashMap::new(), loud: all, quiet: all }
    }

    pub(super) fn admit(&mut self, source: Ipv4Addr, now: Instant) -> Result<(), DropReason> {
        let mut quiet = false;
        if let Some(bucket) = self.bucket(source, now) {
            if !bucket.take(ONE_SOURCE, now) {
                return Err(DropReason::SourceFlood);
            }
            quiet = bucket.tokens >= QUIET * ONE_SOURCE.burst;
        }
        let all = if quiet { &mut self.quiet } else { &mut self.loud };
        all.take(ALL_SOURCES, now).then_some(()).ok_or(DropReason::Flood)
    }

    /// None where the table is full: then only the limit of all loud ones holds.
    fn bucket(&mut self, source: Ipv4Addr, now: Instant) -> Option<&mut Bucket> {
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
            self.forget(now);
        }
        if self.sources.len() >= SOURCES {
            return self.sources.get_mut(&source);
        }
        Some(self.sources.entry(source).or_insert(Bucket::full(ONE_SOURCE, now)))
    }

    /// A bucket that is full again says nothing that an absent one does not.
    fn forget(&mut self, now: Instant) {
        self.sources.retain(|_, bucket| {
            bucket.refill(ONE_SOURCE, now);
            bucket.tokens < ONE_SOURCE.burst
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn source(number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(0x0a00_0000 + number)
    }

    fn admitted(limiter: &mut Limiter, source: Ipv4Addr, queries: usize, now: Instant) -> usize {
        (0..queries).filter(|_| limiter.admit(source, now).is_ok()).count()
    }

    #[test]
    fn a_flooding_source_does_not_use_up_what_others_have() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        assert_eq!(admitted(&mut limiter, source(1), 100_000, now), 100);
        assert_eq!(limiter.admit(source(1), now), Err(DropReason::SourceFlood));
        assert_eq!(limiter.admit(source(2), now), Ok(()));
    }

    #[test]
    fn many_flooding_sources_are_limited_together() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        let all: usize = (0..100).map(|n| admitted(&mut limiter, source(n), 50, now)).sum();
        assert_eq!(all, 800);
        assert_eq!(limiter.admit(source(200), now), Err(DropReason::Flood));
    }

    #[test]
    fn loud_sources_do_not_drown_a_quiet_one() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let mut heard = 0;
        for round in 0..60_u32 {
            // Ten sources at the most that each may send, and one that asks once a second.
            let now = start + round * Duration::from_secs(1);
            for loud in 0..10 {
                admitted(&mut limiter, source(loud), 50, now);
            }
            heard += admitted(&mut limiter, source(99), 1, now);
        }
        assert_eq!(heard, 60);
    }

    #[test]
    fn tokens_come_back() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        admitted(&mut limiter, source(1), 1000, start);
        let later = start + Duration::from_secs(1);
        assert_eq!(admitted(&mut limiter, source(1), 1000, later), 50);
    }

    #[test]
    fn the_table_of_sources_is_bounded_and_forgets_the_quiet_ones() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        for number in 0..10_000 {
            let _any = limiter.admit(source(number), start);
            assert!(limiter.sources.len() <= SOURCES);
        }
        let later = start + Duration::from_secs(60);
        assert_eq!(limiter.admit(source(20_000), later), Ok(()));
        assert_eq!(limiter.sources.len(), 1);
    }

    proptest! {
        #[test]
        fn no_more_than_burst_and_rate_get_through(steps in prop::collection::vec((0..8_u32, 0..20_u64), 0..2000)) {
            let start = Instant::now();
            let (mut limiter, mut now, mut passed) = (Limiter::new(start), start, 0_u32);
            for (number, wait) in steps {
                now += Duration::from_millis(wait);
                passed += u32::from(limiter.admit(source(number), now).is_ok());
            }
            let most = 2.0 * (ALL_SOURCES.burst + ALL_SOURCES.per_second * (now - start).as_secs_f64());
            prop_assert!(f64::from(passed) <= most + 1e-6);
        }
    }
}
