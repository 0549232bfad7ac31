//! One membership of the group for each link, by the index of the interface.
//!
//! An interface that was deleted takes its membership with it, but the socket's record of it stays, counts against the
//! kernel's limit (20, ENOBUFS beyond), and blocks a new one of the same index. So what is gone is dropped by its old
//! index first, and only then is anything joined.

use std::collections::BTreeSet;
use std::io;

use tracing::{info, warn};

use super::choice::Links;

/// Where memberships are held: the socket, or a fake.
pub(super) trait Group {
    fn join(&self, interface: u32) -> io::Result<()>;
    fn leave(&self, interface: u32) -> io::Result<()>;
}

/// The memberships that the socket has.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    joined: BTreeSet<u32>,
    /// Those that could not be joined, so that it is logged once.
    refused: BTreeSet<u32>,
}

impl Memberships {
    /// Makes the memberships those of the links. `deleted` are interfaces that were deleted since, though one with the
    /// same index may be there again.
    pub(super) fn follow(&mut self, group: &impl Group, links: &Links, deleted: &[u32]) {
        let wanted: BTreeSet<u32> = links.indices().collect();
        self.joined.retain(|index| {
            let stays = wanted.contains(index) && !deleted.contains(index);
            if !stays {
                // An error says that the kernel has let go of it already.
                let _gone = group.leave(*index).is_err();
                info!(index, "left an interface");
            }
            stays
        });
        self.refused.retain(|index| wanted.contains(index));
        for index in wanted.difference(&self.joined.clone()) {
            self.join(group, links, *index);
        }
    }

    fn join(&mut self, group: &impl Group, links: &Links, index: u32) {
        let interface = links.get(index).map_or("", |link| &link.name);
        match group.join(index) {
            Ok(()) => {
                self.joined.insert(index);
                self.refused.remove(&index);
                info!(interface, index, "listening on an interface");
            }
            Err(error) if self.refused.insert(index) => {
                warn!(
                    interface, index, %error,
                    "an interface cannot be listened on yet; beyond 20 interfaces, raise net.ipv4.igmp_max_memberships"
                );
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::discovery::choice::Choice;
    use crate::discovery::interfaces::{Interface, Network};

    /// Refuses as the kernel does: a second membership of one index, and more than 20.
    #[derive(Default)]
    struct Kernel {
        records: RefCell<BTreeSet<u32>>,
        broken: RefCell<BTreeSet<u32>>,
    }

    impl Group for Kernel {
        fn join(&self, interface: u32) -> io::Result<()> {
            if self.broken.borrow().contains(&interface) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let mut records = self.records.borrow_mut();
            if records.len() >= 20 {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            records.insert(interface).then_some(()).ok_or_else(|| io::ErrorKind::AddrInUse.into())
        }

        fn leave(&self, interface: u32) -> io::Result<()> {
            let left = self.records.borrow_mut().remove(&interface);
            left.then_some(()).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
        }
    }

    fn links(indices: &[u32]) -> Links {
        let interfaces: Vec<_> = indices
            .iter()
            .map(|index| Interface {
                name: format!("eth{index}"),
                index: *index,
                up: true,
                running: true,
                multicast: true,
                loopback: false,
                networks: vec![Network { address: Ipv4Addr::new(10, 0, 0, 1), mask: Ipv4Addr::BROADCAST }],
            })
            .collect();
        Choice::new(&[]).choose(&interfaces)
    }

    #[test]
    fn an_interface_made_again_under_a_new_index_is_joined_and_the_old_record_dropped() {
        let (kernel, mut memberships) = (Kernel::default(), Memberships::default());
        memberships.follow(&kernel, &links(&[2, 3]), &[]);
        memberships.follow(&kernel, &links(&[2, 7]), &[3]);
        assert_eq!(*kernel.records.borrow(), [2, 7].into());
    }

    #[test]
    fn an_interface_made_again_under_its_old_index_is_left_and_joined() {
        let (kernel, mut memberships) = (Kernel::default(), Memberships::default());
        memberships.follow(&kernel, &links(&[2]), &[]);
        kernel.broken.borrow_mut().insert(2);
        memberships.follow(&kernel, &links(&[2]), &[2]);
        assert!(kernel.records.borrow().is_empty());
        kernel.broken.borrow_mut().clear();
        memberships.follow(&kernel, &links(&[2]), &[]);
        assert_eq!(*kernel.records.borrow(), [2].into());
    }

    #[test]
    fn a_hundred_replacements_never_run_into_the_limit() {
        let (kernel, mut memberships) = (Kernel::default(), Memberships::default());
        for index in 2..102 {
            memberships.follow(&kernel, &links(&[index]), &[]);
            assert_eq!(*kernel.records.borrow(), [index].into());
        }
    }

    proptest! {
        #[test]
        fn the_memberships_are_always_those_of_the_links(
            steps in prop::collection::vec((prop::collection::btree_set(1..12_u32, 0..8), prop::collection::vec(1..12_u32, 0..3)), 0..20)
        ) {
            let (kernel, mut memberships) = (Kernel::default(), Memberships::default());
            for (wanted, deleted) in steps {
                let wanted: Vec<u32> = wanted.into_iter().collect();
                memberships.follow(&kernel, &links(&wanted), &deleted);
                prop_assert_eq!(&*kernel.records.borrow(), &wanted.into_iter().collect());
                prop_assert_eq!(&*kernel.records.borrow(), &memberships.joined);
            }
        }
    }
}
