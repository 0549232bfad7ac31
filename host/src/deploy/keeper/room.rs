//! How many deployments are known, and which are forgotten first.

use tracing::warn;

use super::entry::Entry;
use super::{Keeper, Phase, Record, STOPPED};

impl<B, C> Keeper<B, C> {
    /// Of what was stopped, the latest are remembered.
    pub(super) fn forget(&mut self) {
        let stopped = self.oldest(|record, _| record.phase == Phase::Stopped);
        let surplus = stopped.len().saturating_sub(STOPPED);
        for uuid in stopped.into_iter().take(surplus) {
            self.drop_record(&uuid);
        }
    }

    /// Drops the one that ended first, of those that left nothing. False if there is none.
    pub(super) fn make_room(&mut self) -> bool {
        let left_nothing =
            |record: &Record, entry: &Entry| record.phase.over() && entry.live.is_none() && !entry.unknown;
        self.oldest(left_nothing).first().is_some_and(|uuid| self.drop_record(uuid))
    }

    /// The first to be forgotten first: by the keeper's own count, since clocks are set.
    fn oldest(&self, which: impl Fn(&Record, &Entry) -> bool) -> Vec<String> {
        let idle = self.entries.iter().filter(|(_, entry)| entry.driving.is_none());
        let mut found: Vec<(u64, u64, &String)> = idle
            .filter(|(_, entry)| entry.cell.with(|record| which(record, entry)))
            .map(|(uuid, entry)| (entry.touched, entry.cell.with(|record| record.since), uuid))
            .collect();
        found.sort();
        found.into_iter().map(|(_, _, uuid)| uuid.clone()).collect()
    }

    fn drop_record(&mut self, uuid: &str) -> bool {
        match self.ledger.remove(uuid) {
            Ok(()) => self.entries.remove(uuid).is_some(),
            Err(error) => {
                warn!(uuid, %error, "a record cannot be removed");
                false
            }
        }
    }
}
