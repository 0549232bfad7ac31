//! Who claims what, and what it costs to ask when very many do.

use std::collections::BTreeSet;

use super::*;
use crate::fleet::Conflicts;
use crate::fleet::board::{Board, Entry};
use crate::fleet::claims::{Claims, Standing, Thing, Verdict};

const ADDRESS: [u8; 4] = [10, 0, 0, 1];

fn things(board: &Board) -> BTreeSet<Thing> {
    let addresses = board.addresses.iter().map(|seen| Thing::Address(seen.address));
    board.heartbeat.position.slot().map(Thing::Slot).into_iter().chain(addresses).collect()
}

fn boards(inventory: &Inventory) -> impl Iterator<Item = &Board> {
    inventory.boards.values().map(|entry| &entry.board)
}

/// That the claims, and what is made of them, follow from the boards.
pub(super) fn check_claims(inventory: &Inventory) {
    let mut claims = BTreeSet::new();
    for board in boards(inventory) {
        let standing = match board.state {
            State::Lost => Standing::Lost,
            _ if board.heartbeat.agent.is_some() => Standing::Ours,
            _ => Standing::Plain,
        };
        claims.extend(things(board).into_iter().map(|thing| (thing, standing, board.id.clone())));
    }
    assert_eq!(inventory.claims.all(), claims);
    for board in boards(inventory) {
        let conflicts = inventory.view(board.id.as_str()).unwrap().conflicts;
        let rivals_for = |is_sort: fn(&Thing) -> bool| -> BTreeSet<BoardId> {
            let others = boards(inventory).filter(|other| other.id != board.id && other.state != State::Lost);
            let shared = |other: &Board| things(board).intersection(&things(other)).any(is_sort);
            let rivals = others.filter(|other| board.state != State::Lost && shared(other));
            rivals.map(|rival| rival.id.clone()).collect()
        };
        let slot = rivals_for(|thing| matches!(thing, Thing::Slot(_)));
        let address = rivals_for(|thing| matches!(thing, Thing::Address(_)));
        for (found, rivals) in [(conflicts.slot, slot), (conflicts.address, address)] {
            assert_eq!(found.len(), rivals.len().min(Conflicts::LIMIT));
            assert!(found.iter().collect::<BTreeSet<_>>().len() == found.len());
            assert!(found.iter().all(|id| rivals.contains(id)));
        }
    }
}

/// Whose plain readings from an address are. None if nobody has it, an error if too many have.
pub(super) fn owner(inventory: &Inventory, address: Ipv4Addr) -> Result<Option<BoardId>, Taken> {
    let lives = |board: &Board| board.state != State::Lost;
    let is_plain = |board: &Board| board.heartbeat.agent.is_none();
    let tiers: [&dyn Fn(&Board) -> bool; 3] = [&|board| lives(board) && is_plain(board), &lives, &|_| true];
    let there = |board: &Board| board.addresses.iter().any(|seen| seen.address == address);
    for tier in tiers {
        let mut claimants = boards(inventory).filter(|board| there(board) && tier(board));
        match (claimants.next(), claimants.next()) {
            (Some(only), None) => return Ok(Some(only.id.clone())),
            (Some(_), Some(_)) => return Err(Taken::Ambiguous),
            (None, _) => {}
        }
    }
    Ok(None)
}

fn set_state(claims: &mut Claims, entry: &mut Entry, state: State) {
    claims.follow(entry, |entry| entry.board.state = state);
}

#[test]
fn a_contest_is_told_once_and_so_is_its_end() {
    let entry = |hostname: &str| {
        let heartbeat = plain(7, hostname, ADDRESS);
        Entry::new(BoardId::of(&heartbeat), Arc::new(heartbeat), Moment::from_millis(0))
    };
    let (mut claims, mut one, mut two) = (Claims::default(), entry("one"), entry("two"));
    let thing = Thing::Slot(one.board.heartbeat.position.slot().unwrap());
    claims.enter(&one.board);
    assert!(claims.review().is_empty());
    claims.enter(&two.board);
    assert_eq!(claims.review(), [Verdict::Contested(thing, 2)]);
    assert!(claims.review().is_empty());
    set_state(&mut claims, &mut two, State::Lost);
    assert_eq!(claims.review(), [Verdict::Settled(thing)]);
    set_state(&mut claims, &mut two, State::Late);
    assert_eq!(claims.review(), [Verdict::Contested(thing, 2)]);
    set_state(&mut claims, &mut one, State::Lost);
    claims.leave(&one.board);
    assert_eq!(claims.review(), [Verdict::Settled(thing)]);
    claims.leave(&two.board);
    assert!(claims.all().is_empty());
}

/// How many holders of a thing were looked at.
fn looks<T>(inventory: &mut Inventory, ask: impl FnOnce(&mut Inventory) -> T) -> usize {
    inventory.claims.looks.set(0);
    ask(inventory);
    inventory.claims.looks.get()
}

/// Boards in one slot and at one address, of which the first ones are lost.
fn check_crowd(crowd: &[Heartbeat], lost: usize) {
    let mut world = World::new();
    crowd.iter().for_each(|board| world.heartbeat(board));
    for _ in 0..4 {
        world.query(&[OURS]);
        crowd.iter().skip(lost).for_each(|board| world.heartbeat(board));
    }
    let receipt = world.receipt();
    let inventory = &mut world.inventory;
    let report = looks(inventory, |inventory| inventory.resource(readings(ADDRESS, None), receipt).unwrap());
    assert!(report <= 2, "a report looks at {report} of {} with {lost} lost", crowd.len());
    // Each board looks at its slot and at its address.
    let most = 2 * (Conflicts::LIMIT + 1) * crowd.len();
    let page = looks(inventory, |inventory| inventory.page(&Filter::default(), None, usize::MAX));
    assert!(page <= most, "a page looks at {page} of {} with {lost} lost", crowd.len());
    let review = looks(inventory, |inventory| inventory.claims.review());
    assert!(review <= 2 * 2, "a review looks at {review} of {} with {lost} lost", crowd.len());
}

#[test]
fn however_many_claim_one_thing_a_look_up_sees_a_few() {
    // In the order of their ids, so that the lost ones come first in that, too.
    let ours: Vec<_> = (0..500).map(|number| ours(1000 + number, 3, ADDRESS)).collect();
    let plain: Vec<_> = (0..500).map(|number| plain(3, &format!("n{number:03}"), ADDRESS)).collect();
    let mixed: Vec<_> = ours.iter().zip(&plain).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    for crowd in [ours, plain, mixed] {
        for lost in [0, 1, crowd.len() / 2, crowd.len() - 1, crowd.len()] {
            check_crowd(&crowd, lost);
        }
    }
}
