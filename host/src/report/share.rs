//! When in the spread this agent answers: at the same place each time, different agents at different places.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::store::AgentId;

/// This agent's share of a spread, less than the whole.
pub(super) fn share(agent: AgentId, spread: Duration) -> Duration {
    // Hashed, because an identity that a person made up differs from others in its last digit only.
    let hash = Sha256::digest(agent.as_bytes());
    let place = hash.first_chunk().copied().map_or(0, u64::from_be_bytes);
    let micros = u64::try_from(spread.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(place.checked_rem(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn agent(number: u128) -> AgentId {
        AgentId::new(Uuid::from_u128(number))
    }

    #[test]
    fn agents_are_spread_evenly_whatever_their_identities() {
        const SECOND: Duration = Duration::from_secs(1);
        let mut tenths = [0_u32; 10];
        for number in 1..=3000 {
            let place = share(agent(number), SECOND).as_millis() / 100;
            tenths[usize::try_from(place).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|tenth| (240..=360).contains(tenth)), "{tenths:?}");
    }

    proptest! {
        #[test]
        fn a_share_is_stable_and_less_than_the_spread(number in any::<u128>(), millis in 0..60_000_u64) {
            let spread = Duration::from_millis(millis);
            let place = share(agent(number), spread);
            prop_assert_eq!(place, share(agent(number), spread));
            prop_assert!(place < spread || spread.is_zero() && place.is_zero());
        }
    }
}
