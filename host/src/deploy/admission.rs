//! Whether the board has what an order needs. What is free is never stored: it is what the board has, less what the
//! records hold.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use super::order::{Allocation, Gpu, Requirements};

/// Least memory that an instance can be asked for, in bytes: container engines refuse less than 6 MiB.
pub const LEAST_MEMORY: u64 = 6 << 20;
/// Holders that a refusal names.
const NAMED: usize = 8;

/// What a board has for instances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Cores that one instance has for itself.
    pub cores: BTreeSet<u32>,
    /// Cores that those who asked for shared ones run on together.
    pub shared_cores: BTreeSet<u32>,
    /// How many times each of these may be promised.
    pub overcommit: u32,
    /// Bytes.
    pub memory: u64,
    pub gpus: Vec<Gpu>,
}

/// What somebody holds.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// What a person calls it.
    pub name: &'a str,
    pub uuid: &'a str,
    /// How many of its cores; shared ones are not told apart.
    pub cores: u32,
    pub allocation: &'a Allocation,
}

/// Why an order is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRoom(String);

impl fmt::Display for NoRoom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Takes what an order needs out of what is free.
pub fn admit(
    capacity: &Capacity,
    required: Requirements,
    holders: &[Holder<'_>],
) -> Result<Allocation, NoRoom> {
    let cores = match required.shared {
        false => own_cores(capacity, required, holders)?,
        true => shared_cores(capacity, required, holders)?,
    };
    let held: u64 = holders.iter().fold(0, |sum, holder| sum.saturating_add(holder.allocation.memory));
    let free = capacity.memory.saturating_sub(held);
    if required.memory > free {
        let holds = |holder: &Holder<'_>| mebibytes(holder.allocation.memory);
        return Err(no_room(
            format!("{} of memory", mebibytes(required.memory)),
            format!("{} of {}", mebibytes(free), mebibytes(capacity.memory)),
            holders
                .iter()
                .filter(|holder| holder.allocation.memory > 0)
                .map(|holder| (holder, holds(holder))),
        ));
    }
    let gpus = gpus(capacity, required, holders)?;
    Ok(Allocation { cores, shared: required.shared, memory: required.memory, gpus })
}

fn own_cores(
    capacity: &Capacity,
    required: Requirements,
    holders: &[Holder<'_>],
) -> Result<Vec<u32>, NoRoom> {
    let taken: BTreeSet<u32> =
        holders.iter().flat_map(|holder| holder.allocation.cores.iter().copied()).collect();
    let free: Vec<u32> = capacity.cores.difference(&taken).copied().collect();
    let wanted = required.cores as usize;
    match free.get(..wanted) {
        Some(cores) => Ok(cores.to_vec()),
        None => Err(no_room(
            plural(wanted, "core"),
            format!("{} of {}", free.len(), capacity.cores.len()),
            holders
                .iter()
                .filter(|holder| !holder.allocation.shared)
                .map(|holder| (holder, plural(holder.allocation.cores.len(), "core"))),
        )),
    }
}

/// All of them, for every instance: what is promised is a share of their time. One instance is promised no more than there
/// are, and all together no more than so many times that.
fn shared_cores(
    capacity: &Capacity,
    required: Requirements,
    holders: &[Holder<'_>],
) -> Result<Vec<u32>, NoRoom> {
    let sharing = || holders.iter().filter(|holder| holder.allocation.shared);
    let promised: u64 = sharing().map(|holder| u64::from(holder.cores)).sum();
    let there = capacity.shared_cores.len() as u64;
    let all = there.saturating_mul(capacity.overcommit.into());
    let free = all.saturating_sub(promised).min(there);
    if u64::from(required.cores) <= free {
        // What was given away before the configuration set it aside is not shared.
        let own = || holders.iter().filter(|holder| !holder.allocation.shared);
        let taken = |core: &&u32| own().any(|holder| holder.allocation.cores.contains(core));
        let cores: Vec<u32> = capacity.shared_cores.iter().filter(|core| !taken(core)).copied().collect();
        if cores.len() >= required.cores as usize {
            return Ok(cores);
        }
    }
    let NoRoom(mut refusal) = no_room(
        format!("{} to share", plural(required.cores as usize, "core")),
        format!("{free} of {there}, each promised at most {} times", capacity.overcommit),
        sharing().map(|holder| (holder, plural(holder.cores as usize, "core"))),
    );
    if capacity.shared_cores.is_empty() {
        refusal.push_str("; cores to share are set aside with [deploy] shared_cores");
    }
    Err(NoRoom(refusal))
}

fn gpus(capacity: &Capacity, required: Requirements, holders: &[Holder<'_>]) -> Result<Vec<Gpu>, NoRoom> {
    let held = |gpu: &Gpu| {
        holders.iter().any(|holder| holder.allocation.gpus.iter().any(|taken| taken.device == gpu.device))
    };
    let free: Vec<Gpu> = capacity.gpus.iter().filter(|gpu| !held(gpu)).cloned().collect();
    let wanted = required.gpus as usize;
    match free.get(..wanted) {
        Some(gpus) => Ok(gpus.to_vec()),
        None => Err(no_room(
            plural(wanted, "GPU"),
            format!("{} of {}", free.len(), capacity.gpus.len()),
            holders
                .iter()
                .filter(|holder| !holder.allocation.gpus.is_empty())
                .map(|holder| (holder, plural(holder.allocation.gpus.len(), "GPU"))),
        )),
    }
}

/// What was asked, what is free, and who holds the rest.
fn no_room<'a>(
    asked: String,
    free: String,
    holders: impl Iterator<Item = (&'a Holder<'a>, String)>,
) -> NoRoom {
    let mut text = format!("asked for {asked}, free: {free}");
    let mut left = 0;
    for (number, (holder, holds)) in holders.enumerate() {
        if number >= NAMED {
            left += 1;
            continue;
        }
        let begin = if number == 0 { "; held by " } else { ", " };
        let name = if holder.name == holder.uuid { String::new() } else { format!(" ({})", holder.name) };
        let _ = write!(text, "{begin}{}{name}: {holds}", holder.uuid);
    }
    if left > 0 {
        let _ = write!(text, " and {left} others");
    }
    NoRoom(text)
}

fn plural(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

/// As whole mebibytes, or bytes where that would hide something.
fn mebibytes(bytes: u64) -> String {
    match bytes % (1 << 20) {
        0 => format!("{} MiB", bytes >> 20),
        _ if bytes >= 100 << 20 => format!("{} MiB", bytes >> 20),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn capacity() -> Capacity {
        Capacity {
            cores: [1, 2, 3].into(),
            shared_cores: [0].into(),
            overcommit: 2,
            memory: 1 << 30,
            gpus: vec![Gpu { index: 0, device: "0000:03:00.0".into(), vendor: None }],
        }
    }

    const fn needs(cores: u32, memory: u64, gpus: u32) -> Requirements {
        Requirements { cores, shared: false, memory, gpus }
    }

    fn holder<'a>(uuid: &'a str, cores: u32, allocation: &'a Allocation) -> Holder<'a> {
        Holder { name: uuid, uuid, cores, allocation }
    }

    #[test]
    fn a_refusal_says_what_was_asked_what_is_free_and_who_holds_the_rest() {
        let first = admit(&capacity(), needs(2, 512 << 20, 1), &[]).unwrap();
        assert_eq!(first.cores, [1, 2]);
        let held = [Holder { name: "radar", ..holder("u-1", 2, &first) }];
        let refusal = |needs| admit(&capacity(), needs, &held).unwrap_err().to_string();
        assert_eq!(
            refusal(needs(2, 1 << 20, 0)),
            "asked for 2 cores, free: 1 of 3; held by u-1 (radar): 2 cores"
        );
        assert_eq!(
            refusal(needs(1, 513 << 20, 0)),
            "asked for 513 MiB of memory, free: 512 MiB of 1024 MiB; held by u-1 (radar): 512 MiB"
        );
        assert_eq!(
            refusal(needs(1, 1 << 20, 1)),
            "asked for 1 GPU, free: 0 of 1; held by u-1 (radar): 1 GPU"
        );
        assert_eq!(admit(&capacity(), needs(1, 512 << 20, 0), &held).unwrap().cores, [3]);
    }

    #[test]
    fn shared_cores_are_promised_by_number_and_lie_apart_from_the_others() {
        let shared = Requirements { shared: true, ..needs(1, 1 << 20, 0) };
        let first = admit(&capacity(), shared, &[]).unwrap();
        assert_eq!(first.cores, [0]);
        let held = [holder("u", 1, &first)];
        assert!(admit(&capacity(), shared, &held).is_ok());
        let two = [holder("u", 1, &first), holder("v", 1, &first)];
        let refusal = admit(&capacity(), shared, &two).unwrap_err().to_string();
        assert!(
            refusal.starts_with(
                "asked for 1 core to share, free: 0 of 1, each promised at most 2 times; held by u: 1 core"
            ),
            "{refusal}"
        );
        assert!(admit(&capacity(), Requirements { cores: 2, ..shared }, &[]).is_err());
        assert_eq!(admit(&capacity(), needs(3, 1 << 20, 0), &held).unwrap().cores, [1, 2, 3]);
        let none = Capacity { shared_cores: BTreeSet::new(), ..capacity() };
        assert!(admit(&none, shared, &[]).unwrap_err().to_string().contains("[deploy] shared_cores"));
    }

    #[test]
    fn cores_that_a_new_configuration_sets_aside_are_not_shared_while_somebody_has_them() {
        let own = Allocation { cores: vec![0], ..Allocation::default() };
        let shared = Requirements { shared: true, ..needs(1, 1 << 20, 0) };
        assert!(admit(&capacity(), shared, &[holder("u", 1, &own)]).is_err());
        let board = Capacity { shared_cores: [0, 1].into(), ..capacity() };
        assert_eq!(admit(&board, shared, &[holder("u", 1, &own)]).unwrap().cores, [1]);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_nothing_is_given_twice(asked in prop::collection::vec((1..4_u32, 1..600_u64, 0..2_u32), 1..12)) {
            let board = capacity();
            let mut given: Vec<(u32, Allocation)> = Vec::new();
            for (cores, memory, gpus) in asked {
                let holders: Vec<_> = given.iter().map(|(cores, allocation)| holder("u", *cores, allocation)).collect();
                if let Ok(allocation) = admit(&board, needs(cores, memory << 20, gpus), &holders) {
                    given.push((cores, allocation));
                }
            }
            let cores: Vec<u32> = given.iter().flat_map(|(_, given)| given.cores.clone()).collect();
            let distinct: BTreeSet<u32> = cores.iter().copied().collect();
            prop_assert_eq!(cores.len(), distinct.len());
            prop_assert!(distinct.is_subset(&board.cores));
            prop_assert!(given.iter().map(|(_, given)| given.memory).sum::<u64>() <= board.memory);
            prop_assert!(given.iter().map(|(_, given)| given.gpus.len()).sum::<usize>() <= board.gpus.len());
        }
    }
}
