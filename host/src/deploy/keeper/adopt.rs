//! What is there without a record, or although its record says that it ended.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::entry::Entry;
use super::{
    Allocation, Attached, Backends, Capacity, Cell, Found, InstanceState, Intent, Keeper, Order, Outage,
    Phase, Record, ended_phase,
};

impl<B, C> Keeper<B, C>
where
    B: Backends,
    C: Fn() -> Result<Capacity, String> + Send + 'static,
{
    /// Once, and again when they become more: there is a survey every other second.
    pub(super) fn complain(&mut self, kind: &str, strangers: &[Found]) {
        let surveyed = self.surveys.entry(kind.to_owned()).or_default();
        let (Some(one), true) = (strangers.first(), strangers.len() > surveyed.strangers) else { return };
        surveyed.strangers = strangers.len();
        error!(
            kind,
            instances = strangers.len(),
            uuid = one.uuid,
            id = ?one.id,
            "found without a record, and nothing says what they were; they are left alone: remove them by hand"
        );
    }

    /// Something that this agent made, and of which there is no record: the record was lost. It is made again from what
    /// was attached, unless what it holds is somebody else's by now. One of which nothing is known comes back.
    pub(super) fn adopt(&mut self, kind: &str, lost: Found) -> Option<Found> {
        let attached = lost.record.as_deref().and_then(|text| serde_json::from_str::<Attached>(text).ok());
        let is_right = |attached: &Attached| attached.order.uuid == lost.uuid && attached.order.kind == kind;
        let attached = attached.filter(is_right);
        // What another backend has under this uuid stays what the uuid means.
        let Some(Attached { order, allocation }) =
            attached.filter(|_| !self.entries.contains_key(&lost.uuid))
        else {
            return Some(lost);
        };
        let free = self.fits(&order, &allocation);
        let uuid = lost.uuid.clone();
        let ended = matches!(lost.state, InstanceState::Failed | InstanceState::Stopped);
        let phase = match () {
            // A damaged record and an instance that is down are what a board that lost its power leaves.
            () if ended && self.damaged == 0 => ended_phase(Some(&lost)),
            () if free => Phase::Running,
            () => Phase::Stopping,
        };
        let mut record = Record::new(order, allocation, phase);
        record.known_as(lost.id.clone());
        record.name.clone_from(&lost.name);
        record.boot.clone_from(&self.boot);
        warn!(uuid, kind, phase = record.phase.as_str(), "found without a record");
        let settled = record.phase.over();
        if settled {
            record.allocation = Allocation::default();
        }
        let entry = Entry::new(Cell::new(record.clone(), Arc::clone(&self.ledger)), Outage::None);
        self.entries.insert(uuid.clone(), entry);
        let record = Box::new(record);
        let intent = if settled { Intent::Settle(record) } else { Intent::Begin(record) };
        self.drive(&uuid, intent, false);
        None
    }

    /// Whether an allocation of before can be held again.
    fn fits(&self, order: &Order, allocation: &Allocation) -> bool {
        self.admit(order).is_ok() && !self.overlaps(allocation)
    }

    /// What had ended runs again, by somebody else's hand. If what it holds is free, it is as it was ordered; if not, it is
    /// removed.
    pub(super) fn take_in(&mut self, uuid: &str) {
        let Some(entry) = self.entries.get(uuid) else { return };
        let before = entry.cell.get();
        let mut record = before.clone();
        let found = entry.live.clone();
        let attached = found.as_ref().and_then(|found| found.record.as_deref());
        let attached = attached.and_then(|text| serde_json::from_str::<Attached>(text).ok());
        let free = attached.filter(|attached| {
            attached.order == record.order && self.fits(&attached.order, &attached.allocation)
        });
        let Some(Attached { allocation, .. }) = free else {
            warn!(uuid, "something is there that should not be; it is removed");
            return self.drive(uuid, Intent::Resume, false);
        };
        info!(uuid, "it runs again, started by somebody else");
        record.allocation = allocation;
        record.enter(Phase::Running);
        // Held from now on; the driver writes it down first of all, and if it cannot, it had ended as before.
        entry.cell.remember(record.clone());
        if let Some(entry) = self.entries.get_mut(uuid) {
            entry.before = Some(before);
        }
        self.drive(uuid, Intent::Begin(Box::new(record)), false);
    }

    fn overlaps(&self, allocation: &Allocation) -> bool {
        self.entries.values().any(|entry| {
            entry.cell.with(|record| {
                let theirs = &record.allocation;
                let both_share = allocation.shared && theirs.shared;
                let cores = !both_share && allocation.cores.iter().any(|core| theirs.cores.contains(core));
                let gpus = allocation
                    .gpus
                    .iter()
                    .any(|gpu| theirs.gpus.iter().any(|taken| taken.device == gpu.device));
                record.phase.holds() && (cores || gpus)
            })
        })
    }
}
